"""The run folder: who may claim it, what is written and how."""

import json
import subprocess
import threading

import pytest

from embeddings.errors import InputError
from embeddings.files import folder_lock
from tests.train.launch import about, cli, one_line, rows
from train.ctr.config import load_config
from train.run import run_folder
from train.run.run_folder import RunFolder, claim, claimed, git_state, versions


@pytest.fixture
def config_with(tmp_path):
    """A config whose run goes to tmp_path/runs/mine; takes overrides."""
    (tmp_path / "mine.yaml").write_text(f"data: {{path: none}}\nrun: {{root: {tmp_path / 'runs'}}}\n")
    return lambda *overrides: load_config(str(tmp_path / "mine.yaml"), overrides)


def test_a_new_folder_is_claimed_with_its_parents(config_with, tmp_path):
    claim(config_with("run.name=a/b"))
    assert (tmp_path / "runs" / "a" / "b").is_dir()
    claim(config_with("run.name=a/b"))  # nothing was written into it


def test_a_folder_in_use(config_with, tmp_path):
    folder = tmp_path / "runs" / "mine"
    claim(config_with())
    (folder / "run.json").write_text("{}")
    with pytest.raises(
        InputError, match=r"run folder '.*mine' exists; set run.name .* run.resume=true .* run.overwrite"
    ):
        claim(config_with())
    with pytest.raises(InputError, match=r"run.resume is set, but '.*mine' has no checkpoint"):
        claim(config_with("run.resume=true"))
    claim(config_with("run.overwrite=true"))
    assert (folder / "run.json").exists(), "claiming deletes nothing"
    (folder / "run.json").unlink()
    (folder / "other.txt").write_text("")
    with pytest.raises(InputError, match=r"holds no run, and run.overwrite deletes runs only"):
        claim(config_with("run.overwrite=true"))


def test_a_launcher_may_log_into_the_folder_before_the_run_and_through_its_overwriting(config_with, tmp_path):
    folder = tmp_path / "runs" / "mine"
    (folder / "logs").mkdir(parents=True)
    (folder / "logs" / "stdout.log").write_text("starting")
    claim(config_with())
    RunFolder(config_with(), {}).close()
    (folder / "checkpoints").mkdir()
    (folder / "checkpoints" / "x").write_text("")
    config = config_with("run.overwrite=true")
    claim(config)
    RunFolder(config, {}).close()
    assert (folder / "logs" / "stdout.log").read_text() == "starting"
    assert not (folder / "checkpoints").exists()


def test_what_a_run_writes(config_with, tmp_path):
    config = config_with("train.seed=5")
    claim(config)
    folder = RunFolder(config, {"mode": "simtier"})
    folder.log({"kind": "train", "step": 3, "epoch": 1, "loss": 0.5, "ne": None})
    folder.log({"kind": "evaluation", "step": 3, "epoch": 1, "split": "validation", "auc": 0.75})
    folder.update(status="done", best_epoch=1)
    folder.close()
    path = tmp_path / "runs" / "mine"
    assert load_config(str(path / "config.yaml")) == config
    about = json.loads((path / "run.json").read_text())
    assert (about["name"], about["status"], about["seed"], about["mode"]) == ("mine", "done", 5, "simtier")
    assert about["versions"]["torch"] and len(about["git"].get("commit", 40 * "0")) == 40
    rows = [json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()]
    assert [(r["kind"], r["step"]) for r in rows] == [("train", 3), ("evaluation", 3)]
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(path / "tensorboard")).Reload()
    assert events.Tags()["scalars"] == ["train/loss", "validation/auc"]
    assert [(e.step, e.value) for e in events.Scalars("validation/auc")] == [(3, 0.75)]


def steps(path) -> list[tuple[str, int]]:
    return [(row["kind"], row["step"]) for row in map(json.loads, path.read_text().splitlines())]


