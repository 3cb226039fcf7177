"""A request's features: one context, such as a user with a history, and N candidates, each looked up once.

The same steps as for rows of a file (types, checks, truncation, hashing; see the package), but what all candidates
share is one row, and stays one.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch

from embeddings.errors import InputError, listed, nearest
from embeddings.frozen.store import FrozenStore
from recsys.batch import FrozenRows
from recsys.features.columns import Field, feature_field
from recsys.features.ragged import Ragged, as_array, as_ragged
from recsys.features.raw_columns import build_row_block
from recsys.features.row_block import RowBlock
from recsys.features.table_rows import table_rows
from recsys.schema import Feature, Schema

Columns = Mapping[str, np.ndarray | Ragged]


@dataclass(frozen=True)
class RequestRows:
    """What a model looks up for N candidates.

    candidates  N
    dense       [N, F]  float32, F dense features in schema order
    ids         feature with a table -> table rows, a Ragged of N bags, or of 1 that all candidates share; ids outside
                of an identity table are as they came
    frozen      modality -> FrozenRows of N targets
    shared      features of ``ids`` that are 1 bag
    missing     modality -> [N] bool, whether a candidate has no vector
    truncated   feature -> bags of which older values were cut to reach max_length
    """

    candidates: int
    dense: torch.Tensor
    ids: dict[str, Ragged]
    frozen: dict[str, FrozenRows]
    shared: frozenset[str]
    missing: dict[str, np.ndarray]
    truncated: dict[str, int]


class RequestAssembler:
    """Makes ``RequestRows`` of a request's columns.

    Args:
        stores: modality -> opened store, of the modalities that the model uses.
    """

    def __init__(self, schema: Schema, stores: Mapping[str, FrozenStore]) -> None:
        self._schema, self._stores = schema, dict(stores)
        self.fields = list(dict.fromkeys(feature_field(f) for f in schema.features))
        self.columns = list(dict.fromkeys(field.column for field in self.fields))
        # columns of rows that no feature reads
        unread = {schema.label, schema.user, *([schema.timestamp] if schema.timestamp else [])}
        self._ignored = unread - set(self.columns)

    def __call__(self, context: Columns, candidates: Columns) -> RequestRows:
        """The features of one request.

            context     column -> an array or Ragged of 1 row
            candidates  column -> an array or Ragged of N rows, N the same for all

        Every column that a feature reads is in one of the two. Raises InputError where one is in neither or in both, is
        not known, or holds what ``build_row_block`` refuses.
        """
        self._check_names(context, candidates)
        blocks = [self._block(columns, where) for columns, where in ((context, "context"), (candidates, "candidates"))]
        count = blocks[1].rows
        dense = np.empty((count, len(self._schema.dense)), np.float32)
        for i, feature in enumerate(self._schema.dense):
            dense[:, i] = as_array(self._column(blocks, feature_field(feature)))
        ids, shared = {}, set()
        for feature in self._schema.features:
            if feature.table is None:
                continue
            bags = self._bags(blocks, feature)
            rows = np.empty(bags.values.size, np.int64)
            table_rows(bags.values, self._schema.table_of(feature), out=rows)
            ids[feature.name] = Ragged(rows, bags.offsets)
            if feature_field(feature) in blocks[0].columns:
                shared.add(feature.name)
        frozen, missing = {}, {}
        for name, store in self._stores.items():
            frozen[name] = self._frozen(blocks, name, store, count)
            missing[name] = frozen[name].target.numpy() < 0
        truncated: dict[str, int] = {}
        for feature in self._schema.features:
            for block in blocks:
                cut = block.truncated.get(feature_field(feature))
                if cut is not None and (number := int(np.count_nonzero(cut))):
                    truncated[feature.name] = number
        return RequestRows(count, torch.from_numpy(dense), ids, frozen, frozenset(shared), missing, truncated)

    def _check_names(self, context: Columns, candidates: Columns) -> None:
        for side, columns in (("context", context), ("candidates", candidates)):
            for name in columns:
                if name not in self.columns and name not in self._ignored:
                    raise InputError(
                        f"{side}: no feature reads a column '{name}'{nearest(name, self.columns)}; allowed: "
                        f"{listed(self.columns)}"
                    )
        for name in self.columns:
            if name in context and name in candidates:
                raise InputError(f"column '{name}' is in context and in candidates; give it in one of them")
            if name not in context and name not in candidates:
                raise InputError(
                    f"column '{name}' is missing; give it in context, once for all candidates, or in candidates"
                )
        if not any(name in self.columns for name in candidates):
            raise InputError("candidates has no columns that a feature reads; give at least that of the target item")

    def _block(self, columns: Columns, where: str) -> RowBlock:
        fields = [field for field in self.fields if field.column in columns]
        if not fields:
            return RowBlock(0, {}, {})
        lengths = {name: len(columns[name]) for name in columns}
        first = fields[0].column
        wanted, why = (1, "") if where == "context" else (lengths[first], f", as '{first}' has")
        for name, length in lengths.items():
            if length != wanted:
                raise InputError(f"{where}: column '{name}' has {length} rows, wanted {wanted}{why}")
        return build_row_block(self._schema, fields, columns, where, identity_ids_alone=False)

    @staticmethod
    def _column(blocks: list[RowBlock], field: Field) -> np.ndarray | Ragged:
        return next(block.columns[field] for block in blocks if field in block.columns)

    def _bags(self, blocks: list[RowBlock], feature: Feature) -> Ragged:
        """Bags of raw ids; a single id is a bag of one."""
        column = self._column(blocks, feature_field(feature))
        if isinstance(column, Ragged):
            return column
        return Ragged(column, np.arange(column.size + 1))

    def _frozen(self, blocks: list[RowBlock], name: str, store: FrozenStore, count: int) -> FrozenRows:
        modality = self._schema.modalities[name]
        targets = as_array(self._column(blocks, feature_field(self._schema.feature(modality.target))))
        field = feature_field(self._schema.feature(modality.history))
        history = as_ragged(self._column(blocks, field))
        target = np.broadcast_to(store.rows(targets), (count,)).copy()
        bag_index = torch.zeros(count, dtype=torch.int64) if field in blocks[0].columns else None
        rows, offsets = torch.from_numpy(store.rows(history.values)), torch.from_numpy(history.offsets)
        return FrozenRows(torch.from_numpy(target), rows, offsets, bag_index)
