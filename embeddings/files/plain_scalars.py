"""Unquoted scalars of YAML and of the command line: text as it was typed, whose type the setting that takes it says."""

import re
from typing import Any

NULL = re.compile(r"(?:~|null|Null|NULL|)")
_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]*)")
_HEX = re.compile(r"0x[0-9a-fA-F]+")
_FLOAT = re.compile(
    r"[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?"
    r"|[-+]?\.?(?:inf|Inf|INF)|\.?(?:nan|NaN|NAN)"
)
_BOOL = re.compile(r"(?:true|True|TRUE|false|False|FALSE)")
_MOST_DIGITS = 4300  # Python's own limit


class Plain(str):
    """The text of a scalar without quotes, such as ``1_1``, ``2024-11-30`` or ``5``."""


def typed(value: Any) -> Any:
    """``value`` with the type of each ``Plain`` in it by YAML 1.2: true and false, integers, numbers, else text.

    Words of YAML 1.1 are text: yes, off, ``1_000``, ``12:30``, ``2024-11-30``.
    """
    if isinstance(value, Plain):
        return _typed(str(value))
    if isinstance(value, dict):
        return {key: typed(item) for key, item in value.items()}
    return [typed(item) for item in value] if isinstance(value, list) else value


def _typed(text: str) -> bool | int | float | str:
    if len(text) > _MOST_DIGITS:
        return text
    if _INT.fullmatch(text):
        return int(text)
    if _HEX.fullmatch(text):
        return int(text, 16)
    if _FLOAT.fullmatch(text):
        return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    return text.lower() == "true" if _BOOL.fullmatch(text) else text
