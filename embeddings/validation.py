"""Plain data into a pydantic model, with errors that name the nearest known key, and old names that still read."""

import functools
import sys
import types
import typing
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    GetCoreSchemaHandler,
    ValidationError,
    model_validator,
)
from pydantic_core import CoreSchema, ErrorDetails, core_schema

from embeddings.errors import InputError, nearest, shown
from embeddings.files.file_name import file_name, file_names
from embeddings.files.local_path import local_path, with_home
from embeddings.files.plain_scalars import typed
from embeddings.launched_rank import launched_rank

Model = TypeVar("Model", bound=BaseModel)
FileName = Annotated[str, AfterValidator(file_name)]
FileNames = Annotated[str, AfterValidator(file_names)]
Count = Annotated[int, Field(ge=0, lt=1 << 62)]  # as a file says it; fits an int64, and what is reckoned from it
# A setting that is a path in the file system, and one that iopath may resolve too.
LocalPath = Annotated[str, AfterValidator(local_path)]
StorePath = Annotated[str, AfterValidator(with_home)]

MOST_TEXT = 4096  # characters of a setting: the longest path that Linux takes
_SAID_AT_MOST = 8  # wrong keys in one message


class Strict(BaseModel):
    """Settings that cannot change, that know every key they may have, and whose numbers are finite.

    RENAMED         old key -> its name today
    RENAMED_VALUES  key -> {old value: its name today}

    What is given under an old name is read under today's, which standard error says once a process.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, str_max_length=MOST_TEXT)

    RENAMED: ClassVar[dict[str, str]] = {}
    RENAMED_VALUES: ClassVar[dict[str, dict[str, str]]] = {}

    @model_validator(mode="before")
    @classmethod
    def _todays_names(cls, raw: Any) -> Any:
        if not isinstance(raw, dict):
            return raw
        raw = {str(key): value for key, value in raw.items()}
        for old, new in cls.RENAMED.items():
            if old in raw:
                if new in raw:
                    raise ValueError(f"'{old}' is the old name of '{new}', and both are given; remove '{old}'")
                raw[new] = raw.pop(old)
                say_renamed(f"key '{old}'", f"'{new}'")
        for key, values in cls.RENAMED_VALUES.items():
            old = raw.get(key)
            if isinstance(old, str) and old in values:
                raw[key] = values[old]
                say_renamed(f"'{key}: {old}'", f"'{key}: {raw[key]}'")
        for key in _typed_keys(cls):
            if key in raw:
                raw[key] = typed(raw[key])
        return raw


@functools.cache
def _typed_keys(model: type[BaseModel]) -> tuple[str, ...]:
    """Keys whose fields take no text, so that what is written there without quotes is a number or a truth value."""
    return tuple(key for key, field in model.model_fields.items() if not _takes_text(field.annotation))


def _takes_text(annotation: Any) -> bool:
    """Whether a field takes text, or a section, whose own fields say what they take."""
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal:
        return any(isinstance(arg, str) for arg in args)
    if origin is dict:
        return _takes_text(args[-1])
    if origin is Annotated:
        return _takes_text(args[0])
    if args:
        return any(_takes_text(arg) for arg in args)
    return isinstance(annotation, type) and issubclass(annotation, (str, BaseModel))


@dataclass(frozen=True)
class Variants:
    """Metadata of ``Annotated[Base, Variants(...)]``: a section that is read as the subclass of Base that it names.

    key       of the section, whose value is the variant's name
    default   the name in a section that has no such key
    names     of all variants
    class_of  name -> its class; raises InputError for an unknown one
    """

    key: str
    default: str
    names: Collection[str]
    class_of: Callable[[Any], type[Strict]]

    def name(self, raw: Any) -> Any:
        """What the section ``raw`` names, known or not."""
        return raw.get(self.key, self.default) if isinstance(raw, dict) else self.default

    def with_key(self, key: str) -> list[str]:
        """The names of the variants that have ``key``."""
        return [name for name in self.names if key in self.class_of(name).model_fields]

    def __get_pydantic_core_schema__(self, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        def read(raw: Any, as_base: Callable[[Any], Any]) -> Any:
            return self.class_of(self.name(raw)).model_validate(raw) if isinstance(raw, dict) else as_base(raw)

        return core_schema.no_info_wrap_validator_function(read, handler(source))


def variants_in(metadata: Iterable[Any]) -> Variants | None:
    """The variants among a field's metadata, where its section chooses among several classes."""
    return next((item for item in metadata if isinstance(item, Variants)), None)


