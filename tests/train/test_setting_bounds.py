"""Every setting has bounds: numbers both ends, lists and texts a greatest length; and every option of a command."""

from collections.abc import Iterator
from typing import Any

import click
import pytest

from embeddings.planner.hardware import Hardware
from embeddings.validation import MOST_TEXT
from recsys.models.registry import ARCHITECTURES, config_class
from recsys.schema import Schema
from recsys.scl.pairs_schema import Pairs
from tests.train.refused import refused
from train.__main__ import COMMANDS, main
from train.ctr.build_planner_input import Assumptions
from train.ctr.config import Config
from train.scl.config import SCLConfig

MODELS = (Config, SCLConfig, Schema, Pairs, Assumptions, Hardware, *(config_class(name) for name in ARCHITECTURES))
BELOW, ABOVE = {"minimum", "exclusiveMinimum"}, {"maximum", "exclusiveMaximum"}


def unbounded(schema: dict[str, Any], place: str) -> Iterator[str]:
    """Where a JSON schema takes numbers, lists or texts of any size."""
    kind, chosen = schema.get("type"), {"const", "enum"} & schema.keys()
    if kind in ("integer", "number") and not chosen and not (BELOW & schema.keys() and ABOVE & schema.keys()):
        yield place
    if kind == "array" and "maxItems" not in schema:
        yield place
    if kind == "string" and not chosen and "maxLength" not in schema:
        yield place
    for part in (
        *schema.get("anyOf", ()),
        *(schema[key] for key in ("items", "additionalProperties") if key in schema),
    ):
        if isinstance(part, dict):
            yield from unbounded(part, place)
    for name, part in (*schema.get("properties", {}).items(), *schema.get("$defs", {}).items()):
        yield from unbounded(part, f"{place}.{name}")


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_every_setting_has_bounds(model):
    assert not [*unbounded(model.model_json_schema(), model.__name__)]


def test_what_has_no_bounds_is_seen():
    schema = {"properties": {"a": {"type": "integer", "minimum": 0}, "b": {"anyOf": [{"type": "array", "items": {}}]}}}
    schema["properties"] |= {"c": {"type": "string"}, "d": {"additionalProperties": {"type": "number"}}}
    schema["$defs"] = {"E": {"properties": {"e": {"type": "number", "maximum": 1}}}}
    assert [*unbounded(schema, "x")] == ["x.a", "x.b", "x.c", "x.d", "x.E.e"]


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("model.embedding_dim=1000000000", "less than or equal to 4096"),
        ("train.seed=" + "1" + 23 * "0", "less than or equal to 1000000000000000000"),
        ("train.seed=" + 10_000 * "9", "exceeded maximum size"),
        ("process.threads=100000", "less than or equal to 1024"),
        ("process.grace_s=9999999999", "less than or equal to 86400"),
        ("run.root=" + "a" * (MOST_TEXT + 1), "at most 4096 characters"),
    ],
)
def test_what_is_too_large_is_refused_in_a_readable_line(small_config, override, said):
    text = refused(small_config, override)
    assert said in text and len(text) < 600


def commands() -> Iterator[tuple[str, click.Command]]:
    """Every command and subcommand, by name."""
    context = click.Context(main)
    for name in COMMANDS:
        command = main.get_command(context, name)
        assert command is not None
        yield name, command
        if isinstance(command, click.Group):
            yield from ((f"{name} {sub}", command.commands[sub]) for sub in command.commands)


def test_every_number_on_a_command_line_has_bounds():
    for name, command in commands():
        for option in command.params:
            if isinstance(option.type, (click.types.IntParamType, click.types.FloatParamType)):
                bounded = isinstance(option.type, click.types._NumberRangeBase)
                assert bounded and option.type.min is not None and option.type.max is not None, f"{name} {option.name}"


NO_PATHS = {"overrides", "split", "checkpoint", "modalities", "table", "id_column", "column", "vector_column"}
NO_PATHS |= {"version", "tables", "stores"}  # the last are names with paths, which named_values takes apart


def test_every_path_on_a_command_line_knows_the_home_folder():
    for name, command in commands():
        texts = {option.name for option in command.params if isinstance(option.type, click.types.StringParamType)}
        assert texts - {"encoder"} <= NO_PATHS, f"{name}: take parameter_types.INPUT, or say that it is no path"
