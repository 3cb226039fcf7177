"""Exports a trained run: one of its checkpoints becomes a version of a model that can be served elsewhere."""

import datetime
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from embeddings.errors import DISK_FULL, InputError, first_line, listed, nearest
from embeddings.files.json_file import write_json
from embeddings.frozen.table import FrozenTable
from embeddings.frozen.vector_store import VectorStore
from recsys.exported.manifest import (
    DENSE,
    TABLES,
    WARMUP,
    Manifest,
    Source,
    StoreEntry,
    TableEntry,
)
from recsys.exported.model import build_arch
from recsys.exported.version_manifest import file_entries, write_manifest
from recsys.exported.versions import Versions
from recsys.features.frozen_stores import open_stores
from recsys.models.config import ArchConfig, MAKEConfig, MultimodalConfig
from recsys.models.sparse import table_configs
from recsys.schema import SCHEMA_FILE, Schema, save_schema, zch_tables
from train.checkpoint.checkpoint_folder import CheckpointFolder
from train.checkpoint.checksums import check_files, damaged, read_progress
from train.checkpoint.shard_reader import ShardReader
from train.checkpoint.shards import whole_tensor
from train.ctr.build import check_stores
from train.ctr.config import Config, check_names
from train.ctr.progress import CTRProgress
from train.ctr.trained_schema import schema_to_export
from train.export.logits_change import logits_change
from train.export.table_files import InitialWeights, write_table
from train.export.warmup import warmup_requests
from train.run.progress import ProgressBar
from train.run.trainer_state import TrainerState
from train.run.versions import installed


@dataclass(frozen=True)
class Exported:
    """What was written, and where."""

    folder: Path
    manifest: Manifest

    def __str__(self) -> str:
        source, size = self.manifest.source, sum(entry.bytes for entry in self.manifest.files.values())
        dtypes = [entry.dtype for entry in self.manifest.tables.values()]
        tables = ", ".join(f"{dtypes.count(dtype)} {dtype}" for dtype in dict.fromkeys(dtypes))
        what = (
            f"exported {source.run}, {source.checkpoint} of epoch {source.epoch}, as {self.folder}: "
            f"{len(dtypes)} tables{f' ({tables})' if tables else ''}, {size / 2**20:,.1f} MiB"
        )
        if (change := self.manifest.logits_change) is None:
            return what
        return (
            f"{what}\nthe tables' dtypes change logits of {change.rows:,} rows of {change.split} by at most "
            f"{change.largest:.1e}, {change.mean:.1e} on average"
        )


def export_run(config: Config, checkpoint: str, out: str, dtypes: Mapping[str, str], dtype: str, keep: int) -> Exported:
    """Write a checkpoint of the run ``config.run_folder`` as the next version in folder ``out``, and make it current.

    Args:
        checkpoint: "best", "newest" or the name of a folder in the run's ``checkpoints``.
        dtypes: table -> float32, float16 or int8; ``dtype`` for the others.
        keep: versions that stay, the newest ones.

    Raises InputError where the run has no such checkpoint, it is damaged, or of tables that cannot be served, and where
    ``out`` holds something else. What was in ``out`` stays then.
    """
    versions = Versions(out)
    versions.refuse_other()
    path, progress = _checkpoint(config, checkpoint)
    schema = schema_to_export(progress, config.data.path, progress["stores"])
    check_names(config, schema)
    if config.model.has_tables and (zch := zch_tables(schema)):
        raise InputError(
            f"tables {listed(sorted(zch))} give rows to ids as they come (ids: zch), which no export has; train with "
            f"ids: hash instead"
        )
    stores = open_stores(schema, config.model, config.data.path)
    check_stores(stores, progress["stores"])
    model = _for_inference(config.model)
    tables = _table_entries(schema, model, dtypes, dtype)
    state, reader = TrainerState.of(progress), ShardReader(path)
    initial = initial_weights(progress, state)
    requests = _warmup(config, schema)
    try:
        with versions.writing(state.step, keep) as (version, folder):
            save_schema(schema, str(folder))
            _write_tables(reader, folder, tables, schema.sequence_tables, initial)
            _write_dense(reader, folder / DENSE, schema, model, stores)
            write_json(folder / WARMUP, {"requests": requests}, indent=None)
            source = Source(
                run=config.run_folder,
                checkpoint=path.name,
                step=state.step,
                epoch=state.epochs_begun,
                stream=progress.get("stream"),
            )
            facts = {"version": version, "source": source, "model": model, "tables": tables}
            manifest = _manifest(folder, facts, schema, config.data.path, stores)
            change = logits_change(folder, manifest, schema, stores, reader, config.data.path, config.data.validation)
            manifest = manifest.model_copy(update={"logits_change": change})
            write_manifest(folder, manifest)
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        raise InputError(
            f"no space left on the disk of '{out}'; what was there before stays, the new version is not kept: free "
            f"some, or name another --out"
        ) from error
    return Exported(versions.folder(version), manifest)


