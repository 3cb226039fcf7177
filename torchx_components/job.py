"""TorchX roles of the components: command line, logs, environment and retries on a scheduler."""

import os
import shlex
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import torchx.specs as specs
from torchx.components import dist

from embeddings.errors import InputError
from train.ctr.config import load_config
from train.distributed.signals import SAVING
from train.run.run_folder import LOGS

IMAGE = "tierwise:latest"  # for schedulers that run containers; local_cwd and Slurm run where they are started
# What torchrun passes on to its ranks; of others it dies, and they with it.
_PASSED_ON = ",".join(number.name for number in (signal.SIGINT, signal.SIGQUIT, *SAVING))


def processes(
    *words: str, name: str, logs: str, restarts: int, env: dict[str, str] | None, **placed: Any
) -> specs.AppDef:
    """``python -m train WORDS`` over processes, with what each of them prints in files of its own below ``logs``.

    Args:
        restarts: how often torchrun starts the processes again, in the same job, after one of them has failed.
        placed: what dist.ddp takes: j, h, image, cpu, gpu, memMB, mounts, max_retries.
    """
    env = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1"), **(env or {})}  # the trainer sets its own
    # torchrun reads its options from such names too, and dist.ddp passes on neither of these two
    env |= {"PET_LOG_DIR": logs, "PET_MAX_RESTARTS": str(restarts)}
    env.setdefault("PET_SIGNALS_TO_HANDLE", _PASSED_ON)
    # otherwise processes that start again find the addresses of the dead ones in torchrun's store, and may hang
    env.setdefault("TORCH_DISABLE_SHARE_RDZV_TCP_STORE", "1")
    app = dist.ddp(*words, m="train", name=name, env=env, **placed)
    role = app.roles[0]
    command = role.args[-1]
    if role.num_replicas == 1:  # no name of the machine, which may lead nowhere, and would be waited for
        command = command.replace("torchrun ", "torchrun --local_addr localhost ", 1)
    role.args[-1] = _search_path("torchrun") + command
    return app


def process(
    *words: str,
    m: str,
    name: str,
    logs: str,
    h: str | None,
    image: str,
    cpu: int,
    gpu: int,
    memMB: int,
    env: dict[str, str] | None,
    mounts: list[str] | None,
    max_retries: int,
) -> specs.AppDef:
    """``python -m M WORDS`` as one process without ranks; what it prints is kept in ``logs`` too."""
    command = shlex.join(["python", "-m", "torchx_components.logged", f"{logs}/{name}.log", m, *words])
    role = specs.Role(
        name=name,
        image=image,
        entrypoint="bash",
        args=["-c", f"{_search_path('python')}exec {command}"],  # exec: signals are for the program, not for a shell
        env=dict(env or {}),
        resource=specs.resource(cpu=cpu, gpu=gpu, memMB=memMB, h=h),
        mounts=specs.parse_mounts(mounts) if mounts else [],
        max_retries=max_retries,
    )
    return specs.AppDef(name=name, roles=[role])


def run_logs(config: str, overrides: tuple[str, ...], logs: str | None) -> str:
    """The folder of a run's logs, relative as the run's own folder is.

    A config that is there is checked before anything is queued; one that is only in an image needs ``logs``.
    """
    try:
        if logs is None or Path(config).is_file():
            logs = logs or str(Path(load_config(config, overrides).run_folder) / LOGS)
    except InputError as error:
        raise SystemExit(f"error: {error}; if it is only in the image, give the folder of the logs: --logs") from error
    return logs


def _search_path(program: str) -> str:
    """An assignment of PATH before a command, which adds the folder of this Python where ``program`` is in none of it.

    So that torchx may be started from an environment that is not active. Last in PATH, so that a container's own comes
    first. The $ is doubled because torchx fills in its macros.
    """
    if shutil.which(program) is not None:
        return ""
    return f'PATH="$$PATH":{shlex.quote(os.path.dirname(sys.executable))} '