_SAID: set[str] = set()


def say_renamed(old: str, new: str) -> None:
    """Say on standard error, once a process and on rank 0 alone, that ``old`` is now called ``new``."""
    if old not in _SAID and launched_rank() in (None, 0):
        print(f"note: {old} is now called {new}; the old name is read too", file=sys.stderr, flush=True)
    _SAID.add(old)


def validated(model: type[Model], raw: Any, where: str) -> Model:
    """``model`` filled from ``raw``. Raises InputError with one line per wrong key.

    Args:
        where: what the user should open to fix it, such as a file's path.
    """
    try:
        return model.model_validate(raw)
    except ValidationError as error:
        errors = error.errors(include_url=False, include_context=False)
        lines = [_line(model, raw, e) for e in errors[:_SAID_AT_MOST]]
        more = [f"and {len(errors) - _SAID_AT_MOST} more"] if len(errors) > _SAID_AT_MOST else []
        raise InputError(f"{where}: " + "; ".join((*lines, *more))) from None
    except RecursionError:
        raise InputError(f"{where}: it is nested too deeply") from None


def _line(model: type[BaseModel], raw: Any, error: ErrorDetails) -> str:
    place = ".".join(str(p) for p in error["loc"])
    if error["type"] == "extra_forbidden":
        *parents, key = error["loc"]
        section, variants, own = _section(model, raw, parents)
        if variants is not None and (others := variants.with_key(str(key))):
            name, what = variants.name(own), variants.key
            hint = f"{what} {' and '.join(others)} has it; remove it, or change '{what}'"
            return f"unknown key '{place}' of {what} {name}; {hint}"
        known = set(section.model_fields) if isinstance(section, type) and issubclass(section, BaseModel) else set()
        hint = nearest(str(key), known) or f"; known here: {', '.join(sorted(known))}"
        return f"unknown key '{place}'{hint}"
    message = error["msg"].removeprefix("Value error, ")
    if error["type"] in ("model_type", "dict_type"):
        message = "keys are expected, such as key: value"
    if error["type"] in ("missing", "value_error"):
        return f"{place}: {message}" if place else message
    got = "null" if error["input"] is None else shown(error["input"])
    return f"{place or 'top level'}: {message}, got {got}"


def todays_names(model: type[BaseModel], raw: Any, layer: dict[str, Any], *path: str) -> dict[str, Any]:
    """``layer``, a part of ``raw`` at ``path``, with each key under its name today, so that layers can be merged.

    A key that is there under both names stays, for ``validated`` to refuse.
    """
    try:
        section, _, _ = _section(model, raw, list(path))
    except ValueError:  # it chooses none of its variants, which validated says
        return layer
    names = section.RENAMED if isinstance(section, type) and issubclass(section, Strict) else {}
    renamed = {}
    for key, value in layer.items():
        name = names.get(key, key)
        if name in layer:
            name = key
        if name != key:
            say_renamed(f"key '{key}'", f"'{name}'")
        renamed[name] = todays_names(model, raw, value, *path, name) if isinstance(value, dict) else value
    return renamed


def _section(model: Any, raw: Any, path: list) -> tuple[Any, Variants | None, Any]:
    """What the section at ``path`` of ``raw`` is read as, a class of settings or the type of a plain value.

    Beside it the variants among which the section chooses, where it does, and the section's own plain data.
    """
    variants = None
    for part in path:
        metadata: list[Any] = []
        if isinstance(model, type) and issubclass(model, BaseModel):
            field = model.model_fields.get(part)
            model, metadata = (field.annotation, field.metadata) if field else (None, [])
        else:  # list[X] or dict[str, X]: an index or a key
            model = typing.get_args(model)[-1] if typing.get_args(model) else None
        if isinstance(model, types.UnionType) or typing.get_origin(model) is typing.Union:
            model = next((a for a in typing.get_args(model) if a is not type(None)), None)
        if typing.get_origin(model) is Annotated:
            model, *metadata = typing.get_args(model)
        at = part if isinstance(raw, dict) or (isinstance(raw, list) and isinstance(part, int)) else None
        raw = None if at is None else raw.get(at) if isinstance(raw, dict) else raw[at]
        variants = variants_in(metadata)
        if variants is not None:
            model = variants.class_of(variants.name(raw))
    return model, variants, raw
