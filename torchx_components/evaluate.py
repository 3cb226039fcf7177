"""TorchX component: a finished run's metrics on a split, over processes."""

from typing import Dict, List, Optional

import torchx.specs as specs

from torchx_components import job
from train.run.run_folder import LOGS


def evaluate(
    *overrides: str,
    run: str,
    split: str = "test",
    checkpoint: str = "best",
    j: str = "1x2",
    h: Optional[str] = None,
    name: str = "evaluate",
    image: str = job.IMAGE,
    cpu: int = 2,
    gpu: int = 0,
    memMB: int = 8192,
    env: Optional[Dict[str, str]] = None,
    mounts: Optional[List[str]] = None,
    max_retries: int = 0,
    logs: Optional[str] = None,
) -> specs.AppDef:
    """Evaluate a run: torchx run -s local_cwd torchx_components/evaluate.py:evaluate --run runs/shop -j 1x2

    Args:
        overrides: key.sub=value overrides of the run's config, after a bare --
        run: the run's folder
        split: split of the data folder
        checkpoint: best, newest, or a folder of the run's checkpoints
        j: {machines}x{processes on each}
        h: named resource of the scheduler, instead of cpu, gpu and memMB; a local run needs none
        name: the job's name
        image: container image with tierwise in it, for schedulers that run containers
        cpu: cores of each machine
        gpu: GPUs of each machine, as many as its processes
        memMB: memory of each machine
        env: environment of the processes, such as NCCL_DEBUG=INFO,OMP_NUM_THREADS=4
        mounts: folders for data and runs, such as type=bind,src=/data,dst=/data,readonly
        max_retries: how often the scheduler starts a failed job again
        logs: folder for what each process prints; the run's folder if not given
    """
    return job.processes(
        "evaluate", run, "--split", split, "--checkpoint", checkpoint, *overrides,
        name=name, logs=logs or f"{run}/{LOGS}", restarts=max_retries, env=env,
        j=j, h=h, image=image, cpu=cpu, gpu=gpu, memMB=memMB, mounts=mounts, max_retries=max_retries,
    )  # fmt: skip
