"""The trainer: epochs, validation, the best, patience, checkpoints, resume and logs of any kind of training."""

import atexit
import contextlib
import math
import statistics
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from embeddings.errors import InputError
from train.checkpoint.checkpointer import Checkpointer
from train.config import RunSettings
from train.distributed.ranks import Ranks, on_first
from train.distributed.signals import StopRequest
from train.run.checkpoint_schedule import CheckpointSchedule
from train.run.finite_loss import NOT_FINITE
from train.run.lifecycle import StopTraining, run_to_end
from train.run.progress import ProgressBar
from train.run.run_folder import RunFolder, claimed
from train.run.task import TrainingTask
from train.run.trainer_state import TrainerState


def train(config: RunSettings, ranks: Ranks, build_task: Callable[[], TrainingTask]) -> None:
    """Claim the run's folder, build its task, train, validate and test. All ranks call it."""
    with contextlib.ExitStack() as held:
        on_first(ranks, lambda: held.enter_context(claimed(config)))
        trainer = Trainer(build_task())
        try:
            run_to_end(trainer, config.process.grace_s)
        finally:
            if trainer.checkpointer.writing:  # longer than the grace: the folder is ours until this process ends
                atexit.register(held.pop_all().close)


class Trainer:
    """One run of a task. Every rank makes one; rank 0 writes the run's folder.

    Raises InputError for what a user can fix; a resume that is refused leaves the run's folder as it was.
    """

    def __init__(self, task: TrainingTask) -> None:
        self.task, self.ranks, self.config = task, task.ranks, task.settings
        loop, process = self.config.train, self.config.process
        self.checkpointer = Checkpointer(
            self.config.run_folder, self.ranks, loop.keep, process.timeout_s, task.progress_model
        )
        self.state = TrainerState()
        rows = self._resume() if self.config.run.resume else 0  # before anything is written
        if self.state.step == 0:
            task.start()
        self.folder = RunFolder(self.config, self._about()) if self.ranks.first else None
        self._speeds: list[float] = []
        self._saved_step, self._validations = self.state.step, 0
        if self.folder and self.config.run.resume:
            kept = self.folder.rewind(rows, self.state.step)
            speeds = (row.get("examples_per_s") for row in kept if row["kind"] == "train")
            self._speeds = [speed for speed in speeds if isinstance(speed, int | float)]

    def _about(self) -> dict[str, Any]:
        return {**self.task.about(), "world_size": self.ranks.world_size, "device": self.ranks.device.type}

    def _resume(self) -> int:
        """Go on from the newest checkpoint that is whole; the rows of metrics.jsonl up to there."""
        checkpoint = self.checkpointer.to_resume(self.config.run.resume)
        if checkpoint is None:
            return 0
        path, progress = checkpoint
        batch = self.task.resume(progress)
        self.checkpointer.load(path, self.task.checkpoint_state, progress, seed=self.config.train.seed)
        self.state = TrainerState.of(progress)
        self.state.batch = self.state.batch if batch is None else batch
        if self.ranks.first:
            print(f"resumed from {path.name}: epoch {self.state.epoch + 1}, step {self.state.step}", flush=True)
        return progress["metrics"]["rows"]

    def fit(self, stop: StopRequest) -> None:
        """Train to the last epoch. Once ``stop`` is asked for: save, then raise KeyboardInterrupt."""
        state, task = self.state, self.task
        schedule = CheckpointSchedule(self.config.train, self.ranks, self.checkpointer, stop)
        try:
            if self.folder:
                task.write_start(self.folder.path)
            if state.step == 0:
                task.epoch_ended(state, None)
            while self._goes_on():
                self._train_epoch(schedule)
                ended = state.batch == task.num_batches
                due = not ended or self._due()
                value, better = self._validate(schedule) if due else (None, False)
                if ended:  # else max_steps ended inside the epoch: a resumed run goes on there
                    state.epoch, state.batch = state.epoch + 1, 0
                    task.epoch_ended(state, value)
                if due:
                    self._save(best=better)
                    schedule.saved()
            if state.validated != state.step:  # epochs=0, or a resumed run whose settings leave it no epoch
                self._save(best=self._validate(schedule)[1])
        except StopTraining:
            self._save(best=False)
            self.checkpointer.finish()
            stop.now()
        self.checkpointer.finish()

    def _due(self) -> bool:
        """Whether a validation follows the epoch that was just trained."""
        loop, state = self.config.train, self.state
        last = state.epoch + 1 == loop.epochs or state.step >= (loop.max_steps or math.inf)
        return last or (state.epoch + 1) % loop.evaluate_every == 0

    def _goes_on(self) -> bool:
        """Whether there are steps left, or an end that a signal or a kill cut off before its validation."""
        loop, state = self.config.train, self.state
        if state.epoch >= loop.epochs:
            return False
        if state.step >= (loop.max_steps or math.inf):
            return state.validated != state.step
        return loop.patience is None or state.worse < loop.patience

    def _train_epoch(self, schedule: CheckpointSchedule) -> None:
        loop, state, task = self.config.train, self.state, self.task
        batches = task.batches(state)
        if self.ranks.heartbeat:
            batches = self.ranks.heartbeat.around(batches, "waiting for its reader")
        title, done = f"epoch {state.epoch + 1}/{loop.epochs}", state.batch * task.rows_per_step
        bar = ProgressBar(title, task.rows_per_epoch, self.ranks.first, done)
        most = loop.max_steps or math.inf
        try:
            while state.batch < task.num_batches and state.step < most:
                rows = task.step(batches, state)
                state.step, state.batch = state.step + 1, state.batch + 1
                self.ranks.mark(f"after step {state.step}")
                bar.advance(rows)
                last = state.batch == task.num_batches or state.step == most
                flags = schedule.after_step(state.step)
                if state.batch % loop.log_every == 0 or last or flags.save:
                    self._log(bar)
                if last or flags.save:
                    self._refuse_bad_weights()
                if flags.stop:
                    raise StopTraining
                if flags.save:
                    self._save(best=False)
        finally:
            batches.close()
            bar.close()
        self._log_read_counters(self.config.data.train)
        task.epoch_trained()

    def _refuse_bad_weights(self) -> None:
        """End the run before it saves or validates weights that are infinite or NaN, or of inputs that changed."""
        finite = all(bool(p.isfinite().all()) for p in self.task.dense_parameters())  # the same on every rank

        def judge() -> None:
            self.task.refuse_changed_inputs()
            if not finite:
                raise InputError(f"the weights are not finite after step {self.state.step}; {NOT_FINITE}")

        on_first(self.ranks, judge)

    def _log(self, bar: ProgressBar) -> None:
        row, shown = self.task.logged(self.state)
        self._speeds.append(row["examples_per_s"])
        bar.facts(**shown)
        if self.folder:
            self.folder.log({"kind": "train", "step": self.state.step, "epoch": self.state.epoch + 1, **row})

    def _log_read_counters(self, split: str) -> None:
        counters = self.task.read_counters(split)
        if self.folder and counters:
            about = {"split": split, "step": self.state.step, "epoch": self.state.epoch + 1}
            self.folder.log({"kind": "reading", **about, **counters})
            print(f"{split}: " + "  ".join(f"{k} {v:.4g}" for k, v in counters.items()), flush=True)

    def _validate(self, schedule: CheckpointSchedule) -> tuple[float, bool]:
        """Evaluate the validation split, log it; its selected metric, and whether that is the best so far.

        Before the first one of this process everything is saved: nobody knows yet whether the split can be judged.
        """
        if not self._validations and self._saved_step != self.state.step:
            self._save(best=False)
            self.checkpointer.finish()

        def stop_if_asked() -> None:
            if schedule.between_batches().stop:
                raise StopTraining

        state, (name, lower_is_better) = self.state, self.task.select
        value = self._evaluate(self.config.data.validation, stop_if_asked)[name]
        sign = -1 if lower_is_better else 1
        better = state.best is None or sign * value > sign * state.best
        state.validated, state.worse = state.step, 0 if better else state.worse + 1
        self._validations += 1
        if better:
            state.best, state.best_epoch = value, state.epoch
            self.task.best_found()
        return value, better

    def _evaluate(self, split: str, between_batches: Callable[[], None] = lambda: None) -> dict[str, Any]:
        bar = ProgressBar(split, self.task.rows_of(split), self.ranks.first)

        def advance(rows: int) -> None:
            bar.advance(rows)
            between_batches()

        with contextlib.closing(bar):
            metrics = self.task.evaluate(split, advance)
        self._log_read_counters(split)
        if self.folder:
            epoch = self.state.epochs_begun
            self.folder.log({"kind": "evaluation", "step": self.state.step, "epoch": epoch, "split": split, **metrics})
            shown = {name: metrics[name] for name in self.task.printed if metrics[name] is not None}
            print(f"epoch {epoch}: {split} " + "  ".join(f"{k} {v:.4f}" for k, v in shown.items()), flush=True)
        return metrics

    def _save(self, best: bool) -> None:
        """Begin to save the run as it stands."""
        if self.folder:
            self.folder.sync()
        progress = {
            **asdict(self.state),
            **self.task.progress(self.state),
            "config": self.config.model_dump(),
            "metrics": {"rows": self.folder.rows, **self.folder.latest} if self.folder else None,
        }
        self.checkpointer.save(self.task.checkpoint_state, progress, best)
        self._saved_step = self.state.step

    def test(self) -> None:
        """Evaluate the test split, where there is one, with the best weights."""
        split = self.config.data.test
        if split is not None:
            self.checkpointer.load_best(self.task.checkpoint_state)
            self.task.test(split, self._evaluate, self.state)

    def end(self, status: str) -> None:
        """Close the run's folder with its status."""
        if self.folder:
            best = self.state.best_epoch
            self.folder.update(
                status=status,
                examples_per_s=statistics.median(self._speeds) if self._speeds else None,
                best_epoch=None if best is None else best + 1,
                **self.task.about_end(self.state),
            )
            self.folder.close()
