"""The TorchX component: what a scheduler is asked to run."""

import shlex
import sys
from pathlib import Path

import pytest
from torchx.runner import get_runner
from torchx.specs import AppDef

from tests.conftest import ROOT
from torchx_components import train


def rendered(*arguments: str) -> AppDef:
    """The component as `torchx run --dryrun` reads it from its file, its signature and docstring checked."""
    with get_runner() as runner:
        info = runner.dryrun_component(
            f"{ROOT}/torchx_components/train.py:ctr", list(arguments), scheduler="local_cwd", cfg={"log_dir": "unused"}
        )
    assert info._app is not None
    return info._app


def test_runs_the_module_over_processes():
    app = rendered("--config", "configs/x.yaml", "-j", "1x3", "--", "train.epochs=2", "run.name=a b")
    (role,) = app.roles
    assert (app.name, role.entrypoint, role.args[0], role.num_replicas) == ("ctr", "bash", "-c", 1)
    words = shlex.split(role.args[1])
    assert words[0] == "torchrun"
    assert words[words.index("--nproc_per_node") + 1] == "3"
    assert words[words.index("-m") :] == [
        "-m",
        "train",
        "ctr",
        "--config",
        "configs/x.yaml",
        "train.epochs=2",
        "run.name=a b",
    ]


def test_machines_and_name():
    app = rendered("--config", "x.yaml", "-j", "2x4", "--name", "big")
    assert (app.name, app.roles[0].num_replicas) == ("big", 2)


def test_config_is_required():
    with pytest.raises(SystemExit):
        rendered("-j", "1x2")


@pytest.mark.parametrize(("found", "expected"), [(None, str(Path(sys.executable).parent)), ("/bin/torchrun", None)])
def test_torchrun_is_found_beside_python_where_no_environment_is_active(monkeypatch, found, expected):
    monkeypatch.setattr(train.shutil, "which", lambda name: found)
    assert train._environment().get("PATH") == expected
