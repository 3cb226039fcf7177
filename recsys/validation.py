"""Plain data into a pydantic model, with errors that name the nearest known key."""

import types
import typing
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError

from embeddings.errors import InputError, nearest

Model = TypeVar("Model", bound=BaseModel)


class Strict(BaseModel):
    """Settings that cannot change, and that know every key they may have."""

    model_config = ConfigDict(frozen=True, extra="forbid")


def validated(model: type[Model], raw: Any, where: str) -> Model:
    """``model`` filled from ``raw``. Raises InputError with one line per wrong key.

    Args:
        where: what the user should open to mend it, such as a file's path.
    """
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        lines = [_line(model, e) for e in error.errors()]
        raise InputError(f"{where}: " + "; ".join(lines)) from None


def _line(model: type[BaseModel], error: dict) -> str:
    place = ".".join(str(p) for p in error["loc"])
    if error["type"] == "extra_forbidden":
        *parents, key = error["loc"]
        known = _fields_at(model, parents)
        hint = nearest(str(key), known) or f"; known here: {', '.join(sorted(known))}"
        return f"unknown key '{place}'{hint}"
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] in ("missing", "value_error"):
        return f"{place}: {message}" if place else message
    return f"{place or 'top level'}: {message}, got {error['input']!r}"


def _fields_at(model: Any, path: list) -> set[str]:
    for part in path:
        if isinstance(model, type) and issubclass(model, BaseModel):
            field = model.model_fields.get(part)
            model = field.annotation if field else None
        else:  # list[X] or dict[str, X]: an index or a key
            model = typing.get_args(model)[-1] if typing.get_args(model) else None
        if isinstance(model, types.UnionType) or typing.get_origin(model) is typing.Union:
            model = next((a for a in typing.get_args(model) if a is not type(None)), None)
    return set(model.model_fields) if isinstance(model, type) and issubclass(model, BaseModel) else set()
