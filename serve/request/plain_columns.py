"""Plain values of a request, as JSON and Python have them, into columns: numbers to arrays, lists to ragged arrays."""

import contextlib
from collections.abc import Mapping, Sequence
from itertools import chain
from typing import Any

import numpy as np

from embeddings.errors import InputError, shown
from recsys.features.columns import Field
from recsys.features.ragged import Ragged

_WANTED = {"id": "an integer of 64 bits", "float": "a number", "list": "a list of integers of 64 bits"}
_EXACT = 2**53  # integers up to here are float64 as well
_KINDS = {"id": "iu", "float": "iufb", "list": "iu"}  # numpy's
_TYPES: dict[str, set[type]] = {"id": {int}, "float": {int, float, bool}, "list": {int}}
_NUMPY = {"id": (np.integer,), "float": (np.integer, np.floating, np.bool_), "list": (np.integer,)}


def context_columns(fields: Mapping[str, Field], given: object) -> dict[str, np.ndarray | Ragged]:
    """Columns of one row, of what is given once for all candidates.

    Args:
        fields: column -> how features read it; other columns are left as they are, for their names to be refused.
        given: column -> a number, or a list of integers.

    Raises InputError.
    """
    columns = _columns("context", given)
    return {name: _column("context", name, [value], fields.get(name)) for name, value in columns.items()}


def candidate_columns(fields: Mapping[str, Field], given: object) -> dict[str, np.ndarray | Ragged]:
    """Columns of N rows, of what is given for each candidate.

    Args:
        given: column -> a list of N numbers, or of N lists of integers.

    Raises InputError.
    """
    columns = _columns("candidates", given)
    for name, values in columns.items():
        if not isinstance(values, (list, tuple, np.ndarray)):
            raise InputError(f"candidates: column {shown(name)} is {shown(values)}; wanted a list, a value a candidate")
    return {name: _column("candidates", name, values, fields.get(name)) for name, values in columns.items()}


def _columns(side: str, given: object) -> Mapping[str, Any]:
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        raise InputError(f"{side} is {shown(given)}; wanted an object of columns: names and values")
    return given


def _column(side: str, name: str, values: Sequence[Any], field: Field | None) -> np.ndarray | Ragged:
    if field is None:
        return np.zeros(len(values), np.int64)
    if field.kind == "list":
        if wrong := [value for value in values if not isinstance(value, (list, tuple, np.ndarray))]:
            raise _refused(side, name, wrong[0], field)
        lengths = np.fromiter(map(len, values), np.int64, len(values))
        flat = values[0] if len(values) == 1 else list(chain.from_iterable(values))
        return Ragged.from_lengths(_array(side, name, flat, field), lengths)
    return _array(side, name, values, field)


def _array(side: str, name: str, values: Any, field: Field) -> np.ndarray:
    """[n] of integers, or of numbers."""
    if not len(values):
        return np.zeros(0, np.float64 if field.kind == "float" else np.int64)
    if isinstance(values, np.ndarray):
        if values.ndim != 1 or values.dtype.kind not in _KINDS[field.kind]:
            raise _refused(side, name, f"an array of {values.dtype} {list(values.shape)}", field)
        return values
    # before numpy sees them: it would take True for 1 beside integers, and room for the longest text a value
    right, numpys = _TYPES[field.kind], _NUMPY[field.kind]
    if wrong := [kind for kind in set(map(type, values)) if kind not in right and not issubclass(kind, numpys)]:
        raise _refused(side, name, next(value for value in values if type(value) in wrong), field)
    array = np.asarray(values)
    if array.dtype == object and field.kind == "float":  # integers beyond 64 bits
        with contextlib.suppress(OverflowError):  # beyond any float
            array = np.asarray(values, np.float64)
    if field.kind == "float" and array.dtype.kind in "iub" and np.abs(array).max() <= _EXACT:
        array = array.astype(np.float64)  # 1 is 1.0: requests with either are of one kind
    if array.dtype.kind not in _KINDS[field.kind]:  # numpy has no integers beyond 64 bits, nor any type for -1 and 2^63
        raise _refused(side, name, max(values, key=abs), field)
    return array


def _refused(side: str, name: str, got: object, field: Field) -> InputError:
    return InputError(f"{side}: column '{name}' has {shown(got)}; wanted {_WANTED[field.kind]}")