@pytest.fixture
def logged(config_with, tmp_path):
    """A run's folder with three rows, and their file."""
    claim(config_with())
    folder = RunFolder(config_with(), {})
    for step in (1, 2, 3):
        folder.log({"kind": "train", "step": step})
    yield folder, tmp_path / "runs" / "mine" / "metrics.jsonl"
    folder.close()


def test_rewind_drops_later_rows_and_one_that_was_cut_short(logged, capsys):
    folder, path = logged
    with open(path, "a") as out:
        out.write('{"kind": "tr')
    assert folder.rows == 3 and [r["step"] for r in folder.rewind(3, 3)] == [1, 2, 3]
    assert [r["step"] for r in folder.rewind(2, 2)] == [1, 2] and capsys.readouterr().err == ""
    folder.log({"kind": "train", "step": 3})
    assert steps(path) == [("train", 1), ("train", 2), ("train", 3)]


def test_a_new_run_has_nothing_to_rewind(config_with, capsys):
    claim(config_with())
    folder = RunFolder(config_with(), {})
    assert folder.rewind(0, 0) == [] and capsys.readouterr().err == ""
    folder.close()


@pytest.mark.parametrize(
    ("damage", "kept", "why"),
    [
        (lambda lines: lines[:1], [1], "there are 1"),
        (lambda lines: [], [], "there are 0"),
        (lambda lines: [lines[0], b"\xff\n", lines[2]], [1, 3], "line 2 is not readable JSON"),
        (lambda lines: [*lines[:2], lines[2][:9]], [1, 2], "line 3 is not readable JSON"),
    ],
)
def test_rows_that_the_checkpoint_counts_and_that_are_gone_are_said_and_counted(logged, capsys, damage, kept, why):
    folder, path = logged
    path.write_bytes(b"".join(damage(path.read_bytes().splitlines(keepends=True))))
    rows = folder.rewind(3, 7)
    lost = 3 - len(kept)
    assert [r["step"] for r in rows if r["kind"] == "train"] == kept and folder.rows == len(rows) == 3
    (line,) = capsys.readouterr().err.splitlines()
    assert f"of the 3 rows of '{path}' before the checkpoint, {lost} are lost" in line and why in line
    assert steps(path).count(("lost", 7)) == lost
    folder.log({"kind": "train", "step": 8})  # a kill comes before the next checkpoint, so this row is written again
    assert folder.rewind(3, 7) == rows, "no row is there twice"
    assert "lost" not in folder.latest


def test_a_checkpoint_that_counts_any_number_of_rows_fills_no_disk(logged, capsys, monkeypatch):
    folder, path = logged
    monkeypatch.setattr(run_folder, "_MOST_LOST", 5)
    assert len(folder.rewind(1 << 61, 7)) == folder.rows == len(path.read_text().splitlines()) == 8
    assert f"of the {1 << 61} rows" in capsys.readouterr().err


def test_rows_are_on_disk_before_a_checkpoint_counts_them(logged, monkeypatch):
    folder, path = logged
    synced = []
    monkeypatch.setattr("train.run.run_folder.sync_path", lambda place: synced.append(str(place)))
    folder.sync()
    assert synced == [str(path), str(path.parent)]


def test_a_folder_that_is_being_written_is_refused_to_all_others(config_with, tmp_path):
    other = []

    def attempt(*overrides: str) -> None:
        try:
            with claimed(config_with(*overrides)):
                pass
        except InputError as error:
            other.append(str(error))

    with claimed(config_with()):
        (tmp_path / "runs" / "mine" / "run.json").write_text("{}")
        (tmp_path / "runs" / "mine" / "checkpoints").mkdir()
        for setting in ("run.overwrite=true", "run.resume=auto", "run.resume=true"):
            thread = threading.Thread(target=attempt, args=(setting,))
            thread.start()
            thread.join()
    assert len(other) == 3 and len(set(other)) == 1
    assert other[0].startswith(f"run folder '{tmp_path}/runs/mine' is being written by ")
    assert other[0].endswith("; wait until that ends, or choose another run.name")
    assert sorted(p.name for p in (tmp_path / "runs" / "mine").iterdir()) == ["checkpoints", "run.json"]


