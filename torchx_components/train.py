"""TorchX components: a training run over processes, thin on ``dist.ddp``."""

import os
import shutil
import sys
from typing import Optional

import torchx.specs as specs
from torchx.components import dist


# torchx reads these annotations itself and knows Optional[str], not str | None.
def ctr(
    *overrides: str,
    config: str,
    j: str = "1x2",
    h: Optional[str] = None,  # noqa: UP045
    name: str = "ctr",
) -> specs.AppDef:
    """Train a CTR model: torchx run -s local_cwd torchx_components/train.py:ctr --config configs/shop.yaml -j 1x2

    Args:
        overrides: key.sub=value overrides of the config, after a bare --
        config: YAML file, as for python -m train ctr
        j: {machines}x{processes on each}
        h: named resource of the scheduler; a local run needs none
        name: the job's name
    """
    return dist.ddp("ctr", "--config", config, *overrides, m="train", name=name, j=j, h=h, env=_environment())


def _environment() -> dict[str, str]:
    # The trainer sets its own number of threads (process.threads); torchrun prints a warning where this is unset.
    env = {"OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", "1")}
    if shutil.which("torchrun") is None:  # torchx started by its path, from an environment that is not activated
        env["PATH"] = os.path.dirname(sys.executable)
    return env
