"""The life of a near-line training: from a CTR run's checkpoint, or its own, along a stream of files, until its end."""

import atexit
import contextlib
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from embeddings.errors import InputError
from embeddings.frozen.check_store import refuse_changed
from recsys.metrics import normalised_entropy
from recsys.stream.position import StreamPosition
from train.checkpoint.checkpointer import Checkpointer
from train.checkpoint.shards import TensorShard
from train.ctr.checkpoint_state import CTRCheckpointState
from train.ctr.config import Config
from train.ctr.train_pipeline import train_pipeline
from train.distributed.consensus import ControlFlags
from train.distributed.ranks import Ranks, on_all, on_first
from train.distributed.signals import StopRequest
from train.export.export_run import export_run
from train.nearline.begin import begin
from train.nearline.file_rows import FileReader, StreamFile
from train.nearline.progress import NearlineProgress
from train.nearline.publisher import Publisher
from train.nearline.settings import NAME, NearlineSettings, nearline_config, refuse_nothing_to_do
from train.nearline.stream_folder import StreamFolder, say
from train.nearline.touched_rows import TouchedRows
from train.run.checkpoint_schedule import CheckpointSchedule
from train.run.finite_loss import NOT_FINITE, refuse_bad_loss
from train.run.lifecycle import StopTraining, run_to_end
from train.run.metrics_window import MetricsWindow
from train.run.run_folder import RunFolder, claimed
from train.run.task import Batches

_ROUND_S = 0.5  # that rank 0 waits for a file before it tells the others that there is none
_POLL_S = 0.02
_SLOW_DISK_S = 5.0  # after which another host has to see a file that rank 0 sees


@dataclass(frozen=True)
class _Round:
    """What all ranks do next: publish ``what``, if anything; ``end``, or save, and train on ``path``, if any."""

    what: str | None = None
    path: Path | None = None
    save: bool = False
    end: bool = False


def train_nearline(config: Config, settings: NearlineSettings, ranks: Ranks) -> None:
    """Follow a stream. All ranks call it.

    Args:
        config: of the CTR run that is trained on.
    """
    own = nearline_config(config)
    with contextlib.ExitStack() as held:
        on_first(ranks, lambda: refuse_nothing_to_do(config, settings))
        on_first(ranks, lambda: held.enter_context(claimed(own)))
        run = NearlineRun(config, own, settings, ranks)
        try:
            run_to_end(run, config.process.grace_s)
        finally:
            if run.checkpointer.writing:
                atexit.register(held.pop_all().close)


