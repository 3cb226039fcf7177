"""TorchX component: a training run over processes."""

from typing import Dict, List, Optional

import torchx.specs as specs

from torchx_components import job


def ctr(
    *overrides: str,
    config: str,
    j: str = "1x2",
    h: Optional[str] = None,
    name: str = "ctr",
    image: str = job.IMAGE,
    cpu: int = 2,
    gpu: int = 0,
    memMB: int = 8192,
    env: Optional[Dict[str, str]] = None,
    mounts: Optional[List[str]] = None,
    max_retries: int = 0,
    restarts: Optional[int] = None,
    logs: Optional[str] = None,
) -> specs.AppDef:
    """Train a CTR model: torchx run -s local_cwd torchx_components/train.py:ctr --config configs/shop.yaml -j 1x2

    Args:
        overrides: key.sub=value overrides of the config, after a bare --
        config: YAML file, as for python -m train ctr
        j: {machines}x{processes on each}
        h: named resource of the scheduler, instead of cpu, gpu and memMB; a local run needs none
        name: the job's name
        image: container image with tierwise in it, for schedulers that run containers
        cpu: cores of each machine
        gpu: GPUs of each machine, as many as its processes
        memMB: memory of each machine
        env: environment of the processes, such as NCCL_DEBUG=INFO,OMP_NUM_THREADS=4
        mounts: folders for data and runs, such as type=bind,src=/data,dst=/data,readonly
        max_retries: how often the scheduler starts a failed job again; it goes on from the newest checkpoint
        restarts: how often a job starts its processes again after one has failed, without leaving its machines, which
            every scheduler can; max_retries if not given
        logs: folder for what each process prints; the run's folder if not given
    """
    restarts = max_retries if restarts is None else restarts
    words = list(overrides)
    if (max_retries or restarts) and not any(w.startswith("run.resume=") for w in words):
        words.append("run.resume=auto")
    return job.processes(
        "ctr", "--config", config, *words,
        name=name, logs=job.run_logs(config, tuple(words), logs), restarts=restarts, env=env,
        j=j, h=h, image=image, cpu=cpu, gpu=gpu, memMB=memMB, mounts=mounts, max_retries=max_retries,
    )  # fmt: skip
