"""What near-line training begins with: the model and the place in the stream, of a CTR run's checkpoint or its own."""

import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from embeddings.frozen.vector_store import VectorStore
from recsys.features.frozen_stores import open_stores
from recsys.models.sparse import table_configs
from recsys.schema import Schema
from recsys.stream.position import StreamPosition
from train.checkpoint.checkpointer import Checkpointer
from train.ctr.build import build, check_optimizer, check_stores
from train.ctr.checkpoint_state import CTRCheckpointState
from train.ctr.config import Config, check_names
from train.ctr.progress import CTRProgress
from train.ctr.trainable import Trainable
from train.ctr.trained_schema import schema_to_export
from train.distributed.ranks import Ranks, on_first
from train.export.export_run import initial_weights
from train.export.table_files import InitialWeights
from train.nearline.settings import NearlineSettings
from train.nearline.stream_folder import StreamCounters
from train.run.trainer_state import TrainerState


@dataclass(frozen=True)
class Beginning:
    """Where a near-line training stands when it begins.

    path          of the checkpoint
    own           whether that is of this training, which goes on
    tables        names of the model's
    initial       what they began with, in the CTR run
    kept          what the progress of every checkpoint of this training holds of the CTR run's
    metrics_rows  rows of metrics.jsonl up to there
    """

    path: Path
    own: bool
    trainable: Trainable
    schema: Schema
    stores: dict[str, VectorStore]
    tables: list[str]
    initial: InitialWeights
    state: TrainerState
    position: StreamPosition
    counters: StreamCounters
    kept: dict[str, Any]
    metrics_rows: int


def begin(config: Config, settings: NearlineSettings, ranks: Ranks, own: Checkpointer) -> Beginning:
    """Load the newest checkpoint of ``own`` or, before there is one, that of the CTR run. All ranks call it.

    Raises InputError where there is none that is whole, or it is of other stores, or another schema or optimizer.
    """
    found = own.to_resume("auto")
    if found is not None:
        source, (path, progress) = own, found
    else:
        source = Checkpointer(config.run_folder, ranks, config.train.keep, config.process.timeout_s, CTRProgress)
        path = source.folder.named(settings.checkpoint)
        progress = source.progress(path)
    check_optimizer(config, progress["config"])
    schema = schema_to_export(progress, config.data.path, progress["stores"])
    check_names(config, schema)
    stores = open_stores(schema, config.model, config.data.path)
    check_stores(stores, progress["stores"])
    trainable = build(schema, config, stores, {}, ranks)
    source.load(path, CTRCheckpointState(trainable), progress, seed=config.train.seed)
    state = TrainerState.of(progress)
    if found is None:
        run_id = on_first(ranks, lambda: uuid.uuid4().hex)
        position = StreamPosition(run_id=run_id, number=settings.first)
    else:
        position = StreamPosition.model_validate(progress["stream"])
    tables = table_configs(schema, config.model.embedding_dim, {}) if config.model.has_tables else []
    return Beginning(
        path=path,
        own=found is not None,
        trainable=trainable,
        schema=schema,
        stores=stores,
        tables=[table.name for table in tables],
        initial=initial_weights(progress, state),
        state=state,
        position=position,
        counters=StreamCounters(**progress.get("counters", {})),
        kept={key: progress[key] for key in ("reader", "stores", "schema", "config") if key in progress},
        metrics_rows=progress["metrics"]["rows"],
    )
