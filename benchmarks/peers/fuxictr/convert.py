"""Standard rows and a frozen store into the peer's files: arrays of vocabulary indices, a feature map, vectors.

What lands in the output folder:

    train.npz, validation.npz, test.npz   one array per feature, ids as indices, histories padded in front with 0
    blocks/part-*.npz, train.parquet      the training rows again, for the peer's other loaders
    <split>_keys.npz                      label and raw user id per row, in the same order
    feature_map.json                      the peer's description of features
    vectors.npz, feature_vocab.json       raw item id -> vector and index, with a modality only
    peer.json                             what run.py has to know beyond that
"""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from embeddings.errors import InputError, nearest
from embeddings.frozen.store import FrozenStore
from recsys.schema import Feature, Schema, load_schema

SPLITS = ("train", "validation", "test")
BLOCKS = 4


class Vocabulary:
    """Raw ids to the peer's indices: 0 padding, 1..n ids of the training rows, n + 1 unknown, then ids with a vector.

    The order is the peer's own, so that an id seen in training never has an index above ``oov``.
    """

    def __init__(self, trained: np.ndarray, extra: np.ndarray) -> None:
        trained = np.unique(trained)
        extra = np.setdiff1d(extra, trained)
        self.oov = trained.size + 1
        self.size = self.oov + 1 + extra.size
        ids = np.concatenate([trained, extra])
        index = np.concatenate([np.arange(1, self.oov), np.arange(self.oov + 1, self.size)])
        order = np.argsort(ids)
        self._ids, self._index = ids[order], index[order]

    def __call__(self, ids: np.ndarray) -> np.ndarray:
        """int64 index of each raw id, ``oov`` where unknown; any shape."""
        if not self._ids.size:
            return np.full(ids.shape, self.oov)
        at = np.minimum(np.searchsorted(self._ids, ids), self._ids.size - 1)
        return np.where(self._ids[at] == ids, self._index[at], self.oov)

    def items(self) -> dict[str, int]:
        return {str(i): int(n) for i, n in zip(self._ids, self._index, strict=True)}


def padded(values: np.ndarray, offsets: np.ndarray, width: int) -> np.ndarray:
    """The newest ``width`` values of each list, padded in front with 0.

    values   [T]         oldest first, list after list
    offsets  [B + 1]     list b is values[offsets[b] : offsets[b + 1]]; may be empty
    returns  [B, width]
    """
    columns = np.arange(width)
    source = offsets[1:, None] - width + columns
    there = source >= offsets[:-1, None]
    out = np.zeros(there.shape, values.dtype)
    out[there] = values[source[there]]
    return out


def convert(data: str, out: str, *, modality: str | None = None) -> dict[str, Any]:
    """Write the peer's files for the rows in ``data`` to the existing folder ``out``; return what peer.json holds.

    All rows are held in memory, as the peer does. Vocabularies come from the training rows, the peer's way; with a
    ``modality`` also from its store. Raises InputError for an unknown modality, a missing split or column.
    """
    schema, folder = load_schema(data), Path(out)
    if modality is not None and modality not in schema.modalities:
        raise InputError(
            f"no modality '{modality}' in '{data}'{nearest(modality, schema.modalities)}; "
            f"allowed: {sorted(schema.modalities)}"
        )
    tables = {split: _read(Path(data) / split, schema) for split in SPLITS}
    raw = {split: {f.name: _column(tables[split], f) for f in schema.features} for split in SPLITS}
    m = schema.modalities[modality] if modality else None
    store = FrozenStore.open(m.store_path(data)) if m else None
    vector_table = schema.feature(m.target).table if m else None
    vocabularies = {
        table: Vocabulary(
            np.concatenate([raw["train"][f.name][0] for f in schema.features if f.table == table]),
            np.asarray(store.ids) if store and table == vector_table else np.zeros(0, np.int64),
        )
        for table in schema.tables
    }
    widths = {f.name: _width(f, raw["train"][f.name]) for f in schema.features if f.kind in ("bag", "sequence")}
    for split in SPLITS:
        arrays: dict[str, Any] = {f.name: _encode(f, raw[split][f.name], vocabularies, widths) for f in schema.features}
        label = tables[split][schema.label].to_numpy().astype(np.int64)
        np.savez(folder / f"{split}_keys.npz", label=label, user=tables[split][schema.user].to_numpy())
        arrays[schema.label] = label
        np.savez(folder / f"{split}.npz", **arrays)
        if split == "train":
            _other_formats(folder, arrays)
    _json(folder / "feature_map.json", _feature_map(schema, vocabularies, widths))
    if store and m and vector_table:
        values = np.asarray(store.vectors, np.float32)
        values = values if store.scale is None else values * np.asarray(store.scale)[:, None]
        np.savez(folder / "vectors.npz", key=np.asarray(store.ids), value=values)
        # the peer takes the keys' type from the second entry, so there must be two
        _json(folder / "feature_vocab.json", {m.target: vocabularies[vector_table].items(), m.history: {}})
    about = {
        "rows": {split: tables[split].num_rows for split in SPLITS},
        "pairs": [[f.target, f.name] for f in schema.features if f.kind == "sequence"],
        "vectors": {"target": m.target, "history": m.history, "width": store.width} if store and m else None,
    }
    _json(folder / "peer.json", about)
    return about


