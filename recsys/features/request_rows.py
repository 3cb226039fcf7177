"""Features of requests: each has a context, such as a user with a history, and candidates; each is looked up once.

The same steps as for rows of a file (types, checks, truncation, hashing; see the package), but what all candidates of a
request share is one row, and stays one.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from embeddings.errors import InputError, listed, nearest, shown
from embeddings.frozen.vector_store import VectorStore
from recsys.batch import FrozenRows
from recsys.features.columns import Field, feature_field, feature_fields
from recsys.features.ragged import Ragged, as_array, as_ragged
from recsys.features.raw_columns import build_row_block
from recsys.features.row_block import RowBlock
from recsys.features.table_rows import table_rows
from recsys.schema import Schema

Columns = Mapping[str, np.ndarray | Ragged]
_MOST_SPLITS = 1000  # that are remembered; requests of one kind of client have one


@dataclass(frozen=True)
class RequestRows:
    """What a model looks up for the N candidates of U requests.

    contexts    U
    candidates  N
    dense       [N, F]  float32, F dense features in schema order
    ids         feature with a table -> table rows, a Ragged of N bags, or of U that a request's candidates share; ids
                outside of an identity table are as they came
    frozen      modality -> FrozenRows of N targets
    bag_index   [N]     int64, the request of each candidate, in order
    shared      features of ``ids`` that are U bags
    missing     modality -> [N] bool, whether a candidate has no vector
    truncated   feature -> whether older values of a bag were cut to reach max_length, bool [N] or [U]; features of
                which no bag was are left out
    """

    contexts: int
    candidates: int
    dense: torch.Tensor
    ids: dict[str, Ragged]
    frozen: dict[str, FrozenRows]
    bag_index: torch.Tensor
    shared: frozenset[str]
    missing: dict[str, np.ndarray]
    truncated: dict[str, np.ndarray]


@dataclass(frozen=True)
class _Split:
    """How requests of the same columns are read: fields of context and candidates, features of the former."""

    context: list[Field]
    candidates: list[Field]
    shared: frozenset[str]


class RequestAssembler:
    """Makes ``RequestRows`` of a request's columns.

    Args:
        stores: modality -> opened store, of the modalities that the model uses.
    """

    def __init__(self, schema: Schema, stores: Mapping[str, VectorStore]) -> None:
        self._schema, self._stores = schema, dict(stores)
        self.fields = feature_fields(schema)
        self.columns = list(dict.fromkeys(field.column for field in self.fields))
        # columns of rows that no feature reads
        unread = {schema.label, schema.user, *([schema.timestamp] if schema.timestamp else [])}
        self._ignored = unread - set(self.columns)
        # what each request needs anew is looked up once: of its few numbers the schema would be most of the work
        self._dense = [feature_field(f) for f in schema.dense]
        self._tabled = [(f.name, feature_field(f), schema.table_of(f)) for f in schema.features if f.table is not None]
        self._cut = [(f.name, feature_field(f)) for f in schema.features if f.max_length]
        self._modalities = [
            (name, store, feature_field(schema.feature(m.target)), feature_field(schema.feature(m.history)))
            for name, store, m in ((name, store, schema.modalities[name]) for name, store in self._stores.items())
        ]
        self._splits: dict[tuple[tuple[str, ...], tuple[str, ...]], _Split] = {}

    def count(self, context: Columns, candidates: Columns) -> int:
        """N of one request.

            context     column -> an array or Ragged of 1 row
            candidates  column -> an array or Ragged of N rows, N the same for all

        Every column that a feature reads is in one of the two. Raises InputError where one is in neither or in both, is
        not known, or has another number of rows.
        """
        split = self._split(context, candidates)
        _check_rows(context, 1, "")
        first = split.candidates[0].column
        count = len(candidates[first])
        _check_rows(candidates, count, f", as '{first}' has")
        return count

    def __call__(self, context: Columns, candidates: Columns, counts: Sequence[int] | None = None) -> RequestRows:
        """The features of one request or, row after row, of several that have the same columns.

            context     column -> an array or Ragged of U rows
            candidates  column -> an array or Ragged of N rows

        Args:
            counts: candidates of each of the U requests, as ``count`` gives them; None: there is one.

        Raises InputError for what ``count`` and ``build_row_block`` refuse.
        """
        counts = [self.count(context, candidates)] if counts is None else counts
        split = self._split(context, candidates)
        of_context = self._block(split.context, context, "context")
        own = self._block(split.candidates, candidates, "candidates")
        columns = of_context.columns | own.columns
        bag_index = np.repeat(np.arange(len(counts)), counts)
        dense = np.empty((own.rows, len(self._dense)), np.float32)
        for i, field in enumerate(self._dense):
            dense[:, i] = _spread(as_array(columns[field]), field in of_context.columns, bag_index)
        ids = {}
        for name, field, table in self._tabled:
            bags = _bags(columns[field])
            rows = np.empty(bags.values.size, np.int64)
            table_rows(bags.values, table, out=rows)
            ids[name] = Ragged(rows, bags.offsets)
        requests = torch.from_numpy(bag_index)
        frozen, missing = {}, {}
        for name, store, of_target, of_history in self._modalities:
            history = as_ragged(columns[of_history])
            target = _spread(store.rows(as_array(columns[of_target])), of_target in of_context.columns, bag_index)
            behaviours, offsets = torch.from_numpy(store.rows(history.values)), torch.from_numpy(history.offsets)
            shared = requests if of_history in of_context.columns else None
            frozen[name] = FrozenRows(torch.from_numpy(target), behaviours, offsets, shared)
            missing[name] = target < 0
        cut = of_context.truncated | own.truncated
        truncated = {name: cut[field] for name, field in self._cut if cut[field].any()}
        dense_features = torch.from_numpy(dense)
        return RequestRows(
            len(counts), own.rows, dense_features, ids, frozen, requests, split.shared, missing, truncated
        )

    def _split(self, context: Columns, candidates: Columns) -> _Split:
        """Raises InputError where the columns are not those that features read."""
        key = tuple(context), tuple(candidates)
        split = self._splits.get(key)
        if split is None:
            self._check_names(context, candidates)
            shared = frozenset(name for name, field, _ in self._tabled if field.column in context)
            of_context, own = (
                [field for field in self.fields if field.column in columns] for columns in (context, candidates)
            )
            if len(self._splits) >= _MOST_SPLITS:
                self._splits.clear()
            split = self._splits[key] = _Split(of_context, own, shared)
        return split

    def _check_names(self, context: Columns, candidates: Columns) -> None:
        for side, columns in (("context", context), ("candidates", candidates)):
            for name in columns:
                if name not in self.columns and name not in self._ignored:
                    raise InputError(
                        f"{side}: no feature reads a column {shown(name)}{nearest(name, self.columns)}; allowed: "
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

    def _block(self, fields: list[Field], columns: Columns, where: str) -> RowBlock:
        if not fields:
            return RowBlock(0, {}, {})
        return build_row_block(self._schema, fields, columns, where, identity_ids_alone=False)


def joined(parts: Sequence[Columns]) -> Columns:
    """The rows of all ``parts``, which have the same columns of the same types, one after the other."""
    first, *others = parts
    if not others:
        return first
    return {name: _joined([part[name] for part in parts]) for name in first}


def _joined(columns: list[np.ndarray | Ragged]) -> np.ndarray | Ragged:
    if isinstance(columns[0], Ragged):
        return Ragged.concatenate([as_ragged(column) for column in columns])
    return np.concatenate([as_array(column) for column in columns])


def _spread(values: np.ndarray, shared: bool, bag_index: np.ndarray) -> np.ndarray:
    """[N], of a value each or, where a request's candidates share one, of [U]."""
    return values[bag_index] if shared else values


def _check_rows(columns: Columns, wanted: int, why: str) -> None:
    where = "candidates" if why else "context"
    for name, column in columns.items():
        if len(column) != wanted:
            raise InputError(f"{where}: column {shown(name)} has {len(column)} rows, wanted {wanted}{why}")


def _bags(column: np.ndarray | Ragged) -> Ragged:
    """Bags of raw ids; a single id is a bag of one."""
    if isinstance(column, Ragged):
        return column
    return Ragged(column, np.arange(column.size + 1))
