"""The life of a run of contrastive learning: train, validate, keep the best encoder; at the end, test it."""

import contextlib
import math
import statistics
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from embeddings.errors import InputError
from recsys.scl.encoders import save_encoder
from recsys.scl.pairs_schema import load_pairs
from train.distributed.consensus import Stop
from train.distributed.process_group import Ranks, on_first
from train.run import lifecycle as life
from train.run.checkpoint_schedule import Pace
from train.run.progress import Progress
from train.run.run_folder import RunFolder, claim
from train.scl.build import VOCABULARY, build_towers, build_trainable, learning_rate, same_buffers
from train.scl.checkpoint_state import SclCheckpoints, refuse_other_rows
from train.scl.config import SclConfig
from train.scl.decoded_contents import Contents
from train.scl.evaluation import Evaluation
from train.scl.item_contents import ItemContents
from train.scl.metrics_window import Window
from train.scl.pair_reader import PairReader
from train.scl.pair_rows import PairRows
from train.scl.train_step import Step

ENCODER, QUERY_ENCODER = "encoder", "query_encoder"  # of a run's folder; the second where queries are of another kind
SELECT = "acc@1"


@dataclass
class Position(life.Position):
    worse: int = 0  # validations since the best one


class Run:
    """One run. Every rank makes one; rank 0 writes. Raises InputError for what the user can mend."""

    def __init__(self, config: SclConfig, ranks: Ranks) -> None:
        self.config, self.ranks = config, ranks
        on_first(ranks, lambda: claim(config))
        data = config.data
        self.pairs = load_pairs(data.path)
        self.items = ItemContents(data.path, self.pairs.items)
        rows = {
            s: PairRows(data.path, s, self.pairs, self.items) for s in (data.train, data.validation, data.test) if s
        }
        self.towers = build_towers(config, self.pairs, rows[data.train], self.items, ranks)
        share = (data.cache_mib << 20) // (len(rows) + 1)
        items = Contents(self.towers.item, self.items.name, share)
        queries = {s: Contents(self.towers.query, r.place, share) for s, r in rows.items()}
        self.reader = PairReader(
            rows[data.train], self.items, queries[data.train], items, config.augment,
            batch_size=data.batch_size, rank=ranks.rank, world_size=ranks.world_size, seed=config.train.seed,
            shuffle_rows=data.shuffle_rows, workers=data.workers, prefetch=data.prefetch,
            with_negatives=config.model.triplet.weight > 0,
        )  # fmt: skip
        if not self.reader.num_batches:
            raise InputError(
                f"split '{data.train}' has {len(rows[data.train])} rows, and a step takes {self.reader.rows_per_step}; "
                f"lower data.batch_size"
            )
        self.evaluations = {
            s: Evaluation(r, self.items, data.candidates, queries[s], items, ranks, data.eval_batch_size, data.workers)
            for s, r in rows.items() if s != data.train
        }  # fmt: skip
        self.trainable = build_trainable(config, self.towers, ranks)
        autocast = config.train.autocast
        bfloat16 = autocast == "bfloat16" or (autocast == "auto" and ranks.device.type == "cuda")
        self.step = Step(self.trainable, config.model, ranks, bfloat16, config.train.clip_grad_norm)
        self.checkpoints = SclCheckpoints(config.run_folder, ranks, config.train.keep, config.process.timeout_s)
        self.position = Position()
        self.speeds: list[float] = []
        logged = self._resume() if config.run.resume else 0
        self.folder = RunFolder(config, self._about()) if ranks.first else None
        if self.folder:
            if config.run.resume:
                rows_kept = self.folder.rewind(logged)
                self.speeds = [r["examples_per_s"] for r in rows_kept if r["kind"] == "train"]
            self._keep_vocabulary()

    @property
    def steps(self) -> int:
        """Of the whole run."""
        steps = self.config.train.epochs * self.reader.num_batches
        return min(steps, self.config.train.max_steps or steps)

    def _about(self) -> dict[str, Any]:
        return {
            "mode": "scl",
            "world_size": self.ranks.world_size,
            "device": self.ranks.device.type,
            "query": self.towers.query.about,
            "item": self.towers.item.about,
            "parameters": sum(p.numel() for p in self.towers.parameters()),
        }

    def _keep_vocabulary(self) -> None:
        for encoder in (self.towers.query, self.towers.item):
            if encoder.about["library"] == "ours" and encoder.kind == "text":
                (self.folder.path / VOCABULARY).write_text(encoder.decoder.tokenizer.to_str())

    def _resume(self) -> int:
        found = self.checkpoints.to_resume(self.config.run.resume)
        if found is None:
            return 0
        path, progress = found
        refuse_other_rows(self.reader.identity, progress["reader"])
        self.checkpoints.load(path, self.trainable, progress, seed=self.config.train.seed)
        self.position = Position.of(progress)
        if self.ranks.first:
            print(f"resumed from {path.name}: epoch {self.position.epoch + 1}, step {self.position.step}", flush=True)
        return progress["metrics"]["rows"]

    def fit(self, stop: Stop) -> None:
        """Train to the last epoch. Once ``stop`` is asked for: save, then raise KeyboardInterrupt."""
        config, position = self.config.train, self.position
        pace = Pace(config, self.ranks, self.checkpoints, stop)
        try:
            if not self.steps and position.best is None:
                self._validate(pace)
                self._save(best=True)
            while self._goes_on():
                self._train_epoch(pace)
                ended = position.batch == self.reader.num_batches
                due = (position.epoch + 1) % config.evaluate_every == 0 or position.step == self.steps
                better = self._validate(pace) if due else False
                if ended:  # else max_steps ended inside the epoch: resume goes on there
                    position.epoch, position.batch = position.epoch + 1, 0
                if due:
                    self._save(best=better)
                    pace.saved()
        except life.Stopping:
            self._save(best=False)
            self.checkpoints.finish()
            stop.now()
        self.checkpoints.finish()

    def _goes_on(self) -> bool:
        """Whether there are steps left, or an end that a signal or a kill cut off before its validation."""
        patience, position = self.config.train.patience, self.position
        left = position.step < self.steps or position.validated != position.step
        return left and not (patience and position.worse >= patience)

    def _train_epoch(self, pace: Pace) -> None:
        config, position = self.config, self.position
        self.trainable.model.train()
        batches = self.reader.epoch(position.epoch, position.batch)
        if self.ranks.heartbeat:
            batches = self.ranks.heartbeat.around(batches, "waiting for its reader")
        window = Window(self.ranks.device, self.ranks.world_size)
        pairs = self.reader.rows_per_step
        what = f"epoch {position.epoch + 1}/{config.train.epochs}"
        bar = Progress(what, self.reader.num_batches * pairs, self.ranks.first, position.batch * pairs)
        try:
            while position.batch < self.reader.num_batches and position.step < self.steps:
                lr = learning_rate(config.optimizer, position.step, config.train.epochs * self.reader.num_batches)
                losses = self.step(next(batches), lr, position.epoch)
                position.step, position.batch = position.step + 1, position.batch + 1
                self.ranks.mark(f"after step {position.step}")
                window.add(losses, pairs)
                bar.advance(pairs)
                wishes = pace.after_step(position.step)
                last = position.batch == self.reader.num_batches or position.step == self.steps
                if position.step % config.train.log_every == 0 or last or wishes.save:
                    self._log(window, bar, lr)
                if wishes.stop:
                    raise life.Stopping
                if wishes.save:
                    self._save(best=False)
        finally:
            batches.close()
            bar.close()

    def _log(self, window: Window, bar: Progress, lr: float) -> None:
        position, figures = self.position, window.summary()
        if not math.isfinite(figures["loss"]):  # the same on every rank

            def refuse() -> None:
                raise InputError(
                    f"the loss is not finite after step {position.step}; lower optimizer.lr, or set "
                    f"train.clip_grad_norm; run.resume=true goes on from the last checkpoint"
                )

            on_first(self.ranks, refuse)
        temperature = 1 / float(self.towers.temperature().detach())
        self.speeds.append(figures["examples_per_s"])
        bar.facts(loss=figures["loss"], temperature=temperature)
        if self.folder:
            row = {"kind": "train", "step": position.step, "epoch": position.epoch + 1}
            self.folder.log({**row, **figures, "temperature": temperature, "lr": lr})

    def _evaluated(self, split: str, advance: Any = None) -> dict[str, Any]:
        same_buffers(self.towers)
        evaluation = self.evaluations[split]
        bar = Progress(split, evaluation.num_queries, self.ranks.first)

        def on(rows: int) -> None:
            bar.advance(rows)
            if advance:
                advance()

        with contextlib.closing(bar):
            metrics = evaluation(self.towers, on)
        epoch = self.position.epoch + (1 if self.position.batch else 0)
        if self.folder:
            row = {"kind": "evaluation", "step": self.position.step, "epoch": epoch, "split": split, **metrics}
            self.folder.log(row)
            shown = "  ".join(f"{k} {v:.4f}" for k, v in metrics.items() if "@" in k)
            print(f"epoch {epoch}: {split}  {shown}", flush=True)
        return metrics

    def _validate(self, pace: Pace) -> bool:
        """Evaluate, and say whether this is the best so far; then its encoder is written."""
        position = self.position

        def between() -> None:
            if pace.between().stop:
                raise life.Stopping

        value = self._evaluated(self.config.data.validation, between)[SELECT]
        better = position.best is None or value > position.best
        position.worse, position.validated = 0 if better else position.worse + 1, position.step
        if better:
            position.best, position.best_epoch = value, position.epoch
            on_first(self.ranks, self._write_encoders)
        return better

    def _write_encoders(self) -> None:
        folder = Path(self.config.run_folder)
        save_encoder(self.towers.item, folder / ENCODER)
        if self.pairs.joint:
            save_encoder(self.towers.query, folder / QUERY_ENCODER)

    def _save(self, best: bool) -> None:
        same_buffers(self.towers)
        progress = {
            **asdict(self.position),
            "reader": self.reader.identity,
            "config": self.config.model_dump(),
            "metrics": {"rows": self.folder.rows, **self.folder.latest} if self.folder else None,
        }
        self.checkpoints.save(self.trainable, progress, best)

    def test(self) -> None:
        """Evaluate the test split once, with the best encoder."""
        if self.config.data.test is None:
            return
        self.checkpoints.load_best(self.trainable)
        self._evaluated(self.config.data.test)

    def end(self, status: str) -> None:
        """Close the run's folder with its status."""
        if not self.folder:
            return
        best = self.position.best_epoch
        self.folder.update(
            status=status,
            examples_per_s=statistics.median(self.speeds) if self.speeds else None,
            best_epoch=None if best is None else best + 1,
            **({} if self.position.best is None else {SELECT: self.position.best}),
        )
        self.folder.close()


def train(config: SclConfig, ranks: Ranks) -> None:
    """Train, validate and test as ``config`` says. All ranks call it."""
    life.live(Run(config, ranks), config.process.grace_s)