def _read(folder: Path, schema: Schema) -> pa.Table:
    files = sorted(folder.glob("*.parquet"))
    if not files:
        raise InputError(f"no parquet files in '{folder}'; write them with 'python -m train prepare'")
    columns = list(dict.fromkeys([schema.label, schema.user, *(f.source for f in schema.features)]))
    for file in files:
        if missing := set(columns) - set(pq.read_schema(file).names):
            raise InputError(f"'{file}' lacks columns {sorted(missing)}; write them or change schema.yaml")
    return pa.concat_tables([pq.read_table(file, columns=columns) for file in files])


def _column(table: pa.Table, feature: Feature) -> tuple[np.ndarray, np.ndarray | None]:
    """Values and offsets of a column; the offsets are None where each row has one value."""
    column = table[feature.source].combine_chunks()
    if feature.kind in ("id", "dense"):
        return column.to_numpy(zero_copy_only=False), None
    offsets = np.concatenate([[0], np.cumsum(column.value_lengths().to_numpy(zero_copy_only=False))]).astype(np.int64)
    return column.flatten().to_numpy(zero_copy_only=False), offsets


def _width(feature: Feature, column: tuple[np.ndarray, np.ndarray | None]) -> int:
    assert column[1] is not None, "bags and sequences have offsets"
    longest = int(np.diff(column[1]).max(initial=1))
    return max(1, min(longest, feature.max_length or longest))


def _encode(feature: Feature, column: tuple[np.ndarray, Any], vocabularies: dict, widths: dict[str, int]) -> np.ndarray:
    values, offsets = column
    if feature.kind == "dense":
        return values.astype(np.float32)
    index = vocabularies[feature.table](values)
    return index if offsets is None else padded(index, offsets, widths[feature.name])


def _other_formats(folder: Path, arrays: dict[str, Any]) -> None:
    (folder / "blocks").mkdir(exist_ok=True)
    rows = len(next(iter(arrays.values())))
    for n, part in enumerate(np.array_split(np.arange(rows), BLOCKS)):
        chosen = slice(part[0], part[-1] + 1) if part.size else slice(0, 0)
        np.savez(folder / "blocks" / f"part-{n:05d}.npz", **{name: a[chosen] for name, a in arrays.items()})
    table = pa.table({name: a if a.ndim == 1 else list(a) for name, a in arrays.items()})
    pq.write_table(table, folder / "train.parquet", write_page_checksum=True)


def _feature_map(schema: Schema, vocabularies: dict[str, Vocabulary], widths: dict[str, int]) -> dict[str, Any]:
    first_on: dict[str, str] = {}
    # an embedding is owned by the first feature that names it, which has to be one that holds no other's
    ordered = sorted(schema.features, key=lambda f: f.kind in ("bag", "sequence"))
    features = [{f.name: _spec(f, vocabularies, widths, first_on)} for f in ordered]
    return {
        "dataset_id": "rows",
        "num_fields": len(features),
        "total_features": sum(v.size for v in vocabularies.values()),
        "input_length": sum(widths.get(f.name, 1) for f in ordered),
        "labels": [schema.label],
        "features": features,
    }


def _spec(feature: Feature, vocabularies: dict, widths: dict[str, int], first_on: dict[str, str]) -> dict[str, Any]:
    if feature.kind == "dense":
        return {"source": "", "type": "numeric"}
    assert feature.table is not None, "the schema gives every other feature a table"
    vocabulary = vocabularies[feature.table]
    spec = {
        "source": "",
        "type": "categorical",
        "padding_idx": 0,
        "oov_idx": vocabulary.oov,
        "vocab_size": vocabulary.size,
    }
    if feature.name in widths:
        spec |= {"type": "sequence", "max_len": widths[feature.name]}
    if feature.kind == "bag":
        spec["feature_encoder"] = f"layers.Masked{'Sum' if feature.pooling == 'sum' else 'Average'}Pooling()"
    if (owner := first_on.setdefault(feature.table, feature.name)) != feature.name:
        spec["share_embedding"] = owner
    return spec


def _json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value), encoding="utf-8")
