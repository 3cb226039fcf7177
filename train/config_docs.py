"""Every setting of a pydantic model as Markdown: name, type, default, meaning."""

import types
import typing
from collections.abc import Collection
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from embeddings.validation import variants_in


def describe(model: type[BaseModel], title: str, prefix: str = "", but: Collection[str] = ()) -> str:
    """A section per nested model, each with a table of its fields.

    A section that chooses among ``Variants`` is followed by one for each of them, of the fields that it adds.

    Args:
        prefix: the dotted key so far.
        but: fields that are left out.
    """
    summary = (model.__doc__ or "").strip().splitlines()
    lines = [f"## {title}", ""] + ([summary[0], ""] if summary else [])
    lines += ["| key | type | default | meaning |", "|---|---|---|---|"]
    nested: list[str] = []
    for name in (n for n in model.model_fields if n not in but):
        field = model.model_fields[name]
        key = f"{prefix}{name}"
        inner, suffix = _model_in(field.annotation)
        if inner is not None:
            nested.append(describe(inner, f"`{key}{suffix}`", f"{key}{suffix}."))
            if (variants := variants_in(field.metadata)) is not None:
                for choice in variants.names:
                    heading, variant = f"`{key}` with `{variants.key}: {choice}`", variants.class_of(choice)
                    nested.append(describe(variant, heading, f"{key}.", but=inner.model_fields))
        lines.append(f"| `{key}` | {_type(field.annotation)} | {_default(field)} | {_meaning(field, inner)} |")
    return "\n\n".join(["\n".join(lines), *nested])


def _model_in(annotation: Any) -> tuple[type[BaseModel] | None, str]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation, ""
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (dict, list) and isinstance(args[-1], type) and issubclass(args[-1], BaseModel):
        return args[-1], ".NAME" if origin is dict else "[]"
    return None, ""


def _type(annotation: Any) -> str:
    origin, args = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is typing.Literal:
        return " or ".join(f"`{a}`" for a in args)
    if origin in (typing.Union, types.UnionType):
        return " or ".join("null" if a is type(None) else _type(a) for a in args)
    if origin is list:
        return f"list of {_type(args[0])}"
    if origin is dict:
        return f"mapping of name to {_type(args[1])}"
    if origin is typing.Annotated:
        return _type(args[0])
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "section"
    return {"str": "text", "int": "integer", "float": "number", "bool": "true or false"}.get(
        annotation.__name__, annotation.__name__
    )


def _default(field: FieldInfo) -> str:
    if isinstance(field.default, BaseModel) or field.default_factory is not None:
        return ""
    if field.default is PydanticUndefined:
        return "required"
    return (
        "null"
        if field.default is None
        else f"`{str(field.default).lower() if isinstance(field.default, bool) else field.default}`"
    )


def _meaning(field: FieldInfo, inner: type[BaseModel] | None) -> str:
    bounds = [
        f"{sign} {getattr(rule, name):,}"
        for rule in field.metadata
        for name, sign in (("ge", "at least"), ("gt", "above"), ("le", "at most"), ("lt", "below"))
        if getattr(rule, name, None) is not None
    ]
    own = field.description or ((inner.__doc__ or "").strip().splitlines()[0] if inner and inner.__doc__ else "")
    return "; ".join(part for part in (own, ", ".join(bounds)) if part)