def test_whoever_gets_the_lock_later_looks_again(config_with, tmp_path, monkeypatch):
    """A run that is new to both, and that the first has made when the second gets the lock."""
    acquired = folder_lock._acquired

    def after_the_first(*arguments):
        (tmp_path / "runs" / "mine" / "run.json").write_text("{}")
        return acquired(*arguments)

    monkeypatch.setattr(folder_lock, "_acquired", after_the_first)
    with pytest.raises(InputError, match=r"exists; set run\.name"), claimed(config_with()):
        pass


def test_what_a_kill_left_of_the_lock_makes_no_run(config_with, tmp_path):
    (tmp_path / "runs" / "mine").mkdir(parents=True)
    (tmp_path / "runs" / "mine" / ".lock").write_text("")
    with claimed(config_with()):
        RunFolder(config_with("run.overwrite=true"), {}).close()
        assert (tmp_path / "runs" / "mine" / ".lock").exists(), "overwriting keeps its own lock"
    assert not (tmp_path / "runs" / "mine" / ".lock").exists()


def test_overwriting_begins_with_an_empty_folder(config_with, tmp_path):
    config = config_with("run.overwrite=true")
    claim(config)
    RunFolder(config, {}).close()
    (tmp_path / "runs" / "mine" / "checkpoints").mkdir()
    claim(config)
    RunFolder(config, {}).close()
    names = {p.name for p in (tmp_path / "runs" / "mine").iterdir()}
    assert names == {"config.yaml", "run.json", "tensorboard"}


def test_versions_and_git(monkeypatch):
    assert {"python", "torch", "torchrec", "pyarrow"} <= set(versions())
    monkeypatch.setenv("PATH", "")
    assert git_state() == {}


def test_a_run_folder_that_exists(config, tmp_path):
    path = config()
    assert cli("ctr", "--config", path, "train.max_steps=1").status == 0
    before = about(tmp_path / "runs" / "run")
    one_line(cli("ctr", "--config", path), "runs/run' exists; set run.name to another name", "run.overwrite=true to")
    assert about(tmp_path / "runs" / "run") == before


def test_overwriting_waits_until_the_new_run_can_begin(config, tmp_path, own_data):
    path, run = config(own_data), tmp_path / "runs" / "run"
    assert cli("ctr", "--config", path, "train.max_steps=2").status == 0
    for mistake in ("data.path=nowhere", "data.train=nosuch", "sharding.tables.usr.sharding_types=[row_wise]"):
        assert cli("ctr", "--config", path, "run.overwrite=true", mistake).status == 2
        assert about(run)["status"] == "done" and len(rows(run)) == 2, mistake
    assert cli("ctr", "--config", path, "run.overwrite=true", "train.max_steps=1").status == 0
    assert len(rows(run)) == 1 and [p.name for p in (run / "checkpoints").glob("step*")] == ["step-00000001"]


def test_overwriting_something_that_is_no_run(config, tmp_path):
    (tmp_path / "runs" / "run").mkdir(parents=True)
    (tmp_path / "runs" / "run" / "thesis.txt").write_text("precious")
    one_line(
        cli("ctr", "--config", config(), "run.overwrite=true"), "holds no run, and run.overwrite deletes runs only"
    )
    assert (tmp_path / "runs" / "run" / "thesis.txt").read_text() == "precious"
    (tmp_path / "runs" / "file").write_text("")
    one_line(cli("ctr", "--config", config(), "run.name=file"), "runs/file' is a file")


def test_a_read_only_place(config, tmp_path):
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "none", str(place)], capture_output=True).returncode:
        pytest.skip("cannot mount a read-only file system; needs root")
    try:
        one_line(cli("ctr", "--config", config(), f"run.root={place}/runs"), "read-only file system")
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)
