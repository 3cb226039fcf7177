"""The train component: what torchrun is told, where logs go, how a failed job goes on."""

import shutil

import pytest

from tests.torchx_components.rendering import rendered, words
from train.commands.ctr import command
from train.commands.evaluate import command as evaluate
from train.distributed.signals import SAVING


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("data: {path: nowhere}\nrun: {root: all/runs}\n")
    return str(path)


def test_runs_the_command_over_processes(config):
    info = rendered("train.py:ctr", "--config", config, "-j", "1x3", "--", "train.epochs=2", "run.name=a b")
    (role,) = info._app.roles
    assert (info._app.name, role.entrypoint, role.args[0], role.num_replicas) == ("ctr", "bash", "-c", 1)
    line = words(info, "torchrun")
    assert line[line.index("--nproc_per_node") + 1] == "3"
    ours = line[line.index("-m") + 1 :]
    assert ours == ["train", "ctr", "--config", config, "train.epochs=2", "run.name=a b"]
    assert command.make_context("ctr", ours[2:]).params["overrides"] == ("train.epochs=2", "run.name=a b")


def test_machines_name_resources_and_environment(config):
    info = rendered(
        "train.py:ctr", "--config", config, "-j", "2x4", "--name", "big", "--cpu", "64", "--gpu", "4",
        "--memMB", "500000", "--image", "here/tierwise:1", "--env", "NCCL_DEBUG=INFO,OMP_NUM_THREADS=7",
    )  # fmt: skip
    (role,) = info._app.roles
    assert (info._app.name, role.num_replicas, role.image) == ("big", 2, "here/tierwise:1")
    assert (role.resource.cpu, role.resource.gpu, role.resource.memMB) == (64, 4, 500000)
    assert (role.env["NCCL_DEBUG"], role.env["OMP_NUM_THREADS"]) == ("INFO", "7")


def test_torchrun_passes_on_each_signal_that_saves(config):
    """It would die of those that it does not know, and its ranks, which it can then not wait for, end by themselves."""
    env = rendered("train.py:ctr", "--config", config)._app.roles[0].env
    assert set(env["PET_SIGNALS_TO_HANDLE"].split(",")) == {"SIGINT", "SIGQUIT", *(number.name for number in SAVING)}
    own = rendered("train.py:ctr", "--config", config, "--env", "PET_SIGNALS_TO_HANDLE=SIGTERM")._app.roles[0].env
    assert own["PET_SIGNALS_TO_HANDLE"] == "SIGTERM"


def test_logs_stay_in_the_folder_of_the_run(config):
    def folder(*overrides: str) -> str:
        return rendered("train.py:ctr", "--config", config, "--", *overrides)._app.roles[0].env["PET_LOG_DIR"]

    assert folder() == "all/runs/mine/logs"
    assert folder("run.name=other", "run.root=/shared") == "/shared/other/logs"


def test_a_config_that_is_only_in_the_image_needs_a_folder_for_logs(tmp_path):
    there = str(tmp_path / "no.yaml")
    with pytest.raises(SystemExit, match=r"does not exist.*--logs"):
        rendered("train.py:ctr", "--config", there)
    info = rendered("train.py:ctr", "--config", there, "--logs", "/runs/x/logs")
    assert info._app.roles[0].env["PET_LOG_DIR"] == "/runs/x/logs"


def test_a_wrong_setting_is_refused_before_anything_is_queued(config):
    with pytest.raises(SystemExit, match=r"train.epochs"):
        rendered("train.py:ctr", "--config", config, "--", "train.epochs=none")


def test_a_job_that_may_start_again_goes_on_from_its_checkpoint(config):
    def told(*arguments: str) -> tuple[list[str], int, str]:
        info = rendered("train.py:ctr", "--config", config, *arguments)
        (role,) = info._app.roles
        line = words(info, "torchrun")
        return [w for w in line if w.startswith("run.")], role.max_retries, role.env["PET_MAX_RESTARTS"]

    assert told() == ([], 0, "0")
    assert told("--max_retries", "3") == (["run.resume=auto"], 3, "3")
    assert told("--max_retries", "3", "--restarts", "0") == (["run.resume=auto"], 3, "0")
    assert told("--restarts", "2") == (["run.resume=auto"], 0, "2")
    assert told("--max_retries", "1", "--", "run.resume=true") == (["run.resume=true"], 1, "1")


def test_processes_that_start_again_get_a_store_of_their_own(config):
    assert rendered("train.py:ctr", "--config", config)._app.roles[0].env["TORCH_DISABLE_SHARE_RDZV_TCP_STORE"] == "1"


def test_ranks_of_one_machine_need_no_name_of_it(config):
    def local_address(machines: int) -> list[str]:
        line = words(rendered("train.py:ctr", "--config", config, "-j", f"{machines}x2"), "torchrun")
        return line[line.index("--local_addr") + 1 :][:1] if "--local_addr" in line else []

    assert local_address(1) == ["localhost"]
    assert local_address(2) == []


def test_config_is_required():
    with pytest.raises(SystemExit):
        rendered("train.py:ctr", "-j", "1x2")


@pytest.mark.parametrize("torchrun", [None, "/bin/torchrun"])
def test_torchrun_is_found_beside_python_where_no_environment_is_active(monkeypatch, config, torchrun):
    monkeypatch.setattr(shutil, "which", lambda name: torchrun)
    line = rendered("train.py:ctr", "--config", config)._app.roles[0].args[-1]
    assert line.startswith("torchrun" if torchrun else 'PATH="$$PATH":/')


def test_evaluate_runs_its_command():
    info = rendered(
        "evaluate.py:evaluate", "--run", "runs/x", "--split", "validation", "-j", "1x2", "--", "data.path=y"
    )
    line = words(info, "torchrun")
    ours = line[line.index("-m") + 1 :]
    assert ours[:2] == ["train", "evaluate"]
    taken = evaluate.make_context("evaluate", ours[2:]).params
    assert taken == {"run": "runs/x", "split": "validation", "checkpoint": "best", "overrides": ("data.path=y",)}
    assert info._app.roles[0].env["PET_LOG_DIR"] == "runs/x/logs"