class NearlineRun:
    """One near-line training. Every rank makes one; rank 0 looks at the stream, writes and publishes."""

    def __init__(self, config: Config, own: Config, settings: NearlineSettings, ranks: Ranks) -> None:
        self.config, self.settings, self.ranks = own, settings, ranks
        keep, timeout_s = config.train.keep, config.process.timeout_s
        self.checkpointer = Checkpointer(own.run_folder, ranks, keep, timeout_s, NearlineProgress)
        start = begin(config, settings, ranks, self.checkpointer)
        self.trainable, self.stores, self.state = start.trainable, start.stores, start.state
        self.position, self.counters, self._kept = start.position, start.counters, start.kept
        self._checkpoint_state = CTRCheckpointState(self.trainable)
        self._stream = StreamFolder(settings.stream, self.position.number, self.counters)
        self._reader = FileReader(
            start.schema, self.stores, batch_size=config.data.batch_size, prefetch=config.data.prefetch,
            rank=ranks.rank, world_size=ranks.world_size,
        )  # fmt: skip
        self._touched = TouchedRows(start.schema, start.tables)
        self._pipeline = train_pipeline(
            self.trainable.model, self.trainable.optimizer, ranks.device, bool(self.trainable.plan.tables)
        )
        self._publisher: Publisher | None = None
        if settings.model is not None:
            parts = (start.schema, start.initial, self._touched, self._model_shards, self._export, ranks)
            self._publisher = Publisher(settings, *parts)
            if ranks.first and start.own:
                self._publisher.go_on(self.position)
        self._saved_clock = time.monotonic()
        self._saved_at: StreamPosition | None = self.position if start.own else None
        self.folder = RunFolder(own, self._about()) if ranks.first else None
        if self.folder and start.own:
            self.folder.rewind(start.metrics_rows, self.state.step)
        self._window = MetricsWindow(("loss", "positives"), ranks)
        if ranks.first:
            say(f"near-line training from {start.path}, step {self.state.step}: file {self.position.number} is next")

    def _about(self) -> dict[str, Any]:
        stores = {name: store.checksum for name, store in self.stores.items()}
        return {"mode": NAME, "stores": stores, "world_size": self.ranks.world_size, "device": self.ranks.device.type}

    def fit(self, stop: StopRequest) -> None:
        """Follow the stream to its end. Once ``stop`` is asked for: save, then raise KeyboardInterrupt."""
        schedule = CheckpointSchedule(self.config.train, self.ranks, self.checkpointer, stop)
        self.trainable.model.train()
        self._pipeline.attach(self.trainable.model)
        most = self.settings.stop_after
        last = None if most is None else self.counters.files + most
        try:
            while True:
                self._heed(stop)
                turn = on_first(self.ranks, lambda: self._next_round(stop, last))
                self._publish(turn.what)
                if turn.end:
                    break
                if turn.save:
                    self._save()
                if turn.path is not None:
                    self._train_on(turn.path, schedule)
        except StopTraining:
            self._save()
            self.checkpointer.finish()
            stop.now()
        self._save()
        self.checkpointer.finish()

    def _heed(self, stop: StopRequest) -> None:
        """Stop where any rank was asked to, and end where a checkpoint could not be written."""
        asked = on_all(self.ranks, lambda: (stop.asked, self.checkpointer.failed))
        if any(failed for _, failed in asked):
            self.checkpointer.finish()
        if any(to_stop for to_stop, _ in asked):
            raise StopTraining

    def _next_round(self, stop: StopRequest, last: int | None) -> _Round:
        """On rank 0: wait, not long, for something to do. ``last``: files after which to end."""
        until = time.monotonic() + _ROUND_S
        minutes = self.config.train.checkpoint_minutes
        assert minutes is not None, "nearline_config says"
        while True:
            what = self._publisher.due(self.position) if self._publisher else None
            end = self.counters.files == last or (not self.position.row and self._stream.ended)
            path = None if end else self._stream.look()
            if end and self._publisher:
                what = self._publisher.wanted(self.position)
            now = time.monotonic()
            save = now - self._saved_clock >= 60 * minutes
            if what or end or path or save or stop.asked or now >= until:
                return _Round(what, path, save, end)
            time.sleep(_POLL_S)

    def _train_on(self, path: Path, schedule: CheckpointSchedule) -> None:
        """Train on a file, from the row that the position says; where any rank cannot read it, on nothing."""
        opened: list[StreamFile] = []

        def read() -> str | None:
            try:
                opened.append(self._open(path))
            except InputError as error:
                return str(error)
            return None

        wrong = [why for why in on_all(self.ranks, read) if why]
        if wrong:
            if self.ranks.first:
                self._stream.refuse(path, wrong[0])
            return
        (file,) = opened
        before, flags = self.position, ControlFlags()
        with contextlib.closing(self._noted(file, before.row)) as batches:
            for _, end in self._reader.steps(file, before.row):
                self._step(batches)
                self.position = before.model_copy(update={"row": end})
                self.ranks.mark(f"after step {self.state.step}")
                flags = schedule.after_step(self.state.step)
                if end < file.mark.rows:
                    self._obey(flags)
        self._done_with(file, before)
        self._obey(flags)

    def _obey(self, flags: ControlFlags) -> None:
        if flags.stop:
            raise StopTraining
        if flags.save:
            self._save()

    def _noted(self, file: StreamFile, first_row: int) -> Batches:
        """The file's batches, of which is noted what they look up."""
        with contextlib.closing(self._reader.batches(file, first_row)) as batches:
            for batch in batches:
                self._touched.add(batch)
                yield batch

    def _open(self, path: Path) -> StreamFile:
        until = time.monotonic() + _SLOW_DISK_S
        while True:
            try:
                return self._reader.open(path)
            except FileNotFoundError:
                if time.monotonic() >= until:
                    raise InputError(f"'{path}' is gone, or another host does not see it") from None
                time.sleep(_POLL_S)

    def _step(self, batches: Batches) -> None:
        loss, _, labels = self._pipeline.progress(batches)
        rows = labels.numel()
        self.state.step += 1
        self._window.add(self.state.step, rows, loss.double() * rows, labels.double().sum())

    def _done_with(self, file: StreamFile, before: StreamPosition) -> None:
        mark = file.mark
        if before.event_time is not None and mark.first is not None and mark.first < before.event_time:
            self.counters.backwards += 1
        times = [time for time in (before.event_time, mark.last) if time is not None]
        newest = max(times) if times else None
        self.position = before.model_copy(update={"number": before.number + 1, "row": 0, "event_time": newest})
        self.counters.files += 1
        self.counters.rows += mark.rows
        if self.ranks.first:
            self._stream.taken()
        if self._window.steps:
            self._log(mark.number)

    def _log(self, number: int) -> None:
        metrics = self._window.summary()
        refuse_bad_loss(metrics, self.state, lambda _: f"file {number} of '{self.settings.stream}'")
        if self.folder:
            lag = None if self.position.event_time is None else time.time() - self.position.event_time
            ne = normalised_entropy(metrics.means["loss"], metrics.means["positives"])
            about = {"kind": "train", "step": self.state.step, "epoch": self.state.epochs_begun, "file": number}
            row = {**about, "loss": metrics.means["loss"], "ne": ne, "examples_per_s": metrics.examples_per_s}
            self.folder.log({**row, "lag_s": lag, **self.counters.as_row()})

    def _publish(self, what: str | None) -> None:
        if what is None or self._publisher is None:
            return
        if what == "full":
            self._save()
            self.checkpointer.finish()
            self._publisher.publish_full(self.position)
        else:
            self._publisher.publish_delta(self.position, self.state.step)

    def _save(self) -> None:
        """Begin to write a checkpoint of where training stands, unless there is one."""
        self._saved_clock = time.monotonic()
        if self._saved_at == self.position:
            return
        self._refuse_bad_weights()
        if self.folder:
            self.folder.sync()
        progress = {
            **asdict(self.state),
            **self._kept,
            "stream": self.position.model_dump(),
            "counters": self.counters.as_row(),
            "metrics": {"rows": self.folder.rows, **self.folder.latest} if self.folder else None,
        }
        self.checkpointer.save(self._checkpoint_state, progress, best=True)
        self._saved_at = self.position

    def _refuse_bad_weights(self) -> None:
        dense = (p for name, p in self.trainable.model.named_parameters() if name.startswith("dense."))
        finite = all(bool(p.isfinite().all()) for p in dense)

        def judge() -> None:
            refuse_changed(self.stores.values())
            if not finite:
                raise InputError(f"the weights are not finite after step {self.state.step}; {NOT_FINITE}")

        on_first(self.ranks, judge)

    def _model_shards(self) -> list[TensorShard]:
        return [shard for shard in self._checkpoint_state.shards() if shard.key.startswith("model.")]

    def _export(self) -> None:
        s = self.settings
        assert s.model is not None
        say(str(export_run(self.config, "newest", s.model, s.dtypes, s.dtype, s.keep)))

    def test(self) -> None:
        """There is no test split: whoever scores is the test."""

    def end(self, status: str) -> None:
        """Close the run's folder with its status."""
        if self.folder:
            self.folder.update(status=status, stream=self.position.model_dump(), **self.counters.as_row())
            self.folder.close()
