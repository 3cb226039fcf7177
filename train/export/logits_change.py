"""Measures by how much an export's float16 and int8 tables change its logits, on the first rows of a split."""

import sys
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import load

from embeddings.errors import InputError, first_line
from embeddings.frozen.table import FrozenTable
from embeddings.frozen.vector_store import VectorStore
from recsys.exported.manifest import DENSE, LogitsChange, Manifest, TableEntry
from recsys.exported.model import ExportedModel, build_arch
from recsys.exported.table import ExportedTable, Table
from recsys.features.batch_assembly import BatchAssembler
from recsys.features.columns import needed_fields
from recsys.schema import Schema
from train.checkpoint.shard_reader import ShardReader
from train.checkpoint.shards import TensorShard
from train.export.table_files import weight_key
from train.export.warmup import first_rows

ROWS = 1000


class TrainedTable:
    """A table as the checkpoint has it, of which the rows that are asked for are read; ``stored`` is the export's."""

    def __init__(
        self, checkpoint: ShardReader, name: str, entry: TableEntry, pooled: bool, stored: ExportedTable
    ) -> None:
        self._checkpoint, self._key, self._size = checkpoint, weight_key(name, pooled), (entry.rows, entry.width)
        self.trained = stored.trained

    def embeddings(self, rows: np.ndarray) -> torch.Tensor:
        known, places = np.unique(rows, return_inverse=True)
        values = torch.zeros(known.size, self._size[1])
        inside = np.flatnonzero((known >= 0) & (known < self._size[0]))
        self._checkpoint.read(
            [TensorShard(self._key, self._size, (int(known[i]), 0), values[i : i + 1]) for i in inside]
        )
        return values[torch.from_numpy(places.reshape(-1))]


def logits_change(
    folder: Path,
    manifest: Manifest,
    schema: Schema,
    stores: Mapping[str, VectorStore],
    checkpoint: ShardReader,
    data: str,
    split: str,
) -> LogitsChange | None:
    """The differences between logits by the tables in a version's ``folder`` and by the ``checkpoint``'s.

    None where all tables are float32, and where the split is not there or cannot be read, which is said.
    """
    if all(entry.dtype == "float32" for entry in manifest.tables.values()):
        return None
    try:
        block = first_rows(data, split, schema, needed_fields(schema, with_labels=False), ROWS)
    except InputError as error:
        print(f"note: what the tables' dtypes change is not measured: {first_line(error)}", file=sys.stderr, flush=True)
        return None
    if block is None:
        return None
    batch = BatchAssembler(schema, dict(stores), with_labels=False)(block, slice(0, block.rows))[0]
    arch = build_arch(schema, manifest.model, {name: FrozenTable(store) for name, store in stores.items()}).eval()
    arch.load_state_dict(load((folder / DENSE).read_bytes()))
    stored: dict[str, Table] = {}
    trained: dict[str, Table] = {}
    for name, entry in manifest.tables.items():
        stored[name] = exported = ExportedTable(folder, name, entry)
        trained[name] = TrainedTable(checkpoint, name, entry, name not in schema.sequence_tables, exported)
    with torch.no_grad():
        of_stored, of_trained = (
            ExportedModel(manifest, schema, dict(stores), tables, arch).logits(batch) for tables in (stored, trained)
        )
    change = (of_stored - of_trained).abs().double()
    if not change.isfinite().all():  # such a model is refused when it is opened
        return None
    return LogitsChange(split=split, rows=block.rows, largest=float(change.max()), mean=float(change.mean()))
