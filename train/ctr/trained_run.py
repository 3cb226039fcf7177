"""A trained run opened for scoring: its config, its data and the weights of one of its checkpoints."""

from dataclasses import dataclass
from pathlib import Path

import torch

from embeddings.errors import InputError
from embeddings.files.json_file import read_json
from recsys.features.frozen_stores import open_stores
from recsys.schema import Schema
from train.checkpoint.checkpointer import Checkpointer
from train.ctr.build import build, build_reader, check_stores
from train.ctr.checkpoint_state import CTRCheckpointState
from train.ctr.config import Config, check_names, load_config
from train.ctr.progress import CTRProgress
from train.ctr.trained_schema import schema_to_score
from train.data.parquet_files import find_files
from train.data.reader import RowReader
from train.data.stats.mean_lengths import mean_lengths
from train.distributed.ranks import Ranks
from train.run.trainer_state import TrainerState


@dataclass(frozen=True)
class TrainedRun:
    """What scoring needs. ``epoch`` is the one, counted from 1, whose weights are loaded."""

    config: Config
    schema: Schema
    model: torch.nn.Module
    reader: RowReader
    epoch: int


def run_config(run: str, overrides: tuple[str, ...]) -> Config:
    """The config that a run folder holds, with overrides on top. Raises InputError where it is no run of CTR."""
    path = Path(run) / "config.yaml"
    if not path.is_file():
        raise InputError(
            f"'{run}' is no run folder: it has no config.yaml; runs are in runs/ unless run.root says else"
        )
    if _mode(Path(run)) == "scl":
        raise InputError(
            f"'{run}' is a run of contrastive learning, which scores no impressions; python -m train encode takes it, "
            f"and its Acc@N by epoch is in '{Path(run) / 'metrics.jsonl'}'"
        )
    config = load_config(str(path), ("sharding.plan=null", *overrides))  # scoring may have other ranks than training
    here = {"root": str(Path(run).parent), "name": Path(run).name}
    return config.model_copy(update={"run": config.run.model_copy(update=here)})


def _mode(run: Path) -> str | None:
    try:
        about = read_json(run / "run.json", "run's facts")
    except (OSError, InputError):  # scoring needs the config and the checkpoint alone
        return None
    return about.get("mode") if isinstance(about, dict) else None


def open_run(
    config: Config, split: str, checkpoint: str, ranks: Ranks, *, with_labels: bool = True, in_order: bool = False
) -> TrainedRun:
    """Load a run's weights and open ``split``. All ranks call it.

    Args:
        checkpoint: "best", "newest" or the name of a folder in the run's ``checkpoints``.

    Raises InputError where the run has no such checkpoint, or its frozen stores or the schema have changed.
    """
    find_files(config.data.path, split)  # a wrong name is told before the checkpoint's files are read
    checkpoints = Checkpointer(config.run_folder, ranks, config.train.keep, progress=CTRProgress)
    path = checkpoints.folder.named(checkpoint)
    progress = checkpoints.progress(path)
    schema = schema_to_score(progress, config.data.path, split, progress["stores"], ranks)
    check_names(config, schema)
    stores = open_stores(schema, config.model, config.data.path)
    reader = build_reader(
        config, schema, stores, ranks, split, training=False, with_labels=with_labels, in_order=in_order
    )
    check_stores(stores, progress["stores"])
    trainable = build(schema, config, stores, mean_lengths(config.data.path, split, schema), ranks)
    checkpoints.load(path, CTRCheckpointState(trainable))
    return TrainedRun(config, schema, trainable.model, reader, TrainerState.of(progress).epochs_begun)
