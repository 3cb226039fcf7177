"""Rows of a window into a Batch: table rows for the tables, frozen rows for the modalities. No per-row Python."""

import numpy as np
import torch
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor

from embeddings.frozen.store import FrozenStore
from recsys.batch import Batch, FrozenRows
from recsys.features.columns import Field, feature_field, id_field, label_field
from recsys.features.decode import gather_bags
from recsys.features.read_counters import Counters
from recsys.features.row_block import RowBlock
from recsys.features.shared_histories import equal_bags
from recsys.features.table_rows import table_rows
from recsys.schema import Feature, Schema

# Behaviours that sharing equal histories must leave of a batch, at most: below this, gathering them anew does not pay.
_WORTH_SHARING = 0.9


class Assembler:
    """Makes batches from windows."""

    def __init__(self, schema: Schema, stores: dict[str, FrozenStore], with_labels: bool) -> None:
        self._schema, self._stores, self._with_labels = schema, stores, with_labels

    def __call__(self, window: RowBlock, rows: slice | np.ndarray) -> tuple[Batch, Counters]:
        """The batch of ``rows`` of ``window``, and what it adds to the counters."""
        schema, taken = self._schema, _Rows(window, rows)
        users = taken.flat(id_field(schema.user))
        counters = Counters(rows=len(users))
        labels = taken.flat(label_field(schema)) if self._with_labels else np.full(len(users), np.nan, np.float32)
        dense = np.empty((len(users), len(schema.dense)), dtype=np.float32)
        for i, feature in enumerate(schema.dense):
            dense[:, i] = taken.flat(feature_field(feature))
        for feature in schema.features:
            if feature.max_length and (cut := taken.cut(feature_field(feature))):
                counters.truncated[feature.name] = cut
        extra = {schema.timestamp: _tensor(taken.flat(id_field(schema.timestamp)))} if schema.timestamp else {}
        batch = Batch(
            labels=_tensor(labels),
            dense=_tensor(dense),
            pooled=self._jagged(schema.pooled, taken),
            sequence=self._jagged(schema.sequential, taken),
            frozen={name: self._frozen(name, taken, counters) for name in self._stores},
            users=_tensor(users),
            targets=_tensor(taken.flat(feature_field(schema.feature(schema.target)))),
            extra=extra,
        )
        return batch, counters

    def _jagged(self, features: list[Feature], taken: "_Rows") -> KeyedJaggedTensor | None:
        if not features:
            return None
        parts = [taken.bags(feature_field(f)) for f in features]
        counts = [values.size for values, _ in parts]
        stops = np.cumsum([0, *counts])
        values = np.empty(stops[-1], dtype=np.int64)
        for feature, (ids, _), start, stop in zip(features, parts, stops, stops[1:], strict=False):
            table_rows(ids, self._schema.tables[feature.table], out=values[start:stop])
        return KeyedJaggedTensor(
            keys=[f.name for f in features],
            values=_tensor(values),
            lengths=_tensor(np.concatenate([lengths for _, lengths in parts])),
            stride=parts[0][1].size,
            length_per_key=counts,  # known here; elsewhere it would cost a sum and, on CUDA, a wait
            offset_per_key=stops.tolist(),
        )

    def _frozen(self, name: str, taken: "_Rows", counters: Counters) -> FrozenRows:
        modality, store = self._schema.modalities[name], self._stores[name]
        target = store.rows(taken.flat(feature_field(self._schema.feature(modality.target))))
        ids, lengths = taken.bags(feature_field(self._schema.feature(modality.history)))
        counters.lookups[name] = target.size + ids.size
        bag_of = None
        found = equal_bags(ids, lengths)
        if found is not None and lengths[found[0]].sum() <= _WORTH_SHARING * ids.size:
            first, bag_of = found
            ids, lengths = gather_bags(ids, (np.cumsum(lengths) - lengths)[first], lengths[first]), lengths[first]
        history = store.rows(ids)
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        missing = np.diff(np.concatenate([[0], np.cumsum(history < 0)])[offsets])  # of each bag
        missing = missing if bag_of is None else missing[bag_of]
        counters.missing[name] = int(np.count_nonzero(target < 0) + missing.sum())
        bags = None if bag_of is None else _tensor(bag_of)
        return FrozenRows(_tensor(target), _tensor(history), _tensor(offsets), bags)


class _Rows:
    """The rows of one batch in a window. Each field is gathered once."""

    def __init__(self, window: RowBlock, rows: slice | np.ndarray) -> None:
        self._window, self._rows = window, rows
        self._flat: dict[Field, np.ndarray] = {}
        self._bags: dict[Field, tuple[np.ndarray, np.ndarray]] = {}

    def flat(self, field: Field) -> np.ndarray:
        if field not in self._flat:
            self._flat[field] = self._window.columns[field][self._rows]
        return self._flat[field]

    def bags(self, field: Field) -> tuple[np.ndarray, np.ndarray]:
        """Values [T] and lengths [B]. A field of single ids has bags of one."""
        if field not in self._bags:
            self._bags[field] = self._gather(field)
        return self._bags[field]

    def cut(self, field: Field) -> int:
        return int(np.count_nonzero(self._window.columns[field].cut[self._rows]))

    def _gather(self, field: Field) -> tuple[np.ndarray, np.ndarray]:
        if field.kind != "list":
            values = self.flat(field)
            return values, np.ones(values.size, dtype=np.int64)
        column = self._window.columns[field]
        lengths, starts = column.lengths[self._rows], self._window.starts[field][self._rows]
        if isinstance(self._rows, slice):
            begin = int(starts[0])
            return column.values[begin : begin + int(lengths.sum())], lengths
        return gather_bags(column.values, starts, lengths), lengths


def _tensor(array: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(array)
