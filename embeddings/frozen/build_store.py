"""Builds a frozen store from files: a pair of .npy arrays, or parquet with an id and a vector column."""

import os
import tempfile
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from embeddings.errors import InputError, listed, nearest, shown
from embeddings.files.npy_file import map_npy
from embeddings.files.parquet_folder import parquet_paths
from embeddings.frozen.store import FrozenStore, build_store
from embeddings.frozen.store_writer import check_target, locked_target

if TYPE_CHECKING:
    import pyarrow as pa

BATCH_ROWS = 16_384


def build_from_npy(
    path: str, ids: str, vectors: str, *, dtype: str = "float16", encoder: str = "", overwrite: bool = False
) -> FrozenStore:
    """``build_store`` from files ``ids`` (integers [N]) and ``vectors`` (float or int8 [N, M]), memory-mapped.

    Raises InputError for a file that is missing or no .npy, and as ``build_store`` does.
    """
    return build_store(path, mapped_npy(ids), mapped_npy(vectors), dtype=dtype, encoder=encoder, overwrite=overwrite)


def build_from_parquet(
    path: str,
    source: str,
    *,
    id_column: str,
    vector_column: str,
    dtype: str = "float16",
    encoder: str = "",
    overwrite: bool = False,
) -> FrozenStore:
    """``build_store`` from a parquet file, or a folder of them, read in batches.

    ``id_column`` holds integers, ``vector_column`` lists (of fixed size or not) of floats or int8, all of one length.
    The vectors pass through a temporary file beside ``path``, as large as they are.
    Raises InputError for a column that is missing or of another type, for nulls and vectors of differing lengths, for
    an unreadable file, and as ``build_store`` does.
    """
    check_target(path, overwrite)
    files = _parquet_files(source)
    parent = "." if "://" in path else os.path.dirname(os.path.abspath(path))
    try:
        os.makedirs(parent, exist_ok=True)
        with locked_target(path, overwrite), tempfile.TemporaryFile(dir=parent) as spool:
            ids_read, width, dtype_read = [np.empty(0, np.int64)], 0, np.dtype("float32")
            for file, ids, vectors in _batches(files, id_column, vector_column):
                if width and (vectors.shape[1], vectors.dtype) != (width, dtype_read):
                    raise InputError(
                        f"'{file}': vectors are {vectors.dtype} of width {vectors.shape[1]}, but "
                        f"{dtype_read} of width {width} before; allowed: one type and width; leave out the rows that "
                        "differ"
                    )
                width, dtype_read = vectors.shape[1], vectors.dtype
                ids_read.append(ids)
                spool.write(np.ascontiguousarray(vectors).data)
            if len(ids_read) == 1:
                raise InputError(f"'{source}' holds no rows; allowed: at least one vector")
            spool.flush()
            all_ids = np.concatenate(ids_read)
            mapped = np.memmap(spool, dtype=dtype_read, mode="r", shape=(all_ids.size, width))
            return build_store(path, all_ids, mapped, dtype=dtype, encoder=encoder, overwrite=overwrite)
    except OSError as error:
        raise InputError(f"cannot write beside '{path}': {error}; free space, fix permissions or move it") from error


def mapped_npy(file: str) -> np.ndarray:
    """The array in a .npy file that a user named, memory-mapped. Raises InputError."""
    if not os.path.exists(file):
        raise InputError(f"'{file}' does not exist; give the path of a .npy file")
    try:
        return map_npy(file, "save it with numpy.save")
    except OSError as error:
        raise InputError(f"'{file}' cannot be read ({error.strerror}); fix its permissions") from None


def _parquet_files(source: str) -> list[str]:
    if os.path.isfile(source):
        return [source]
    if not os.path.isdir(source):
        raise InputError(f"'{source}' does not exist; give a parquet file or a folder of them")
    files, passed_over = parquet_paths(source)
    if not files:
        others = f", only {listed(passed_over)}" if passed_over else ""
        raise InputError(f"folder '{source}' holds no .parquet file{others}; give the files, or a folder of them")
    return files


def _batches(files: list[str], id_column: str, vector_column: str) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """File, ids [n] and vectors [n, M] of each non-empty batch."""
    from embeddings.files.parquet_batches import read_batches, refuse_many_values
    from embeddings.files.parquet_footer import read_footers

    for file in read_footers(files):
        names = file.columns.names
        for column in (id_column, vector_column):
            if names.count(column) != 1:
                hint = nearest(column, names) if column not in names else ", but several"
                raise InputError(f"'{file.path}' has no column '{column}'{hint}; columns: {shown(names)}")
        values = sum(file.values(group, vector_column) for group in range(len(file.group_rows)))
        refuse_many_values([file], values, "values in vectors", "write fewer, or fix the file")
        for _, batch in read_batches(file, [id_column, vector_column], BATCH_ROWS):
            ids = _ids(file.path, batch.column(0))
            yield file.path, ids, _vectors(file.path, ids, batch.column(1))


def _ids(file: str, column: "pa.Array") -> np.ndarray:
    import pyarrow as pa

    if not pa.types.is_integer(column.type):
        raise InputError(f"'{file}': ids are {column.type}; allowed: integers; cast the column first")
    if column.null_count:
        raise InputError(f"'{file}': {column.null_count} ids are null; allowed: one id for each row; drop those rows")
    if column.type == pa.uint64() and (large := column.to_numpy(zero_copy_only=False).max()) >= 2**63:
        raise InputError(f"'{file}': id {large} does not fit int64; allowed: signed 64-bit ids; cast the column first")
    return column.to_numpy(zero_copy_only=False).astype(np.int64)


def _vectors(file: str, ids: np.ndarray, column: "pa.Array") -> np.ndarray:
    import pyarrow as pa

    kind = column.type
    lists = pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind)
    if not lists or not (pa.types.is_floating(kind.value_type) or kind.value_type == pa.int8()):
        raise InputError(f"'{file}': vectors are {kind}; allowed: lists of floats or int8; cast the column first")
    if column.null_count:
        first = ids[np.flatnonzero(column.is_null().to_numpy(zero_copy_only=False))[0]]
        raise InputError(
            f"'{file}': the vector of id {first} is null; leave such items out, they then count as missing"
        )
    lengths = (
        np.full(len(column), kind.list_size)
        if pa.types.is_fixed_size_list(kind)
        else column.value_lengths().to_numpy(zero_copy_only=False)
    )
    if (wrong := np.flatnonzero(lengths != lengths[0])).size:
        raise InputError(
            f"'{file}': the vector of id {ids[wrong[0]]} has {lengths[wrong[0]]} values, that of id {ids[0]} has "
            f"{lengths[0]}; allowed: one length; fix or leave out the rows that differ"
        )
    if not lengths[0]:
        raise InputError(f"'{file}': the vector of id {ids[0]} is empty; allowed: at least one value")
    values = column.flatten()  # unlike .values, only this batch's
    if values.null_count:
        raise InputError(f"'{file}': {values.null_count} values inside vectors are null; drop those rows")
    return values.to_numpy(zero_copy_only=False).reshape(len(ids), -1)
