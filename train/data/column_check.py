"""Column check: whether the parquet files of a split have the columns that a schema reads, of the right types."""

import logging

from embeddings.errors import InputError, nearest
from embeddings.files.parquet_footer import DataFile
from recsys.features.arrow_columns import WANTED, readable_as
from recsys.features.columns import Field

log = logging.getLogger(__name__)


def check_columns(files: list[DataFile], fields: list[Field], ignored: set[str]) -> list[str]:
    """Check every file's columns against ``fields``; names of columns that nothing reads, sorted.

    Types may differ from file to file, as ids become int64 and numbers float32 whatever they were. Files without rows
    may have any columns: who writes an empty part often does not know the types.

    Raises InputError for a column that is missing, appears twice, or has a type that cannot be read. Columns in
    ``ignored`` do not count as unread.
    """
    files = [f for f in files if f.group_rows.any()]
    for f in files:
        for field in fields:
            _check_column(f, field, files[0])
    needed = {field.column for field in fields} | ignored
    return sorted({name for f in files for name in f.columns.names} - needed)


def _check_column(file: DataFile, field: Field, first: DataFile) -> None:
    name = field.column
    count = len(file.columns.get_all_field_indices(name))
    if count == 0 and file is not first:
        raise InputError(
            f"'{file.path}' has no column '{name}', but the first file '{first.name}' has: "
            f"all files of a split need the same columns; write it again or move it away"
        )
    if count == 0:
        hint = nearest(name, file.columns.names)
        raise InputError(
            f"'{file.path}' has no column '{name}'{hint}; columns there: {file.columns.names}; "
            f"write the column, or fix schema.yaml"
        )
    if count > 1:
        raise InputError(f"'{file.path}' has {count} columns named '{name}'; keep one")
    got = file.columns.field(name).type
    if not readable_as(got, field.kind):
        raise InputError(
            f"'{file.path}', column '{name}': got type {got}, wanted {WANTED[field.kind]}; "
            f"cast the column, or fix its feature in schema.yaml"
        )


def announce_unread(split: str, unread: list[str]) -> None:
    """Say once which columns of the files are not used."""
    if unread:
        names = ", ".join(f"'{n}'" for n in unread)
        log.warning(
            "split '%s': columns that no feature reads are ignored: %s; name them in schema.yaml to use them",
            split,
            names,
        )