def _checkpoint(config: Config, name: str) -> tuple[Path, dict[str, Any]]:
    path = CheckpointFolder(Path(config.run_folder) / "checkpoints", config.train.keep).named(name)
    progress = read_progress(path, CTRProgress)
    if (wrong := check_files(path, progress["files"])) is not None:
        raise damaged(path, wrong)
    return path, progress


def initial_weights(progress: dict[str, Any], state: TrainerState) -> InitialWeights:
    """What the tables began with, by the config that they were trained with, whatever the one of today says."""
    train = progress["config"].get("train", {})
    anew = train.get("reset_tables") == "each_epoch"
    return InitialWeights(train.get("seed", 0), max(state.epochs_begun - 1, 0) if anew else 0)


def _for_inference(model: ArchConfig) -> ArchConfig:
    """``model`` without what training alone reads: where a MAKE came from, where vectors lie on the ranks."""

    def plain(config: MultimodalConfig) -> MultimodalConfig:
        make = config.make.model_copy(update={"run": None, "epoch": None, "frozen": False})
        assert isinstance(make, MAKEConfig)
        return config.model_copy(update={"make": make, "placement": "auto"})

    modalities = {name: plain(config) for name, config in model.modalities.items()}
    return model.model_copy(update={"multimodal": plain(model.multimodal), "modalities": modalities})


def _table_entries(schema: Schema, model: ArchConfig, dtypes: Mapping[str, str], dtype: str) -> dict[str, TableEntry]:
    configs = table_configs(schema, model.embedding_dim, {}) if model.has_tables else []
    names = [table.name for table in configs]
    for name in dtypes:
        if name not in names:
            raise InputError(f"--table {name}: no such table{nearest(name, names)}; allowed: {listed(names)}")
    return {
        t.name: TableEntry.model_validate(
            {"rows": t.num_embeddings, "width": t.embedding_dim, "dtype": dtypes.get(t.name, dtype)}
        )
        for t in configs
    }


def _warmup(config: Config, schema: Schema) -> list[dict[str, Any]]:
    """Requests of the split that chose the epoch; none where it is not there or cannot be read, which is said."""
    try:
        return warmup_requests(config.data.path, config.data.validation, schema)
    except InputError as error:
        print(f"note: the model gets no warm-up requests: {first_line(error)}", file=sys.stderr, flush=True)
        return []


def _write_tables(
    checkpoint: ShardReader, folder: Path, tables: Mapping[str, TableEntry], unpooled: set[str], initial: InitialWeights
) -> None:
    (folder / TABLES).mkdir()
    bar = ProgressBar("export", sum(entry.rows for entry in tables.values()), shown=bool(tables))
    for name, entry in tables.items():
        write_table(checkpoint, folder, name, entry, name not in unpooled, initial, bar.advance)
    bar.close()


def _write_dense(
    checkpoint: ShardReader, path: Path, schema: Schema, model: ArchConfig, stores: Mapping[str, VectorStore]
) -> None:
    arch = build_arch(schema, model, {name: FrozenTable(store) for name, store in stores.items()})
    weights = {name: torch.empty_like(value) for name, value in arch.state_dict().items()}
    checkpoint.read([whole_tensor(f"model.dense.arch.{name}", value) for name, value in weights.items()])
    path.write_bytes(save(weights))


def _manifest(
    folder: Path, facts: dict[str, Any], schema: Schema, data: str, stores: Mapping[str, VectorStore]
) -> Manifest:
    """That of all that is in ``folder``."""
    entries = {
        name: StoreEntry(
            checksum=store.checksum,
            width=store.width,
            count=store.count,
            encoder=store.encoder,
            path=_absolute(schema.modalities[name].store_path(data)),
        )
        for name, store in stores.items()
    }
    files = file_entries(folder)
    created = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    assert SCHEMA_FILE in files
    return Manifest(created=created, tierwise=installed("tierwise") or "", stores=entries, files=files, **facts)


def _absolute(path: str) -> str:
    return path if "://" in path else os.path.abspath(path)
