"""Exported models of untrained weights, written without a run, and the same model in plain TorchRec beside them."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save

from embeddings.files.file_entry import FileEntry
from embeddings.files.json_file import write_json
from embeddings.frozen.store import FrozenStore, build_store
from embeddings.frozen.table import FrozenTable
from embeddings.tables import module_name
from recsys.exported.manifest import DENSE, WARMUP, Manifest, StoreEntry, TableEntry, table_files
from recsys.exported.table import quantised
from recsys.exported.version_manifest import MANIFEST, READY
from recsys.exported.versions import Versions
from recsys.features.frozen_stores import open_stores
from recsys.models.arch_config import arch_config
from recsys.models.ctr import CTRModel
from recsys.models.sparse import table_configs
from recsys.schema import Schema, save_schema
from tests.train import tiny

DIM = 4
NEVER_TRAINED = (3, 17)  # rows of every table


def rich_schema() -> Schema:
    """Every kind of feature: two histories, bags with mean and sum, two dense ones, all ways of hashing."""
    raw = tiny.SCHEMA.model_dump()
    raw["tables"] |= {"word": {"num_embeddings": 20, "ids": "hash"}, "city": {"num_embeddings": 7}}
    raw["features"] += [
        {"name": "words", "kind": "bag", "table": "word", "pooling": "sum", "max_length": 3, "column": "title"},
        {"name": "city", "kind": "id", "table": "city"},
        {"name": "bought", "kind": "sequence", "table": "item", "target": "item", "max_length": 4},
        {"name": "age", "kind": "dense"},
    ]
    raw["modalities"]["image"] = {"store": "frozen/image", "target": "item", "history": "bought", "max_missing": 1}
    return Schema.model_validate(raw)


def make_folder(folder: Path) -> Path:
    """A folder with the rich schema and its stores; every other item has a picture."""
    folder.mkdir(parents=True)
    save_schema(rich_schema(), str(folder))
    draw = np.random.default_rng(5)
    vectors = draw.normal(size=(tiny.ITEMS, tiny.WIDTH))
    build_store(str(folder / "frozen" / "text"), np.arange(tiny.ITEMS), vectors, dtype="float32")
    build_store(str(folder / "frozen" / "image"), np.arange(0, tiny.ITEMS, 2), vectors[::2, :6], dtype="int8")
    return folder


def columns(count: int, seed: int = 0) -> dict[str, list[Any]]:
    """Raw columns of ``count`` rows; some lists are empty, some longer than their max_length."""
    draw = np.random.default_rng(seed)

    def lists(most: int, longest: int) -> list[list[int]]:
        return [draw.integers(0, most, n).tolist() for n in draw.integers(0, longest, count)]

    return {
        "user": draw.integers(0, tiny.USERS, count).tolist(),
        "item": draw.integers(0, tiny.ITEMS, count).tolist(),
        "tags": lists(100, 4),
        "price": draw.random(count).astype(np.float32).tolist(),
        "history": lists(tiny.ITEMS, 10),
        "title": [[w - 50 for w in words] for words in lists(10**6, 6)],
        "city": draw.integers(-(2**62), 2**62, count).tolist(),
        "bought": lists(tiny.ITEMS, 7),
        "age": draw.integers(0, 90, count).tolist(),
    }


@dataclass
class Artefact:
    """An exported model in ``root``, whose newest version is that of ``plain``."""

    root: Path
    schema: Schema
    stores: dict[str, FrozenStore]
    plain: CTRModel

    @property
    def folder(self) -> Path:
        return self.root / Versions(self.root).current()


def export(
    root: Path,
    data: Path,
    settings: dict[str, Any],
    *,
    seed: int = 0,
    dtype: str = "float32",
    requests: tuple[dict[str, Any], ...] = (),
    keep: int = 3,
    scale: float = 1.0,
) -> Artefact:
    """Write the next version of a model with random weights, and publish it; the dense ones times ``scale``."""
    schema, config = rich_schema(), arch_config({"embedding_dim": DIM, **settings})
    stores = open_stores(schema, config, str(data))
    torch.manual_seed(seed)
    tables = table_configs(schema, DIM, {}) if config.has_tables else []
    model = CTRModel(schema, config, tables, {name: FrozenTable(store) for name, store in stores.items()})
    model.sparse.to_empty(device="cpu")
    for parameter in model.sparse.parameters():
        torch.nn.init.normal_(parameter)
    weights = {name.split(".")[-2]: value.detach().numpy() for name, value in model.sparse.named_parameters()}
    entries = {t.name: TableEntry(rows=t.num_embeddings, width=DIM, dtype=dtype) for t in tables}
    with Versions(root).writing(step=seed, keep=keep) as (version, folder):
        save_schema(schema, str(folder))
        (folder / "tables").mkdir()
        for name in entries:
            _write_table(folder, name, weights[module_name(name)], dtype)
        arch = {name: value * scale for name, value in model.dense.arch.state_dict().items()}
        (folder / DENSE).write_bytes(save(arch))
        write_json(folder / WARMUP, {"requests": list(requests)})
        facts = {
            "version": version,
            "created": "today",
            "tierwise": "0",
            "source": {"run": "runs/x", "checkpoint": "step-00000001", "step": seed, "epoch": 1},
            "model": config,
            "tables": entries,
            "stores": {name: _store(store) for name, store in stores.items()},
        }
        seal(folder, facts)
    return Artefact(root, schema, stores, model.eval())


def seal(folder: Path, facts: dict[str, Any]) -> None:
    """manifest.json of ``facts`` and of the files that are there, then READY."""
    names = [p for p in sorted(folder.rglob("*")) if p.is_file() and p.name not in (MANIFEST, READY)]
    files = {str(p.relative_to(folder)): FileEntry.of(p) for p in names}
    write_json(folder / MANIFEST, Manifest(**facts, files=files).model_dump(mode="json"))
    make_ready(folder)


def make_ready(folder: Path) -> None:
    """READY for manifest.json as it is now."""
    (folder / READY).write_text(hashlib.sha256((folder / MANIFEST).read_bytes()).hexdigest() + "\n")


def _write_table(folder: Path, name: str, rows: np.ndarray, dtype: str) -> None:
    stored, scale = quantised(rows, dtype)
    trained = np.ones(len(rows), bool)
    trained[[row for row in NEVER_TRAINED if row < len(rows)]] = False
    arrays = [stored, np.packbits(trained, bitorder="little"), *([scale] if scale is not None else [])]
    for file, array in zip(table_files(name, dtype), arrays, strict=True):
        np.save(folder / file, array)


def _store(store: FrozenStore) -> StoreEntry:
    facts = {"checksum": store.checksum, "width": store.width, "count": store.count, "encoder": store.encoder}
    return StoreEntry(**facts, path=store.path)
