"""Training of a CTR model as a training task: sharded tables, TorchRec's pipeline, AUC and GAUC of a split."""

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, ClassVar

import torch

from embeddings.errors import InputError
from embeddings.frozen.check_store import refuse_changed
from embeddings.planner.plan_json import plan_as_dict, save_plan
from recsys.features.frozen_stores import open_stores
from recsys.metrics import compute_metrics, normalised_entropy, undefined
from recsys.schema import load_schema, save_schema
from recsys.schema_compare import schema_digest
from train.ctr.build import build, build_reader, check_optimizer, check_select, check_stores
from train.ctr.checkpoint_state import CTRCheckpointState
from train.ctr.config import Config, check_names
from train.ctr.pretrained_make import export, load_makes
from train.ctr.progress import CTRProgress
from train.ctr.reset_tables import reset_tables
from train.ctr.scoring import collect, read_counters, write_evaluation
from train.ctr.train_pipeline import train_pipeline
from train.ctr.trained_schema import refuse_to_go_on
from train.data.reader import RowReader
from train.data.stats.label_scan import why_undefined
from train.data.stats.mean_lengths import mean_lengths
from train.distributed.ranks import Ranks, on_first
from train.run.finite_loss import refuse_bad_loss
from train.run.metrics_window import MetricsWindow
from train.run.task import Batches, TrainingTask
from train.run.trainer import train
from train.run.trainer_state import RunProgress, TrainerState

LOWER_IS_BETTER = {"ne", "log_loss"}


def train_ctr(config: Config, ranks: Ranks) -> None:
    """Train, validate and test a CTR model as ``config`` says. All ranks call it."""
    train(config, ranks, lambda: CTRTask(config, ranks))


