"""The life of a training run: train an epoch, validate, keep the best; at the end, test the best."""

import contextlib
import math
import statistics
from typing import Any

from embeddings.errors import InputError
from embeddings.planner.sharding_plan import save_plan
from recsys.metrics import compute_metrics
from recsys.schema import load_schema
from train.checkpoint import Checkpoints
from train.config import Config, check_names
from train.ctr.build import build, make_reader, open_stores
from train.ctr.metrics_window import Window
from train.ctr.pretrained_make import export, load_makes
from train.ctr.reset_tables import reset_tables
from train.ctr.resume import resume, save
from train.ctr.scoring import collect, reading, write_evaluation
from train.ctr.train_pipeline import pipeline
from train.data.reader import RowReader
from train.data.stats.mean_lengths import mean_lengths
from train.distributed.consensus import Stop
from train.distributed.process_group import Ranks, on_first
from train.run.checkpoint_schedule import Pace
from train.run.lifecycle import Position, Stopping, live
from train.run.progress import Progress
from train.run.run_folder import RunFolder, claim

_NOT_FINITE = (
    "look for extreme values in the rows, lower the learning rates, or set train.clip_grad_norm; run.resume=true goes "
    "on from the last checkpoint"
)
_LOWER_IS_BETTER = {"ne", "log_loss"}


