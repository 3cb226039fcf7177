"""Batch assembly: rows of a block into a Batch, table rows for the tables and frozen rows for the modalities.

No Python loop over rows. A block comes from ``raw_columns.build_row_block``, of a file's rows or of a request's.
"""

import numpy as np
import torch
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor

from embeddings.frozen.vector_store import VectorStore
from recsys.batch import Batch, FrozenRows
from recsys.features.columns import Field, feature_field, id_field, label_field
from recsys.features.ragged import Ragged, as_array, as_ragged
from recsys.features.read_counters import ReadCounters
from recsys.features.row_block import RowBlock
from recsys.features.shared_histories import deduplicate_bags
from recsys.features.table_rows import table_rows
from recsys.schema import Feature, Schema

# Behaviours that sharing equal histories must leave of a batch, at most: below this, gathering them anew does not pay.
_WORTH_SHARING = 0.9


class BatchAssembler:
    """Assembles batches from blocks of rows.

    Args:
        stores: modality -> opened store; modalities without one are left out of the batches.
        with_labels: False leaves labels NaN; the blocks need no label column then.
    """

    def __init__(self, schema: Schema, stores: dict[str, VectorStore], with_labels: bool) -> None:
        self._schema, self._stores, self._with_labels = schema, stores, with_labels

    def __call__(self, block: RowBlock, rows: slice | np.ndarray) -> tuple[Batch, ReadCounters]:
        """The batch of ``rows`` of ``block``, a slice without a step or an index [B] int64, and what it counts."""
        schema, selected = self._schema, _SelectedRows(block, rows)
        users = selected.single(id_field(schema.user))
        counters = ReadCounters(rows=len(users))
        labels = selected.single(label_field(schema)) if self._with_labels else np.full(len(users), np.nan, np.float32)
        dense = np.empty((len(users), len(schema.dense)), dtype=np.float32)
        for i, feature in enumerate(schema.dense):
            dense[:, i] = selected.single(feature_field(feature))
        for feature in schema.features:
            if feature.max_length and (count := selected.truncated(feature_field(feature))):
                counters.truncated[feature.name] = count
        extra = {schema.timestamp: _tensor(selected.single(id_field(schema.timestamp)))} if schema.timestamp else {}
        batch = Batch(
            labels=_tensor(labels),
            dense=_tensor(dense),
            pooled=self._jagged(schema.pooled, selected),
            sequence=self._jagged(schema.sequential, selected),
            frozen={name: self._frozen(name, selected, counters) for name in self._stores},
            users=_tensor(users),
            targets=_tensor(selected.single(feature_field(schema.feature(schema.target)))),
            extra=extra,
        )
        return batch, counters

    def _jagged(self, features: list[Feature], selected: "_SelectedRows") -> KeyedJaggedTensor | None:
        """Table rows of ``features``, bag after bag; None without features."""
        if not features:
            return None
        parts = [selected.bags(feature_field(f)) for f in features]
        counts = [bags.values.size for bags in parts]
        stops = np.cumsum([0, *counts])
        values = np.empty(stops[-1], dtype=np.int64)
        for feature, bags, start, stop in zip(features, parts, stops, stops[1:], strict=False):
            table_rows(bags.values, self._schema.table_of(feature), out=values[start:stop])
        return KeyedJaggedTensor(
            keys=[f.name for f in features],
            values=_tensor(values),
            lengths=_tensor(np.concatenate([bags.lengths for bags in parts])),
            stride=len(parts[0]),
            length_per_key=counts,  # known here; elsewhere it would cost a sum and, on CUDA, a wait
            offset_per_key=stops.tolist(),
        )

    def _frozen(self, name: str, selected: "_SelectedRows", counters: ReadCounters) -> FrozenRows:
        """Rows of the modality's store for targets [B] and behaviours [T], equal histories once where that pays."""
        modality, store = self._schema.modalities[name], self._stores[name]
        target = store.rows(selected.single(feature_field(self._schema.feature(modality.target))))
        bags = selected.bags(feature_field(self._schema.feature(modality.history)))
        counters.lookups[name] = target.size + bags.values.size
        bag_index = None
        distinct = deduplicate_bags(bags)
        if distinct is not None and bags.lengths[distinct[0]].sum() <= _WORTH_SHARING * bags.values.size:
            first, bag_index = distinct
            bags = bags.take(first)
        history = store.rows(bags.values)
        missing = np.diff(np.concatenate([[0], np.cumsum(history < 0)])[bags.offsets])  # of each bag
        missing = missing if bag_index is None else missing[bag_index]
        counters.missing[name] = int(np.count_nonzero(target < 0) + missing.sum())
        index = None if bag_index is None else _tensor(bag_index)
        return FrozenRows(_tensor(target), _tensor(history), _tensor(bags.offsets), index)


class _SelectedRows:
    """The rows of one batch in a block. Each field is gathered once."""

    def __init__(self, block: RowBlock, rows: slice | np.ndarray) -> None:
        self._block, self._rows = block, rows
        self._single: dict[Field, np.ndarray] = {}
        self._bags: dict[Field, Ragged] = {}

    def single(self, field: Field) -> np.ndarray:
        """[B] values of a field that is no list."""
        if field not in self._single:
            self._single[field] = as_array(self._block.columns[field])[self._rows]
        return self._single[field]

    def bags(self, field: Field) -> Ragged:
        """B bags. A field of single ids has bags of one."""
        if field not in self._bags:
            if field.kind == "list":
                self._bags[field] = as_ragged(self._block.columns[field]).take(self._rows)
            else:
                values = self.single(field)
                self._bags[field] = Ragged(values, np.arange(values.size + 1))
        return self._bags[field]

    def truncated(self, field: Field) -> int:
        """How many of the rows had their list cut."""
        return int(np.count_nonzero(self._block.truncated[field][self._rows]))


def _tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(array)
