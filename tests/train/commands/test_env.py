"""The env command: its output, its exit status, and the compiled kernels that it lists."""

from pathlib import Path

import pytest
from click.testing import CliRunner

from train.commands import env
from train.commands.env import native_kernels
from train.run.versions import Cuda

CPU = {"torch": "2.13.0+cpu", "fbgemm-gpu": None, "fbgemm-gpu-cpu": "1.8.0", "torchrec": "1.8.0"}


@pytest.mark.parametrize(("torchrec", "status", "last"), [("1.8.0", 0, "verdict:"), ("1.6.0", 1, "mismatch:")])
def test_command(torchrec: str, status: int, last: str, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(env, "installed", {**CPU, "torchrec": torchrec}.get)
    monkeypatch.setattr(env, "ask_torch", lambda: Cuda(None, []))
    monkeypatch.setattr(env.shutil, "which", lambda name: None)
    result = CliRunner().invoke(env.command)
    assert result.exit_code == status
    assert result.output.splitlines()[-1].startswith(last)
    assert "C++ compiler    none" in result.output


def test_native_kernels(tmp_path: Path):
    (tmp_path / "csrc").mkdir()
    (tmp_path / "csrc" / "simtier.cpp").touch()
    assert native_kernels(tmp_path) == "not built: run 'make native'"
    (tmp_path / "csrc" / "simtier.so").touch()
    assert native_kernels(tmp_path) == "csrc/simtier.so"


def test_a_limit_of_control_groups_is_said(monkeypatch):
    monkeypatch.setattr(env, "host_bytes", lambda: 3 << 30)
    monkeypatch.setattr(env, "physical_bytes", lambda: 64 << 30)
    monkeypatch.setattr(env, "host_cores", lambda: 0.5)
    monkeypatch.setattr(env, "affinity_cores", lambda: 2)
    assert env._memory() == "3.0 GiB, the limit of control groups; the host has 64.0 GiB"
    assert env._cores().endswith("; control groups allow 0.5 cores' time")
    monkeypatch.setattr(env, "host_bytes", lambda: 64 << 30)
    monkeypatch.setattr(env, "host_cores", lambda: 2.0)
    assert env._memory() == "64.0 GiB" and "control groups" not in env._cores()