class CTRTask(TrainingTask):
    """A CTR model on rows of impressions.

    Raises InputError for what the user can fix: the data, the stores, a plan that does not fit.
    """

    printed: ClassVar[tuple[str, ...]] = ("gauc", "auc", "ne", "log_loss")
    progress_model: ClassVar[type[RunProgress]] = CTRProgress

    def __init__(self, config: Config, ranks: Ranks) -> None:
        self.settings = self.config = config
        self.ranks = ranks
        data = config.data
        self.schema = load_schema(data.path)
        check_names(config, self.schema)
        self.stores = open_stores(self.schema, config.model, data.path)
        self.reader = self._reader(data.train, training=True)
        self._evaluated = {split: self._reader(split) for split in (data.validation, data.test) if split is not None}
        on_first(ranks, self._refuse_undefined_select)
        lengths = mean_lengths(data.path, data.train, self.schema)
        self.trainable = build(self.schema, config, self.stores, lengths, ranks)
        self.checkpoint_state = CTRCheckpointState(self.trainable)
        model, optimizer, tables = self.trainable.model, self.trainable.optimizer, bool(self.trainable.plan.tables)
        self._pipeline = train_pipeline(model, optimizer, ranks.device, tables)
        self._window: MetricsWindow  # of the steps since the last row; anew with each epoch

    def _reader(self, split: str, training: bool = False) -> RowReader:
        return build_reader(self.config, self.schema, self.stores, self.ranks, split, training=training)

    def _refuse_undefined_select(self) -> None:
        """Refuse a metric that no scores of the validation split can have, before anything is trained. InputError."""
        data, select = self.config.data, self.config.train.select
        skip = data.on_corrupt == "skip"
        if why := why_undefined(data.path, data.validation, self.schema, select, skip_corrupt=skip):
            others = "log_loss" if "rows have" in why else "auc, ne or log_loss"
            raise InputError(
                f"train.select={select} picks the best epoch, and split '{data.validation}' has no {select}: {why}; "
                f"set train.select to {others}, or data.validation to another split"
            )

    @property
    def num_batches(self) -> int:
        return self.reader.num_batches

    @property
    def rows_per_epoch(self) -> int:
        return self.reader.num_rows

    @property
    def rows_per_step(self) -> int:
        return self.config.data.batch_size * self.ranks.world_size

    def batches(self, state: TrainerState) -> Batches:
        model = self.trainable.model.train()
        anew = self.config.train.reset_tables == "each_epoch" and state.epoch > 0
        if anew and not self.reader.state_dict(state.epoch, state.batch)["rows"]:  # nothing of this epoch is trained
            reset_tables(self.trainable, self.config.train.seed, state.epoch)
        self._pipeline.attach(model)
        self._window = MetricsWindow(("loss", "positives"), self.ranks)
        return self.reader.epoch(state.epoch, state.batch)

    def step(self, batches: Batches, state: TrainerState) -> int:
        loss, _, labels = self._pipeline.progress(batches)
        rows = labels.numel()
        self._window.add(state.step + 1, rows, loss.double() * rows, labels.double().sum())
        return rows * self.ranks.world_size

    def epoch_trained(self) -> None:
        self._pipeline.detach()
        self._pipeline.reset()

    def logged(self, state: TrainerState) -> tuple[dict[str, Any], dict[str, Any]]:
        metrics = self._window.summary()
        if metrics.bad_here:  # before its rows are blamed
            self.refuse_changed_inputs()
        refuse_bad_loss(metrics, state, self.reader.position)
        loss = metrics.means["loss"]
        ne = normalised_entropy(loss, metrics.means["positives"])
        groups = list(self.trainable.optimizer.param_groups)
        sparse = {"lr_sparse": groups[0]["lr"]} if self.trainable.plan.tables else {}
        rates = {"lr_dense": groups[-1]["lr"], **sparse}
        row = {"loss": loss, "ne": ne, "examples_per_s": metrics.examples_per_s, **rates}
        return row, {"loss": loss, "NE": "undefined" if ne is None else ne}

    def refuse_changed_inputs(self) -> None:
        refuse_changed(self.stores.values())

    def dense_parameters(self) -> Iterable[torch.Tensor]:
        return (p for name, p in self.trainable.model.named_parameters() if name.startswith("dense."))

    @property
    def select(self) -> tuple[str, bool]:
        name = self.config.train.select
        return name, name in LOWER_IS_BETTER

    def rows_of(self, split: str) -> int:
        return self._evaluated[split].num_rows

    def evaluate(self, split: str, advance: Callable[[int], None]) -> dict[str, Any]:
        scores = collect(self.trainable.model, self._evaluated[split], self.ranks, advance)
        select = self.config.train.select

        def metrics_of_scores() -> dict[str, Any]:
            self.refuse_changed_inputs()
            assert scores is not None, "rank 0 has the scores"
            metrics = compute_metrics(scores.labels, scores.logits, scores.users)
            if metrics[select] is None:
                raise InputError(
                    f"validation split '{split}' gives no {select}, which picks the best epoch "
                    f"({undefined(metrics)[select]}); go on with run.resume=true and another train.select"
                )
            return metrics

        return on_first(self.ranks, metrics_of_scores)

    def test(self, split: str, evaluate: Callable[[str], dict[str, Any]], state: TrainerState) -> None:
        """Write evaluation/SPLIT.json, which has metrics by item frequency too; no row of metrics.jsonl."""
        reader = self._evaluated[split]
        epoch = (state.best_epoch or 0) + 1
        write_evaluation(self.config, self.schema, self.trainable.model, reader, self.ranks, epoch)

    def read_counters(self, split: str) -> dict[str, float]:
        reader = self.reader if split == self.config.data.train else self._evaluated[split]
        return read_counters(reader, self.schema, self.ranks)

    def about(self) -> dict[str, Any]:
        model = self.config.model
        return {
            "mode": model.run_mode(self.schema.modalities),
            "modes": {name: model.mode(name) for name in self.schema.modalities},
            "stores": {name: store.checksum for name, store in self.stores.items()},
            "schema": schema_digest(self.schema),
            "dense_parameters": self.trainable.dense_parameters,
            "table_parameters": sum(
                t.num_embeddings * (t.embedding_dim or model.embedding_dim)
                for t in (self.schema.tables.values() if model.has_tables else ())
            ),
        }

    def progress(self, state: TrainerState) -> dict[str, Any]:
        return {
            "reader": self.reader.state_dict(state.epoch, state.batch),
            "stores": {name: store.checksum for name, store in self.stores.items()},
            "schema": self.schema.model_dump(mode="json"),
            "plan": plan_as_dict(self.trainable.plan),
        }

    def resume(self, progress: dict[str, Any]) -> int:
        """Raises InputError where the checkpoint is of other rows, stores or schema, optimizer or train.select."""
        check_optimizer(self.config, progress["config"])
        check_select(self.config, progress)
        data = self.config.data
        refuse_to_go_on(progress, self.schema, data.path, data.train, self.stores, self.ranks)
        self.reader.load_state_dict(progress["reader"])
        check_stores(self.stores, progress["stores"])
        return self.reader.batch_index  # of batches of this run's size

    def start(self) -> None:
        load_makes(self.config, self.schema, self.stores, self.trainable, self.ranks)

    def write_start(self, folder: Path) -> None:
        save_plan(self.trainable.plan, folder / "plan.json")
        save_schema(self.schema, str(folder))

    def epoch_ended(self, state: TrainerState, value: float | None) -> None:
        """Export the weights of a MAKE that is trained alone, for CTR models to take."""
        name = self.config.model.pretrained_modality
        if name is not None and self.ranks.first:
            best = None if state.best_epoch is None else state.best_epoch + 1
            export(self.config, self.schema, self.stores[name], self.trainable, state.epoch, value, best)
