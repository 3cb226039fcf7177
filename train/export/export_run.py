"""Exports a trained run: one of its checkpoints becomes a version of a model that can be served elsewhere."""

import datetime
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from embeddings.errors import DISK_FULL, InputError, listed, nearest, shown
from embeddings.files.file_entry import FileEntry
from embeddings.files.json_file import write_json
from embeddings.frozen.store import FrozenStore
from embeddings.frozen.table import FrozenTable
from recsys.exported.manifest import (
    DENSE,
    MANIFEST,
    READY,
    TABLES,
    WARMUP,
    Manifest,
    Source,
    StoreEntry,
    TableEntry,
)
from recsys.exported.model import build_arch
from recsys.exported.versions import Versions
from recsys.features.frozen_stores import open_stores
from recsys.models.config import ArchConfig, MAKEConfig, MultimodalConfig
from recsys.models.sparse import table_configs
from recsys.schema import SCHEMA_FILE, Schema, save_schema, zch_tables
from train.checkpoint.checkpoint_folder import CheckpointFolder
from train.checkpoint.checksums import check_files, damaged, read_progress
from train.checkpoint.shard_reader import read_shards
from train.checkpoint.shards import whole_tensor
from train.ctr.build import check_stores
from train.ctr.config import Config, check_names
from train.ctr.progress import CTRProgress
from train.ctr.trained_schema import schema_to_export
from train.export.table_files import InitialWeights, write_table
from train.export.warmup import warmup_requests
from train.run.trainer_state import TrainerState
from train.run.versions import installed


@dataclass(frozen=True)
class Exported:
    """What was written: the version, its folder, and the bytes of its files."""

    version: str
    folder: Path
    bytes: int


def export_run(config: Config, checkpoint: str, out: str, dtypes: Mapping[str, str], dtype: str, keep: int) -> Exported:
    """Write a checkpoint of the run ``config.run_folder`` as the next version in folder ``out``, and make it current.

    Args:
        checkpoint: "best", "newest" or the name of a folder in the run's ``checkpoints``.
        dtypes: table -> float32, float16 or int8; ``dtype`` for the others.
        keep: versions that stay, the newest ones.

    Raises InputError where the run has no such checkpoint, it is damaged, or of tables that cannot be served.
    """
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
    state, versions = TrainerState.of(progress), Versions(out)
    initial = InitialWeights(config.train.seed, _last_reset(config, state))
    try:
        with versions.writing() as (version, folder):
            save_schema(schema, str(folder))
            (folder / TABLES).mkdir()
            for name, entry in tables.items():
                write_table(path, folder, name, entry, name not in schema.sequence_tables, initial)
            _write_dense(path, folder / DENSE, schema, model, stores)
            requests = warmup_requests(config.data.path, config.data.validation or config.data.train, schema)
            write_json(folder / WARMUP, {"requests": requests})
            source = Source(run=config.run_folder, checkpoint=path.name, step=state.step, epoch=state.epochs_begun)
            facts = {"version": version, "source": source, "model": model, "tables": tables}
            manifest = _write_manifest(folder, facts, schema, config.data.path, stores)
        versions.publish(version, state.step, keep)
    except OSError as error:
        if error.errno not in DISK_FULL:
            raise
        raise InputError(
            f"no space left on the disk of '{out}'; what was there before stays, the new version is not kept: free "
            f"some, or name another --out"
        ) from error
    return Exported(version, versions.folder(version), sum(entry.bytes for entry in manifest.files.values()))


def _checkpoint(config: Config, name: str) -> tuple[Path, dict[str, Any]]:
    folder = CheckpointFolder(Path(config.run_folder) / "checkpoints", config.train.keep)
    there = {p.name: p for p in folder.all()}
    path = {"best": folder.best, "newest": folder.newest}.get(name, lambda: there.get(name))()
    if path is None or path.name not in there:
        names = list(there) or "none"
        step = "; name one of them, or newest, by --checkpoint" if there else ""
        raise InputError(f"run '{config.run_folder}' has no checkpoint {shown(name)}; there are: {names}{step}")
    progress = read_progress(path, CTRProgress)
    if (wrong := check_files(path, progress["files"])) is not None:
        raise damaged(path, wrong)
    return path, progress


def _last_reset(config: Config, state: TrainerState) -> int:
    """The epoch whose initial weights the tables began with."""
    return max(state.epochs_begun - 1, 0) if config.train.reset_tables == "each_epoch" else 0


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


def _write_dense(
    checkpoint: Path, path: Path, schema: Schema, model: ArchConfig, stores: Mapping[str, FrozenStore]
) -> None:
    arch = build_arch(schema, model, {name: FrozenTable(store) for name, store in stores.items()})
    weights = {name: torch.empty_like(value) for name, value in arch.state_dict().items()}
    read_shards(checkpoint, [whole_tensor(f"model.dense.arch.{name}", value) for name, value in weights.items()])
    path.write_bytes(save(weights))


def _write_manifest(
    folder: Path, facts: dict[str, Any], schema: Schema, data: str, stores: Mapping[str, FrozenStore]
) -> Manifest:
    """manifest.json of all that is in ``folder``, then READY."""
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
    files = {str(p.relative_to(folder)): FileEntry.of(p) for p in sorted(folder.rglob("*")) if p.is_file()}
    created = datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds")
    manifest = Manifest(created=created, tierwise=installed("tierwise") or "", stores=entries, files=files, **facts)
    assert SCHEMA_FILE in files
    write_json(folder / MANIFEST, manifest.model_dump(mode="json"))
    (folder / READY).write_text(hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest() + "\n")
    return manifest


def _absolute(path: str) -> str:
    return path if "://" in path else os.path.abspath(path)
