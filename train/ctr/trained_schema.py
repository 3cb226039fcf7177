"""The schema that a run was trained with, from its checkpoint, and data that is read with it."""

import os
import sys
from collections.abc import Collection
from pathlib import Path
from typing import Any

from embeddings.errors import InputError, shown
from embeddings.files.parquet_footer import read_footer
from embeddings.validation import validated
from recsys.schema import SCHEMA_FILE, Schema, load_schema
from recsys.schema_compare import located, refuse_other_schema, renamed_columns
from train.data.parquet_files import find_files
from train.distributed.ranks import Ranks

_OLDER = "the checkpoint is of an older version and holds no schema"


def trained_schema(progress: dict[str, Any]) -> Schema | None:
    """The schema in a checkpoint's ``progress``; None in one of an older version. Raises InputError."""
    raw = progress.get("schema")
    return None if raw is None else validated(Schema, raw, where="the checkpoint's schema")


def schema_to_score(
    progress: dict[str, Any], folder: str, split: str, modalities: Collection[str], ranks: Ranks
) -> Schema:
    """The run's schema, with the places of the one in ``folder``, where there is one, to score ``split`` with.

    Raises InputError where the folder's means something else: as ``refuse_other_schema`` does, and where it reads a
    column under another name while the one that was trained on is there too.
    """
    trained = trained_schema(progress)
    if trained is None:
        _say(ranks, f"{_OLDER}: '{Path(folder) / SCHEMA_FILE}' is used, unchecked")
        return _without_absent_timestamp(load_schema(folder), _columns(folder, split), split, ranks)
    trained = _with_stores_of(trained, progress["config"]["data"]["path"])
    return schema_located(trained, folder, split, modalities, ranks)


def schema_located(trained: Schema, folder: str, split: str, modalities: Collection[str], ranks: Ranks) -> Schema:
    """The schema ``trained``, with the places of the one in ``folder``, where there is one, to score ``split`` with.

    Raises InputError as ``schema_to_score`` does.
    """
    where, columns = Path(folder) / SCHEMA_FILE, _columns(folder, split)
    if not where.is_file():
        notes, schema = [f"'{folder}' has no {SCHEMA_FILE}: the run's own is used, and its stores"], trained
    else:
        here = load_schema(folder)
        refuse_other_schema(trained, here, f"'{where}'", modalities)
        _refuse_replaced_columns(trained, here, where, columns)
        schema, unused = located(trained, here)
        notes = [f"'{where}': {note}" for note in unused]
    for note in notes:
        _say(ranks, note)
    return _without_absent_timestamp(schema, columns, split, ranks)


def _without_absent_timestamp(schema: Schema, columns: Collection[str], split: str, ranks: Ranks) -> Schema:
    if schema.timestamp is None or schema.timestamp in columns:
        return schema
    _say(ranks, f"split '{split}' has no column '{schema.timestamp}', so that its rows have no timestamp")
    return schema.model_copy(update={"timestamp": None})


def schema_to_export(progress: dict[str, Any], folder: str, modalities: Collection[str]) -> Schema:
    """The run's schema, with the places of stores that the one in ``folder`` says, where there is one.

    Raises InputError where the folder's means something else.
    """
    trained, where = trained_schema(progress), Path(folder) / SCHEMA_FILE
    if trained is None:
        return load_schema(folder)
    if not where.is_file():
        return _with_stores_of(trained, progress["config"]["data"]["path"])
    here = load_schema(folder)
    refuse_other_schema(trained, here, f"'{where}'", modalities)
    return located(trained, here)[0]


def _columns(folder: str, split: str) -> list[str]:
    """Names of the columns of a split: of its first file that has rows."""
    files = map(read_footer, find_files(folder, split))
    return next((file.columns.names for file in files if file.group_rows.any()), [])


def _refuse_replaced_columns(trained: Schema, here: Schema, where: Path, columns: Collection[str]) -> None:
    for what, before, now in renamed_columns(trained, here):
        if before in columns:
            raise InputError(
                f"'{where}' reads {what} from column {shown(now)}; the run was trained on {shown(before)}, which is "
                f"there too; name that column, or train a new run"
            )


def _with_stores_of(schema: Schema, folder: str) -> Schema:
    """``schema`` with absolute paths of the stores of ``folder``."""
    stores = {
        name: m if "://" in m.store else m.model_copy(update={"store": os.path.abspath(m.store_path(folder))})
        for name, m in schema.modalities.items()
    }
    return schema.model_copy(update={"modalities": stores})


def refuse_to_go_on(
    progress: dict[str, Any], here: Schema, folder: str, split: str, modalities: Collection[str], ranks: Ranks
) -> None:
    """Refuse to go on learning from ``split`` with another schema than a checkpoint's own, or from other columns.

    Raises InputError.
    """
    trained, where = trained_schema(progress), Path(folder) / SCHEMA_FILE
    if trained is None:
        _say(ranks, f"{_OLDER}: '{where}' is used, unchecked")
    else:
        refuse_other_schema(trained, here, f"'{where}'", modalities, same_inputs=True)
        _refuse_replaced_columns(trained, here, where, _columns(folder, split))


def _say(ranks: Ranks, text: str) -> None:
    if ranks.first:
        print(f"note: {text}", file=sys.stderr, flush=True)
