"""TorchX component: near-line training over processes, which follows a stream and publishes to scorers."""

from typing import Dict, List, Optional

import torchx.specs as specs

from torchx_components import job


def nearline(
    *overrides: str,
    config: str,
    stream: str,
    model: Optional[str] = None,
    publish_s: float = 10.0,
    j: str = "1x2",
    h: Optional[str] = None,
    name: str = "nearline",
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
    """Train on along a stream: torchx run -s local_cwd torchx_components/nearline.py:nearline --config C --stream S

    Args:
        overrides: overrides of the config, and further options of python -m train nearline, after a bare --
        config: YAML file of the CTR run that is trained on
        stream: folder of numbered files
        model: folder of an exported model, to which is published
        publish_s: seconds between deltas
        j: {machines}x{processes on each}
        h: named resource of the scheduler, instead of cpu, gpu and memMB; a local run needs none
        name: the job's name
        image: container image with tierwise in it, for schedulers that run containers
        cpu: cores of each machine
        gpu: GPUs of each machine, as many as its processes
        memMB: memory of each machine
        env: environment of the processes, such as NCCL_DEBUG=INFO,OMP_NUM_THREADS=4
        mounts: folders for data, runs, stream and model, such as type=bind,src=/data,dst=/data,readonly
        max_retries: how often the scheduler starts a failed job again; it goes on from its newest checkpoint
        restarts: how often a job starts its processes again after one has failed; max_retries if not given
        logs: folder for what each process prints; the run's folder if not given
    """
    published = ["--model", model, "--publish-s", str(publish_s)] if model is not None else []
    words = tuple(word for word in overrides if "=" in word and not word.startswith("-"))
    return job.processes(
        "nearline", "--config", config, "--stream", stream, *published, *overrides,
        name=name, logs=job.run_logs(config, words, logs), restarts=max_retries if restarts is None else restarts,
        env=env, j=j, h=h, image=image, cpu=cpu, gpu=gpu, memMB=memMB, mounts=mounts, max_retries=max_retries,
    )  # fmt: skip
