"""Contrastive pre-training of encoders (SCL) as a training task: pairs, a step of both losses, Acc@N of a split."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, ClassVar

import torch

from embeddings.errors import InputError
from embeddings.files.atomic_file import atomic_write
from recsys.scl.encoders.encoder_folder import save_encoder
from recsys.scl.pairs_schema import load_pairs, save_pairs
from train.data.parquet_files import announce_files
from train.distributed.device import autocast_dtype
from train.distributed.ranks import Ranks, on_first
from train.run.finite_loss import refuse_bad_loss
from train.run.metrics_window import MetricsWindow
from train.run.task import Batches, TrainingTask
from train.run.trainer import train
from train.run.trainer_state import RunProgress, TrainerState
from train.scl.build import VOCABULARY, build_towers, build_trainable, learning_rate, same_buffers
from train.scl.checkpoint_state import SCLCheckpointState, SCLProgress, refuse_other_rows
from train.scl.config import SCLConfig
from train.scl.decoded_contents import DecodedContents
from train.scl.evaluation import Evaluation
from train.scl.item_contents import ItemContents
from train.scl.pair_reader import PairReader
from train.scl.pair_rows import PairRows
from train.scl.train_step import SCLStep
from train.scl.trained_pairs import refuse_other_pairs, trained_on, vocabulary

ENCODER, QUERY_ENCODER = "encoder", "query_encoder"  # of a run's folder; the second where queries are of another kind
SELECT = "acc@1"
_LOSSES = ("loss", "info_nce", "triplet")


def train_scl(config: SCLConfig, ranks: Ranks) -> None:
    """Train, validate and test encoders as ``config`` says. All ranks call it."""
    train(config, ranks, lambda: SCLTask(config, ranks))


class SCLTask(TrainingTask):
    """Encoders of queries and items on pairs of both. Raises InputError for what the user can fix."""

    printed: ClassVar[tuple[str, ...]] = ("acc@1", "acc@5")
    progress_model: ClassVar[type[RunProgress]] = SCLProgress

    def __init__(self, config: SCLConfig, ranks: Ranks) -> None:
        self.settings = self.config = config
        self.ranks = ranks
        data = config.data
        self.pairs = load_pairs(data.path)
        self.items = ItemContents(data.path, self.pairs.items)
        splits = (data.train, data.validation, data.test)
        if ranks.first:
            announce_files(self.items.files)
        rows = {split: PairRows(data.path, split, self.pairs, self.items) for split in splits if split}
        for some in rows.values() if ranks.first else ():
            announce_files(some.files)
        self.towers = build_towers(config, self.pairs, rows[data.train], self.items, ranks)
        cache = (data.cache_mib << 20) // (len(rows) + 1)
        items = DecodedContents(self.towers.item, self.items.name, cache)
        queries = {split: DecodedContents(self.towers.query, r.place, cache) for split, r in rows.items()}
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
        self._evaluations = {
            s: Evaluation(r, self.items, data.candidates, queries[s], items, ranks, data.eval_batch_size, data.workers)
            for s, r in rows.items() if s != data.train
        }  # fmt: skip
        trainable = build_trainable(config, self.towers, ranks)
        self._model = trainable.model
        self.checkpoint_state = SCLCheckpointState(trainable)
        bfloat16 = autocast_dtype(config.train.autocast, ranks.device) is not None
        self._step = SCLStep(trainable, config.model, ranks, bfloat16, config.train.clip_grad_norm)
        self._lr = 0.0
        self._window: MetricsWindow  # of the steps since the last row; anew with each epoch

    @property
    def num_batches(self) -> int:
        return self.reader.num_batches

    @property
    def rows_per_epoch(self) -> int:
        return self.reader.num_batches * self.reader.rows_per_step

    @property
    def rows_per_step(self) -> int:
        return self.reader.rows_per_step

    def batches(self, state: TrainerState) -> Batches:
        self._model.train()
        self._window = MetricsWindow(_LOSSES, self.ranks)
        return self.reader.epoch(state.epoch, state.batch)

    def step(self, batches: Batches, state: TrainerState) -> int:
        steps = self.config.train.epochs * self.reader.num_batches
        self._lr = learning_rate(self.config.optimizer, state.step, steps)
        losses = self._step(next(batches), self._lr, state.epoch)
        pairs = self.config.data.batch_size
        self._window.add(state.step + 1, pairs, *(loss.double() * pairs for loss in losses))
        return self.rows_per_step

    def logged(self, state: TrainerState) -> tuple[dict[str, Any], dict[str, Any]]:
        metrics = self._window.summary()
        split, epoch = self.config.data.train, state.epoch + 1
        refuse_bad_loss(metrics, state, lambda batch: f"split '{split}', epoch {epoch}, batch {batch}")
        temperature = 1 / float(self.towers.temperature().detach())
        row = {"examples_per_s": metrics.examples_per_s, "temperature": temperature, "lr": self._lr}
        return {**metrics.means, **row}, {"loss": metrics.means["loss"], "temperature": temperature}

    def dense_parameters(self) -> Iterable[torch.Tensor]:
        return self.towers.parameters()

    @property
    def select(self) -> tuple[str, bool]:
        return SELECT, False

    def rows_of(self, split: str) -> int:
        return self._evaluations[split].num_queries

    def evaluate(self, split: str, advance: Callable[[int], None]) -> dict[str, Any]:
        same_buffers(self.towers)
        return self._evaluations[split](self.towers, advance)

    def about(self) -> dict[str, Any]:
        return {
            "mode": "scl",
            "query": self.towers.query.about,
            "item": self.towers.item.about,
            "parameters": sum(p.numel() for p in self.towers.parameters()),
        }

    def about_end(self, state: TrainerState) -> dict[str, Any]:
        return {} if state.best is None else {SELECT: state.best}

    def progress(self, state: TrainerState) -> dict[str, Any]:
        return {"reader": self.reader.identity, **trained_on(self.pairs, self.towers)}

    def resume(self, progress: dict[str, Any]) -> None:
        """Raises InputError where the checkpoint is of other rows, columns or another vocabulary."""
        here, config = trained_on(self.pairs, self.towers), self.config
        refuse_other_pairs(here, progress, config.data.path, config.run_folder)
        refuse_other_rows(self.reader.identity, progress["reader"])

    def write_start(self, folder: Path) -> None:
        """What the columns mean, and the vocabulary, where there is one, which a resumed run needs."""
        save_pairs(self.pairs, folder)
        if (text := vocabulary(self.towers)) is not None:
            with atomic_write(folder / VOCABULARY) as out:
                out.write(text.encode())

    def best_found(self) -> None:
        """Write the encoders into the run's folder."""

        def write() -> None:
            folder = Path(self.config.run_folder)
            save_encoder(self.towers.item, folder / ENCODER)
            if self.pairs.joint:
                save_encoder(self.towers.query, folder / QUERY_ENCODER)

        on_first(self.ranks, write)
