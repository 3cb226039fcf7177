"""Schema comparison: whether a data folder's schema means what the one means that a run was trained with.

A run reads data with its own schema. A folder's schema may say where things are in that folder: columns under other
names, stores. What it says of the model's inputs must be the same, or scores would be wrong without a word.
"""

import hashlib
import json
from collections.abc import Collection, Iterator
from typing import Any

from embeddings.errors import InputError, listed, shown
from embeddings.validation import Strict
from recsys.schema import Schema

_PLACES = {"column", "store", "max_missing"}  # where inputs are in a folder, and how many of them may be missing
_SAID_AT_MOST = 8  # differences in one message


def refuse_other_schema(
    trained: Schema, here: Schema, where: str, modalities: Collection[str], *, same_inputs: bool = False
) -> None:
    """Refuse a folder's schema that is at odds with a run's. Raises InputError with each difference in words.

    Args:
        where: what the folder's is called, such as its path.
        modalities: that the run's model uses; the others may differ.
        same_inputs: refuse further features and another order of them too, as the model is built by the folder's.
    """
    differing = list(_differences(trained, here, modalities))
    names, names_here = [f.name for f in trained.features], [f.name for f in here.features]
    if same_inputs and not differing and names != names_here:
        differing.append(f"its features are {', '.join(names_here)}, trained with {', '.join(names)}, in that order")
    if differing:
        raise InputError(
            f"{where} is not the schema that the run was trained with: {listed(differing, _SAID_AT_MOST, '; ')}; "
            "put it back, name a folder with data of the run's schema, or train a new run"
        )


def located(trained: Schema, here: Schema) -> tuple[Schema, list[str]]:
    """A run's schema with the columns and stores of a folder's, to read that folder with.

    Beside it, in words, what of the folder's schema is not used. ``refuse_other_schema`` comes before.
    """
    by_name = {f.name: f for f in here.features}
    columns = {f.name: f.column for f in (*trained.features, *here.features)}
    features = [f.model_copy(update={"column": columns[f.name]}) for f in trained.features]
    modalities = dict(trained.modalities)
    for name in trained.modalities.keys() & here.modalities.keys():
        places = here.modalities[name].model_dump(include=_PLACES)
        modalities[name] = modalities[name].model_copy(update=places)
    rest = {"label": here.label, "user": here.user, "timestamp": here.timestamp}
    notes = []
    if more := [name for name in by_name if name not in {f.name for f in trained.features}]:
        notes.append(f"the run was trained without {', '.join(more)}, which is not read")
    if [name for name in by_name if name not in more] != [f.name for f in trained.features]:
        notes.append("features stand in another order there: the run's is kept")
    return trained.model_copy(update={"features": features, "modalities": modalities, **rest}), notes


def renamed_columns(trained: Schema, here: Schema) -> list[tuple[str, str, str]]:
    """What is read from another column than in training: what it is, the column then, the column here."""
    before, now = _columns(trained), _columns(here)
    return [(what, column, now[what]) for what, column in before.items() if now.get(what, column) != column]


def schema_digest(schema: Schema) -> str:
    """A digest of what a model depends on: equal as long as a schema's changes are of no effect on it."""
    meaning = {
        "features": [_plain(f) for f in schema.features],
        "columns": _columns(schema),
        "tables": {name: _plain(table) for name, table in schema.tables.items()},
        "modalities": {name: _plain(m) for name, m in schema.modalities.items()},
        "target": schema.target,
        "frequency": schema.frequency,
    }
    return hashlib.sha256(json.dumps(meaning, sort_keys=True).encode()).hexdigest()[:16]


def _differences(trained: Schema, here: Schema, modalities: Collection[str]) -> Iterator[str]:
    for key in ("target", "frequency"):
        yield from _other(key, {"": getattr(trained, key)}, {"": getattr(here, key)})
    by_name = {f.name: f for f in here.features}
    for f in trained.features:
        yield from _other(f"features.{f.name}", _plain(f), _plain(by_name.get(f.name)))
    for name, table in trained.tables.items():
        yield from _other(f"tables.{name}", table.model_dump(), _plain(here.tables.get(name)))
    for name in sorted(trained.modalities.keys() & set(modalities)):
        pair, there = _plain(trained.modalities[name]), _plain(here.modalities.get(name))
        yield from _other(f"modalities.{name}", pair, there)
    owners = {column: what for what, column in _columns(trained).items()}
    for what, column, new in renamed_columns(trained, here):
        if new in owners:
            yield f"{what} is read from column {shown(new)}, trained on {shown(column)}, and {owners[new]} on that one"


def _other(name: str, trained: dict[str, Any], here: dict[str, Any] | None) -> Iterator[str]:
    if here is None:
        yield f"{name} is not there"
        return
    for key, value in trained.items():
        if here[key] != value:
            yield f"{name}{key and '.'}{key} is {_said(here[key])}, trained with {_said(value)}"


def _plain(part: Strict | None) -> Any:
    """What a part of a schema means, as plain data."""
    return part and part.model_dump(exclude=_PLACES)


def _columns(schema: Schema) -> dict[str, str]:
    """What is read -> its column, of all that a model learns from or is judged by; a timestamp is only copied."""
    features = {f"feature '{f.name}'": f.source for f in schema.features}
    return {"the label": schema.label, "the user": schema.user, **features}


def _said(value: Any) -> str:
    return "null" if value is None else str(value)
