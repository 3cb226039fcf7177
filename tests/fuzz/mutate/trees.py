"""Mutations of plain data, as JSON and YAML hold it: types, numbers, names, keys and nesting changed."""

import copy
import random
from collections.abc import Iterator
from typing import Any

# Words that ``dumped`` text holds in the place of what no writer can write.
DEEP, DIGITS, DATE = "DEEPDEEPDEEP", "DIGITSDIGITS", "DATEDATEDATE"
DEPTH, NUMBER_LENGTH = 100_000, 10_000

NUMBERS = [
    *(0, -1, 1, 2, 3, 7, 255, 1000, 2**31 - 1, 2**31, 2**32, 10**9, 2**62, 2**63 - 1, 2**63, 2**64, -(2**63) - 1),
    *(10**12, 10**23, 0.5, -0.0, 1.5, 1e-300, 1e308, float("inf"), float("-inf"), float("nan"), DIGITS),
]
WORDS = [
    *("", " ", "x", "null", "true", "on", "no", "1e3", "0x10", "12:30", "2024-01-01", "1_000", "a.b", "a/b", "a\0b"),
    *("../../escape", "/etc/passwd", "~", "~root/x", ".", "..", "\n", "line\nline", "\x1b[31mred", "\u202eabc"),
    *("\u00e9\u6f22\U0001f600", "\udc80", "%s%n{0}", "a" * 300, "x" * 100_000, "${oc.env:HOME}", "${data.path}"),
    *("${", "${a}", "s3://bucket/key", "http://127.0.0.1:9/x", "hf-hub:nobody/nothing", "file:///etc/passwd"),
    *("con", "*.parquet", "[a]", "{b}", "$(touch x)", "`touch x`", "; touch x", "__class__", "model_config"),
]


def _others() -> list[Any]:
    return [
        *(None, True, False, DATE, DEEP, [], {}, [[]], [None], [{}], {"": 0}, {"x": {"y": 1}}, [1, "a", None]),
        *([0] * 5000, ["a"] * 5000, {str(i): i for i in range(5000)}, [[1, 2], [3]], [-1, 0], [2**70], [0.5]),
    ]


def hostile(rng: random.Random) -> Any:
    """Some value that nobody expects."""
    return rng.choice(rng.choice([NUMBERS, WORDS, _others()]))


def places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """(container, key or index) of every value below the root."""
    items = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    for key, value in list(items):
        yield tree, key
        yield from places(value)


def mutated(tree: Any, rng: random.Random, times: int = 1) -> Any:
    """A copy of ``tree`` with ``times`` mutations, each at a random place."""
    tree = copy.deepcopy(tree)
    for _ in range(times):
        there = list(places(tree))
        if not there or rng.random() < 0.02:
            tree = hostile(rng)
            continue
        _mutate(*rng.choice(there), there, rng)
    return tree


def _mutate(box: Any, key: Any, there: list[tuple[Any, Any]], rng: random.Random) -> None:
    kind = rng.randrange(12)
    value = box[key]
    if kind <= 3:
        box[key] = hostile(rng)
    elif kind == 4:
        del box[key]
    elif kind == 5 and isinstance(box, dict):  # another key, near or far
        new = rng.choice([f"{key}s", str(key)[:-1], str(key).upper(), rng.choice(WORDS), str(rng.choice(there)[1])])
        box[new] = box.pop(key)
    elif kind == 6:  # a value that stands elsewhere
        other, at = rng.choice(there)
        box[key] = copy.deepcopy(other[at])
    elif kind == 7:  # a number like itself
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            box[key] = rng.choice([value + 1, value - 1, -value, value * 10**6, value + 0.5, str(value), value * 2])
        else:
            box[key] = hostile(rng)
    elif kind == 8:  # the wrong wrapping
        box[key] = rng.choice([[value], {"x": value}, str(value), [value] * 3, [[value]]])
    elif kind == 9 and isinstance(value, list) and value:
        box[key] = rng.choice([value * 1000, value[:-1], value[::-1], value + [hostile(rng)], [hostile(rng), *value]])
    elif kind == 10 and isinstance(box, dict):
        box[rng.choice([rng.choice(WORDS), f"{key}_", "__proto__", "<<"])] = hostile(rng)
    else:
        box[key] = rng.choice(NUMBERS if isinstance(value, (int, float)) else WORDS)
