"""What NCCL is told where the device is CUDA; NCCL itself is not needed."""

import datetime
import os
import shutil
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
import torch.distributed as dist

from embeddings.errors import InputError
from tests.train import launch, tiny
from tests.train.launch import one_line
from train.config import ProcessConfig
from train.distributed import process_group as process

NAMES = ("TORCH_FR_BUFFER_SIZE", "TORCH_NCCL_DUMP_ON_TIMEOUT", "TORCH_FR_DUMP_TEMP_FILE")


@pytest.fixture
def told(monkeypatch) -> dict:
    """What the process group is told, of a process that takes itself for one on CUDA."""
    heard: dict = {}

    class Backend:
        def _set_default_timeout(self, timeout: datetime.timedelta) -> None:
            heard["nccl"] = timeout

    def begin(backend: str, timeout: datetime.timedelta, **rest: object) -> None:
        heard.update(backend=backend, gloo=timeout, environment={n: os.environ.get(n) for n in NAMES})

    for name in NAMES:
        monkeypatch.setenv(name, "to be restored")
        monkeypatch.delenv(name)
    monkeypatch.setattr(process, "choose_device", lambda wanted, *local: torch.device("cuda"))
    monkeypatch.setattr(dist, "init_process_group", begin)
    monkeypatch.setattr(dist, "destroy_process_group", lambda: None)
    world = SimpleNamespace(_get_backend=lambda device: {"cuda": Backend()}[device.type])
    monkeypatch.setattr(dist, "group", SimpleNamespace(WORLD=world))
    return heard


def test_it_watches_later_than_gloo_and_leaves_a_record(told, tmp_path):
    with process.process_group(ProcessConfig(timeout_s=100, threads=1), tmp_path / "logs" / "nccl"):
        assert told["backend"] == "cpu:gloo,cuda:nccl"
        assert told["gloo"] == datetime.timedelta(seconds=100)
        assert told["nccl"] == datetime.timedelta(seconds=160)
        assert told["environment"] == dict(zip(NAMES, ("2000", "1", f"{tmp_path}/logs/nccl/rank_"), strict=True))
        assert (tmp_path / "logs" / "nccl").is_dir()


def test_what_the_environment_says_stays(told, tmp_path, monkeypatch):
    for name in NAMES:
        monkeypatch.setenv(name, "mine")
    with process.process_group(ProcessConfig(threads=1), tmp_path):
        assert told["environment"] == dict.fromkeys(NAMES, "mine")


@pytest.mark.parametrize("command", ["ctr", "make", "scl", "evaluate", "predict"])
def test_every_command_of_a_run_leaves_it_in_the_runs_folder(command, tmp_path, monkeypatch):
    def joined(config: ProcessConfig, records: Path | None = None):
        raise InputError(f"records in {records}")

    config, run = tmp_path / "a.yaml", tmp_path / "runs" / "a"
    data = tiny.make_data(tmp_path / "data", train_rows=64)
    config.write_text(f"data: {{path: {data}}}\nrun: {{root: {tmp_path}/runs, name: a}}\n")
    run.mkdir(parents=True)
    shutil.copy(config, run / "config.yaml")
    monkeypatch.setattr(process, "process_group", joined)
    about = [run] if command in ("evaluate", "predict") else ["--config", config]
    out = ["--out", tmp_path / "scores"] if command == "predict" else []
    one_line(launch.cli(command, *about, *out), f"records in {run}/logs/nccl")


def test_without_a_folder_torch_has_its_own_place(told):
    with process.process_group(ProcessConfig(threads=1)):
        assert told["environment"]["TORCH_FR_DUMP_TEMP_FILE"] is None and told["environment"][NAMES[1]] == "1"
