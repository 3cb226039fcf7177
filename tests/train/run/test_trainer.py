"""What the settings of the loop mean: how long it trains, when it validates, logs and saves, what it calls best."""

import errno
import json
from collections.abc import Callable

import pytest

from embeddings.errors import InputError
from tests.embeddings.files.held_folder import held_elsewhere
from tests.train.launch import about, rows
from tests.train.run.scripted_task import BATCHES, ScriptedTask
from train.checkpoint.checkpointer import Checkpointer
from train.config import RunSettings
from train.run import trainer as trainer_module
from train.run.run_folder import RunFolder
from train.run.trainer import train
from train.run.trainer_state import TrainerState

Run = Callable[..., ScriptedTask]


@pytest.fixture
def run(ranks, tmp_path) -> Run:
    """Trains a scripted task in ``tmp_path/run``, with settings of the loop; returns it."""

    def trained(
        scores: list[float], lower: bool = False, data=None, process=None, resume: bool = False, **loop
    ) -> ScriptedTask:
        place = {"root": str(tmp_path), "name": "run", "resume": resume}
        settings = RunSettings.model_validate(
            {"data": {"path": "none", **(data or {})}, "process": process or {}, "train": loop, "run": place}
        )
        task = ScriptedTask(settings, ranks, scores, lower)
        train(settings, ranks, lambda: task)
        return task

    return trained


def checkpoints(tmp_path) -> list[int]:
    """The steps of the checkpoints that are left."""
    return sorted(int(p.name.removeprefix("step-")) for p in (tmp_path / "run" / "checkpoints").glob("step-*"))


def validated(task: ScriptedTask) -> list[float]:
    """The epochs, as they were trained, after which the validation split was evaluated."""
    return [weight / BATCHES for split, weight in task.evaluated if split == task.settings.data.validation]


def test_epochs(run):
    task = run([0.5], epochs=3)
    assert task.epochs == [0, 1, 2]
    assert task.evaluated == [("validation", 4), ("validation", 8), ("validation", 12), ("test", 4)]


def test_max_steps_ends_inside_an_epoch_and_validates(run, tmp_path):
    task = run([0.5], epochs=3, max_steps=6, log_every=1)
    assert [r["step"] for r in rows(tmp_path / "run")] == [1, 2, 3, 4, 5, 6]
    assert task.epochs == [0, 1] and validated(task) == [1, 1.5] and checkpoints(tmp_path)[-1] == 6


def test_max_steps_at_an_epoch_s_end_validates_whatever_evaluate_every_says(run):
    task = run([0.5], epochs=3, max_steps=8, evaluate_every=9)
    assert validated(task) == [2] and task.epochs == [0, 1], "and no third epoch is begun for it"


def stopped(run, monkeypatch, at: int, *arguments, **loop) -> None:
    """Train until ^C before the step after ``at`` steps."""
    step = ScriptedTask.step

    def stop(self, batches, state):
        if state.step == at:
            raise KeyboardInterrupt
        return step(self, batches, state)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(ScriptedTask, "step", stop)
        run(*arguments, **loop)


def test_a_run_resumed_with_fewer_epochs_than_it_has_had_is_validated_and_tested(run, tmp_path, monkeypatch):
    stopped(run, monkeypatch, 7, [0.5], epochs=9, evaluate_every=5, checkpoint_every=3)
    task = run([0.5], resume=True, epochs=1, evaluate_every=5)
    assert task.epochs == [] and task.evaluated == [("validation", 6), ("test", 6)]
    assert about(tmp_path / "run")["status"] == "done" and about(tmp_path / "run")["best_epoch"] == 2
    again = run([0.5], resume=True, epochs=1, evaluate_every=5)
    assert again.evaluated == [("test", 6)], "one validation is enough"


@pytest.mark.parametrize(("score", "best"), [(0.9, 6), (0.1, 4)])
def test_steps_after_the_last_validation_of_a_run_resumed_with_fewer_epochs_are_judged(run, monkeypatch, score, best):
    stopped(run, monkeypatch, 7, [0.5], epochs=9, checkpoint_every=3)
    assert run([score], resume=True, epochs=1).evaluated == [("validation", 6), ("test", best)]


def test_a_whole_run_whose_checkpoint_does_not_tell_of_its_validation_is_not_validated_again(run, monkeypatch):
    run([0.5], epochs=2)
    state_of, told = TrainerState.of, TrainerState.__dataclass_fields__.keys() - {"validated"}
    monkeypatch.setattr(TrainerState, "of", lambda progress: state_of({k: progress[k] for k in told}))
    assert run([0.5], resume=True, epochs=2).evaluated == [("test", 4)]


