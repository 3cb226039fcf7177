"""TorchX component: a scorer of an exported model over HTTP, one job a machine."""

from typing import Dict, List, Optional

import torchx.specs as specs

from torchx_components import job


def score(
    *options: str,
    model: str,
    host: str = "127.0.0.1",
    port: int = 8600,
    processes: Optional[int] = None,
    h: Optional[str] = None,
    name: str = "score",
    image: str = job.IMAGE,
    cpu: int = 2,
    gpu: int = 0,
    memMB: int = 8192,
    env: Optional[Dict[str, str]] = None,
    mounts: Optional[List[str]] = None,
    max_retries: int = 0,
    logs: str = "runs/score/logs",
) -> specs.AppDef:
    """Score requests by an exported model: torchx run -s local_cwd torchx_components/serve.py:score --model models/shop

    Args:
        options: further options of python -m serve score, after a bare --, such as --items data/shop/items
        model: folder of an exported model
        host: address to listen on; 0.0.0.0 is every one, which a container needs
        port: to listen on
        processes: worker processes; cpu if not given
        h: named resource of the scheduler, instead of cpu, gpu and memMB; a local run needs none
        name: the job's name
        image: container image with tierwise in it, for schedulers that run containers
        cpu: cores
        gpu: GPUs; the scorer needs none
        memMB: memory
        env: environment of the process
        mounts: folders for the model and its stores, such as type=bind,src=/models,dst=/models,readonly
        max_retries: how often the scheduler starts a scorer that ended again, where it can
        logs: folder for what is printed
    """
    app = job.process(
        "score", "--model", model, "--host", host, "--port", str(port), "--processes", str(processes or cpu), *options,
        m="serve", name=name, logs=logs,
        h=h, image=image, cpu=cpu, gpu=gpu, memMB=memMB, env=env, mounts=mounts, max_retries=max_retries,
    )  # fmt: skip
    app.roles[0].port_map = {"http": port}
    return app
