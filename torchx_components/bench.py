"""TorchX component: one of the benchmarks, as one process that starts its own ranks."""

from typing import Dict, List, Optional

import torchx.specs as specs

from benchmarks.commands import COMMANDS
from embeddings.errors import nearest
from torchx_components import job


def bench(
    *arguments: str,
    benchmark: str,
    h: Optional[str] = None,
    name: str = "bench",
    image: str = job.IMAGE,
    cpu: int = 2,
    gpu: int = 0,
    memMB: int = 8192,
    env: Optional[Dict[str, str]] = None,
    mounts: Optional[List[str]] = None,
    max_retries: int = 0,
    logs: str = "runs/bench/logs",
) -> specs.AppDef:
    """Measure: torchx run -s local_cwd torchx_components/bench.py:bench --benchmark kernels

    Args:
        arguments: what python -m benchmarks.BENCHMARK takes, after a bare --
        benchmark: kernels, training.step, training.checkpoint, serving, live, data.memory,
            data.conversion, data.large_tables, frozen, frozen.precision, planner, planner.scaling,
            paper, paper.chain, peers.fuxictr.peer or render
        h: named resource of the scheduler, instead of cpu, gpu and memMB; a local run needs none
        name: the job's name
        image: container image with tierwise in it, for schedulers that run containers
        cpu: cores
        gpu: GPUs
        memMB: memory
        env: environment of the process, such as OMP_NUM_THREADS=4
        mounts: folders for data and results, such as type=bind,src=/data,dst=/data,readonly
        max_retries: how often the scheduler starts a failed job again, where it can
        logs: folder for what is printed
    """
    if benchmark not in COMMANDS:
        known = ", ".join(COMMANDS)
        raise SystemExit(f"error: no benchmark '{benchmark}'{nearest(benchmark, COMMANDS)}; allowed: {known}")
    return job.process(
        *arguments,
        m=f"benchmarks.{benchmark}", name=name, logs=logs,
        h=h, image=image, cpu=cpu, gpu=gpu, memMB=memMB, env=env, mounts=mounts, max_retries=max_retries,
    )  # fmt: skip