def test_what_was_trained_is_saved_before_it_is_judged(run, tmp_path, monkeypatch):
    def unjudged(self, split, advance):
        raise InputError("nobody can judge this split")

    with monkeypatch.context() as patch, pytest.raises(InputError, match="nobody can judge"):
        patch.setattr(ScriptedTask, "evaluate", unjudged)
        run([0.5], epochs=2)
    assert checkpoints(tmp_path) == [BATCHES] and about(tmp_path / "run")["status"] == "failed"
    task = run([0.5], resume=True, epochs=2)
    assert task.evaluated == [("validation", 4), ("validation", 8), ("test", 4)]


@pytest.mark.parametrize(
    ("every", "saved"),
    [
        (None, [(4, False), (4, True), (8, False)]),
        (4, [(4, False), (4, True), (8, False), (8, False)]),
    ],
)
def test_it_is_saved_twice_before_and_after_the_first_validation_alone(run, monkeypatch, every, saved):
    save, seen = Checkpointer.save, []

    def watched(self, state, progress, best):
        seen.append((progress["step"], best))
        save(self, state, progress, best)

    monkeypatch.setattr(Checkpointer, "save", watched)
    run([0.5, 0.4], epochs=2, checkpoint_every=every)
    assert seen == saved


def test_a_run_whose_first_files_cannot_be_written_has_failed(run, tmp_path, monkeypatch):
    def refuse(self, folder):
        raise OSError(errno.ENOSPC, "no space left on device", str(folder / "plan.json"))

    monkeypatch.setattr(ScriptedTask, "write_start", refuse)
    with pytest.raises(OSError, match="no space left"):
        run([0.5])
    assert about(tmp_path / "run")["status"] == "failed"


def test_patience_counts_validations_since_the_best(run):
    worse = [0.5, 0.6, 0.55, 0.7, 0.6, 0.65, 0.9]
    assert len(run(worse, epochs=7, patience=2).epochs) == 6


@pytest.mark.parametrize(("patience", "epochs"), [(1, 2), (3, 4), (None, 7)])
def test_patience_ends_the_run_so_many_validations_after_the_best(run, patience, epochs):
    assert len(run([0.9, 0.1], epochs=7, patience=patience).epochs) == epochs


def test_patience_is_of_validations_and_not_of_epochs(run):
    assert len(run([0.9, 0.1], epochs=9, patience=2, evaluate_every=2).epochs) == 6


@pytest.mark.parametrize(("lower", "best"), [(False, 2), (True, 3)])
def test_the_best_epoch_is_the_best_score_s_and_is_what_is_tested(run, tmp_path, lower, best):
    task = run([0.5, 0.8, 0.2, 0.4], lower=lower, epochs=4)
    assert about(tmp_path / "run")["best_epoch"] == best
    assert task.evaluated[-1] == ("test", best * BATCHES), "with the weights of that epoch"
    assert json.loads((tmp_path / "run" / "checkpoints" / "best.json").read_text())["checkpoint"].endswith(
        f"{best * BATCHES}"
    )


@pytest.mark.parametrize(("every", "epochs"), [(1, [1, 2, 3, 4, 5]), (2, [2, 4, 5]), (9, [5])])
def test_evaluate_every_and_after_the_last(run, every, epochs):
    assert validated(run([0.5], epochs=5, evaluate_every=every)) == epochs


@pytest.mark.parametrize(("every", "steps"), [(1, [1, 2, 3, 4, 5, 6, 7, 8]), (3, [3, 4, 7, 8]), (50, [4, 8])])
def test_log_every_counts_an_epoch_s_steps_and_its_last_is_logged(run, tmp_path, every, steps):
    run([0.5], epochs=2, log_every=every)
    assert [r["step"] for r in rows(tmp_path / "run")] == steps


@pytest.mark.parametrize(("every", "steps"), [(None, [4, 8]), (3, [3, 4, 6, 8]), (8, [4, 8])])
def test_checkpoint_every_counts_all_steps_beside_those_at_validations(run, tmp_path, every, steps):
    run([0.1, 0.2], epochs=2, checkpoint_every=every, keep=99)
    assert checkpoints(tmp_path) == steps