class Run:
    """One training run. Every rank makes one; rank 0 writes.

    Raises InputError for what the user can mend: the folder, the data, the stores, a plan that does not fit.
    """

    def __init__(self, config: Config, ranks: Ranks) -> None:
        self.config, self.ranks = config, ranks
        on_first(ranks, lambda: claim(config))
        self.schema = load_schema(config.data.path)
        check_names(config, self.schema)
        self.stores = open_stores(self.schema, config.model, config.data.path)
        self.reader = self._reader(config.data.train, training=True)
        self.validation = self._reader(config.data.validation)
        self.test_reader = self._reader(config.data.test) if config.data.test else None
        lengths = mean_lengths(config.data.path, config.data.train, self.schema)
        self.trainable = build(self.schema, config, self.stores, lengths, ranks)
        model, optimizer, tables = self.trainable.model, self.trainable.optimizer, bool(self.trainable.plan.tables)
        self.pipeline = pipeline(model, optimizer, ranks.device, tables)
        self.checkpoints = Checkpoints(config.run_folder, ranks, config.train.keep, config.process.timeout_s)
        self.position = Position()
        self.speeds: list[float] = []
        if config.run.resume:
            logged = resume(self)  # before anything is written: a resume that is refused leaves the run as it was
        if self.position.step == 0:
            load_makes(config, self.stores, self.trainable, ranks)
        self.folder = RunFolder(config, self._about()) if ranks.first else None
        if self.folder and config.run.resume:
            rows = self.folder.rewind(logged)
            self.speeds = [r["examples_per_s"] for r in rows if r["kind"] == "train"]

    def _reader(self, split: str, training: bool = False) -> RowReader:
        return make_reader(self.config, self.schema, self.stores, self.ranks, split, training=training)

    def _about(self) -> dict[str, Any]:
        model = self.config.model
        modes = {m: "+".join(model.parts(m)) or "none" for m in self.schema.modalities}
        together = "+".join(sorted(set(modes.values()) - {"none"})) or "none"
        return {
            "mode": together if model.pretrained_modality is None else "make alone",
            "modes": modes,
            "world_size": self.ranks.world_size,
            "device": self.ranks.device.type,
            "stores": {name: store.checksum for name, store in self.stores.items()},
            "dense_parameters": self.trainable.dense_parameters,
            "table_parameters": sum(
                t.num_embeddings * (t.embedding_dim or self.config.model.embedding_dim)
                for t in self.schema.tables.values()
            ),
        }

    def fit(self, stop: Stop) -> None:
        """Train to the last epoch. Once ``stop`` is asked for: save, then raise KeyboardInterrupt."""
        config, position = self.config.train, self.position
        pace = Pace(config, self.ranks, self.checkpoints, stop)
        if self.folder:
            save_plan(self.trainable.plan, self.folder.path / "plan.json")
        if position.step == 0:
            self._export(None)
        while position.epoch < config.epochs and not self._stopped():
            try:
                self._train_epoch(pace)
                value, better = self._validate(pace)
            except Stopping:
                save(self, best=False)
                self.checkpoints.finish()
                stop.now()
            if position.batch == self.reader.num_batches:  # else max_steps ended inside the epoch: resume goes on there
                position.epoch, position.batch = position.epoch + 1, 0
                self._export(value)
            save(self, best=better)
            pace.saved()
        self.checkpoints.finish()

    def _stopped(self) -> bool:
        config, position = self.config.train, self.position
        if position.step >= (config.max_steps or math.inf):
            return position.validated == position.step  # else a signal or a kill cut off the validation
        since = position.epoch - 1 - (position.best_epoch if position.best_epoch is not None else position.epoch)
        return config.patience is not None and since >= config.patience

    def _train_epoch(self, pace: Pace) -> None:
        config, position = self.config.train, self.position
        model = self.trainable.model.train()
        if config.reset_tables == "each_epoch" and position.epoch and not self._rows_taken():
            reset_tables(self.trainable, config.seed, position.epoch)
        self.pipeline.attach(model)
        batches = self.reader.epoch(position.epoch, position.batch)
        if self.ranks.heartbeat:
            batches = self.ranks.heartbeat.around(batches, "waiting for its reader")
        window = Window(self.ranks.device, self.ranks.world_size)
        done = position.batch * self.config.data.batch_size * self.ranks.world_size
        bar = Progress(f"epoch {position.epoch + 1}/{config.epochs}", self.reader.num_rows, self.ranks.first, done)
        most = config.max_steps or math.inf
        try:
            while position.batch < self.reader.num_batches and position.step < most:
                loss, _, labels = self.pipeline.progress(batches)
                position.step, position.batch = position.step + 1, position.batch + 1
                self.ranks.mark(f"after step {position.step}")
                window.add(position.step, loss, labels)
                bar.advance(labels.numel() * self.ranks.world_size)
                last = position.batch == self.reader.num_batches or position.step == most
                wishes = pace.after_step(position.step)
                if position.batch % config.log_every == 0 or last or wishes.save:
                    self._log(window, bar)
                if last or wishes.save:
                    self._refuse_bad_weights()
                if wishes.stop:
                    raise Stopping
                if wishes.save:
                    save(self, best=False)
        finally:
            batches.close()
            bar.close()
        self._log_reading(self.reader)
        self.pipeline.detach()
        self.pipeline.reset()

    def _rows_taken(self) -> int:
        """Rows of this epoch that are trained; a run that goes on with larger batches may begin inside its first."""
        return self.reader.state_dict(self.position.epoch, self.position.batch)["rows"]

    def _refuse_bad_weights(self) -> None:
        """End the run before it saves or validates weights that its last step made infinite or NaN."""
        dense = [p for name, p in self.trainable.model.named_parameters() if name.startswith("dense.")]
        finite = all(bool(p.isfinite().all()) for p in dense)  # the same on every rank

        def judge() -> None:
            if not finite:
                raise InputError(f"the weights are not finite after step {self.position.step}; {_NOT_FINITE}")

        on_first(self.ranks, judge)

    def _log(self, window: Window, bar: Progress) -> None:
        position = self.position
        figures = window.summary()
        if figures.bad_step is not None:
            if not window.bad_here:
                raise SystemExit(2)  # the rank that read the rows says which
            batch = position.batch - 1 - (position.step - figures.bad_step)
            raise InputError(
                f"the loss is not finite at step {figures.bad_step}: {self.reader.position(batch)}; {_NOT_FINITE}"
            )
        self.speeds.append(figures.examples_per_s)
        bar.facts(loss=figures.loss, NE=figures.ne if figures.ne is not None else "undefined")
        if self.folder:
            self.folder.log(
                {
                    "kind": "train",
                    "step": position.step,
                    "epoch": position.epoch + 1,
                    "loss": figures.loss,
                    "ne": figures.ne,
                    "examples_per_s": figures.examples_per_s,
                    "lr_dense": self.trainable.optimizer.param_groups[-1]["lr"],
                    **self._lr_sparse(),
                }
            )

    def _lr_sparse(self) -> dict[str, float]:
        trainable = self.trainable
        return {"lr_sparse": trainable.optimizer.param_groups[0]["lr"]} if trainable.plan.tables else {}

    def _log_reading(self, reader: RowReader) -> None:
        """Histories cut and items without a vector in the pass just read, over all ranks."""
        found = reading(reader, self.schema, self.ranks)
        if self.folder and found:
            position = self.position
            about = {"split": reader.split, "step": position.step, "epoch": position.epoch + 1}
            self.folder.log({"kind": "reading", **about, **found})
            print(f"{reader.split}: " + "  ".join(f"{k} {v:.4g}" for k, v in found.items()), flush=True)

    def _export(self, value: float | None) -> None:
        """The weights of a MAKE that is trained alone, for CTR models to take. ``value`` is its validation's."""
        name, position = self.config.model.pretrained_modality, self.position
        if name is not None and self.folder:
            best = None if position.best_epoch is None else position.best_epoch + 1
            export(self.config, self.stores[name], self.trainable, position.epoch, value, best)

    def _validate(self, pace: Pace) -> tuple[float, bool]:
        """Evaluate, log, and say how good this epoch is, and whether it is the best so far; the same on every rank."""
        position, split = self.position, self.config.data.validation
        bar = Progress("validation", self.validation.num_rows, self.ranks.first)

        def advance(rows: int) -> None:
            bar.advance(rows)
            if pace.between().stop:
                raise Stopping

        with contextlib.closing(bar):
            scores = collect(self.trainable.model, self.validation, self.ranks, advance)
        self._log_reading(self.validation)

        def judged() -> dict[str, Any]:
            assert scores is not None, "rank 0 has the scores"
            found = compute_metrics(scores.labels, scores.logits, scores.users)
            if found[self.config.train.select] is None:
                raise InputError(
                    f"validation split '{split}' gives no {self.config.train.select}, which picks the best epoch "
                    f"({found['rows']} rows, {found['positives']} positive); set train.select to another metric"
                )
            return found

        metrics = on_first(self.ranks, judged)
        value = metrics[self.config.train.select]
        position.validated = position.step
        if self.folder:
            row = {"kind": "evaluation", "step": position.step, "epoch": position.epoch + 1, "split": split, **metrics}
            self.folder.log(row)
            print(
                f"epoch {position.epoch + 1}: {split} "
                + "  ".join(
                    f"{k} {metrics[k]:.4f}" for k in ("gauc", "auc", "ne", "log_loss") if metrics[k] is not None
                ),
                flush=True,
            )
        sign = -1 if self.config.train.select in _LOWER_IS_BETTER else 1
        better = position.best is None or sign * value > sign * position.best
        if better:
            position.best, position.best_epoch = value, position.epoch
        return value, better

    def test(self) -> None:
        """Score the test split once, with the best epoch's weights."""
        if self.test_reader is None:
            return
        self.checkpoints.load_best(self.trainable)
        epoch = (self.position.best_epoch or 0) + 1
        write_evaluation(self.config, self.schema, self.trainable.model, self.test_reader, self.ranks, epoch)

    def end(self, status: str) -> None:
        """Close the run's folder with its status."""
        if self.folder:
            best = self.position.best_epoch
            self.folder.update(
                status=status,
                examples_per_s=statistics.median(self.speeds) if self.speeds else None,
                best_epoch=None if best is None else best + 1,
            )
            self.folder.close()


def train(config: Config, ranks: Ranks) -> None:
    """Train, validate and test as ``config`` says. All ranks call it."""
    live(Run(config, ranks), config.process.grace_s)
