"""TorchX component: the sharding planner, as one process without ranks."""

from typing import Dict, List, Optional

import torchx.specs as specs

from torchx_components import job


def plan(
    *arguments: str,
    h: Optional[str] = None,
    name: str = "plan",
    image: str = job.IMAGE,
    cpu: int = 2,
    gpu: int = 0,
    memMB: int = 8192,
    env: Optional[Dict[str, str]] = None,
    mounts: Optional[List[str]] = None,
    max_retries: int = 0,
    logs: str = "runs/plan/logs",
) -> specs.AppDef:
    """Plan a run's sharding: torchx run -s local_cwd torchx_components/plan.py:plan -- --config configs/shop.yaml

    Args:
        arguments: what python -m embeddings.plan takes, after a bare --
        h: named resource of the scheduler, instead of cpu, gpu and memMB; a local run needs none
        name: the job's name
        image: container image with tierwise in it, for schedulers that run containers
        cpu: cores
        gpu: GPUs; the planner needs none
        memMB: memory
        env: environment of the process, such as LOGLEVEL=INFO
        mounts: folders for data and runs, such as type=bind,src=/data,dst=/data,readonly
        max_retries: how often the scheduler starts a failed job again, where it can
        logs: folder for what is printed
    """
    return job.process(
        *arguments,
        m="embeddings.plan", name=name, logs=logs,
        h=h, image=image, cpu=cpu, gpu=gpu, memMB=memMB, env=env, mounts=mounts, max_retries=max_retries,
    )  # fmt: skip