@pytest.mark.parametrize(("minutes", "steps"), [(None, [4, 8]), (2.0, [2, 4, 6, 8]), (3.0, [3, 4, 7, 8])])
def test_checkpoint_minutes(run, tmp_path, monkeypatch, minutes, steps):
    """A step takes a minute, and ranks agree after each."""
    clock = iter(range(0, 10**6, 60))
    schedule = "train.run.checkpoint_schedule"
    monkeypatch.setattr(f"{schedule}.Consensus.due", lambda self: True)
    now = [0.0]
    monkeypatch.setattr(f"{schedule}.time.monotonic", lambda: now[0])
    step = ScriptedTask.step

    def slow(self, batches, state):
        now[0] = float(next(clock)) + 60
        return step(self, batches, state)

    monkeypatch.setattr(ScriptedTask, "step", slow)
    run([0.1, 0.2], epochs=2, checkpoint_minutes=minutes, keep=99)
    assert checkpoints(tmp_path) == steps


@pytest.mark.parametrize(("keep", "steps"), [(1, [4, 16]), (2, [4, 12, 16]), (9, [4, 8, 12, 16])])
def test_keep_is_of_the_newest_besides_the_best(run, tmp_path, keep, steps):
    run([0.9, 0.1], epochs=4, keep=keep)
    assert checkpoints(tmp_path) == steps


@pytest.mark.parametrize(
    ("data", "splits"),
    [({}, {"validation", "test"}), ({"test": None}, {"validation"}), ({"validation": "v", "test": "t"}, {"v", "t"})],
)
def test_splits_are_evaluated_by_their_names(run, data, splits):
    assert {split for split, _ in run([0.5], data=data).evaluated} == splits


def test_the_times_of_the_process_reach_checkpoints_and_the_end(run, monkeypatch):
    seen = []
    checkpointer, to_end = trainer_module.Checkpointer, trainer_module.run_to_end

    def open_checkpointer(folder, ranks, keep, timeout_s, progress):
        seen.append((keep, timeout_s))
        return checkpointer(folder, ranks, keep, timeout_s, progress)

    def ended(run, grace_s):
        seen.append(grace_s)
        to_end(run, grace_s)

    monkeypatch.setattr(trainer_module, "Checkpointer", open_checkpointer)
    monkeypatch.setattr(trainer_module, "run_to_end", ended)
    run([0.5], process={"timeout_s": 77, "grace_s": 33}, keep=5)
    assert seen == [(5, 77), 33]


def refused(tmp_path) -> bool:
    """Whether another process would be kept out of the run's folder."""
    try:
        with held_elsewhere(tmp_path / "run", inside=True):
            return False
    except InputError:
        return True


def test_the_folder_is_the_run_s_own_from_its_first_step_to_its_end(run, tmp_path, monkeypatch):
    step, seen = ScriptedTask.step, []

    def look(self, batches, state):
        seen.append(refused(tmp_path))
        return step(self, batches, state)

    monkeypatch.setattr(ScriptedTask, "step", look)
    run([0.5])
    assert seen == [True] * BATCHES and not refused(tmp_path)
    stopped(run, monkeypatch, 6, [0.5], resume=True, epochs=3)
    assert not refused(tmp_path), "a run that was stopped leaves it too"


def test_a_folder_into_which_a_checkpoint_is_still_written_stays_locked_until_the_process_ends(
    run, tmp_path, monkeypatch
):
    at_exit: list[Callable[[], None]] = []
    monkeypatch.setattr(trainer_module.atexit, "register", at_exit.append)
    monkeypatch.setattr(Checkpointer, "writing", True)
    stopped(run, monkeypatch, 2, [0.5])
    assert refused(tmp_path)
    (release,) = at_exit
    release()
    assert not refused(tmp_path)


def test_rows_are_on_disk_before_the_checkpoint_that_counts_them(run, monkeypatch):
    save, sync, events = Checkpointer.save, RunFolder.sync, []

    def noted_save(self, state, progress, best):
        events.append(("saved", progress["metrics"]["rows"]))
        save(self, state, progress, best)

    def noted_sync(self):
        sync(self)
        events.append(("synced", self.rows))

    monkeypatch.setattr(Checkpointer, "save", noted_save)
    monkeypatch.setattr(RunFolder, "sync", noted_sync)
    run([0.5], epochs=2, checkpoint_every=3)
    assert len(events) > 4 and events[::2] == [("synced", rows) for _, rows in events[1::2]]
