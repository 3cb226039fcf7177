"""Components as ``torchx run --dryrun`` reads them: from their file, signature and docstring checked."""

import shlex
import signal

from torchx.runner import get_runner
from torchx.specs import AppDryRunInfo

from tests.conftest import ROOT

CFG = {
    "local_cwd": {"log_dir": "unused"},
    "slurm": {"partition": "gpu", "time": "1-00:00:00"},
    "kubernetes": {"queue": "default", "namespace": "ml"},
}


def rendered(component: str, *arguments: str, scheduler: str = "local_cwd") -> AppDryRunInfo:
    """``component``, such as train.py:ctr, for ``scheduler``."""
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with get_runner() as runner:
            path = f"{ROOT}/torchx_components/{component}"
            return runner.dryrun_component(path, list(arguments), scheduler=scheduler, cfg=CFG[scheduler])
    finally:  # the local scheduler puts its own in their place
        for number, handler in handlers.items():
            signal.signal(number, handler)


def words(info: AppDryRunInfo, program: str) -> list[str]:
    """What bash is told to run, from ``program`` on."""
    assert info._app is not None
    tokens = shlex.split(info._app.roles[0].args[-1], comments=False)
    return tokens[tokens.index(program) :]
