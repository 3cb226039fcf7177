"""Mutations of JSON, YAML and JSON-lines files: of their data, of their text, and of the file as such."""

import json
import os
import random
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import yaml

from tests.fuzz.mutate import binary, payloads
from tests.fuzz.mutate.trees import DATE, DEEP, DEPTH, DIGITS, NUMBER_LENGTH, mutated

SPARSE_BYTES = 3 << 30  # takes no room on disk


def as_json(tree: Any) -> bytes:
    return _filled(json.dumps(tree, indent=1)).encode("utf-8", "surrogatepass")


def as_yaml(tree: Any, rng: random.Random) -> bytes:
    if rng.random() < 0.5:  # what JSON writes is YAML too, as good as always
        return as_json(tree)
    try:
        text = yaml.safe_dump(tree, allow_unicode=rng.random() < 0.5, width=10**6)
    except Exception:  # surrogates
        return as_json(tree)
    return _filled(text).encode("utf-8", "surrogatepass")


def _filled(text: str) -> str:
    """``text`` with what no writer writes in the place of its words."""
    for word, what in ((DEEP, "[" * DEPTH + "]" * DEPTH), (DIGITS, "9" * NUMBER_LENGTH), (DATE, "2024-01-01")):
        text = re.sub(f"[\"']?{word}[\"']?", lambda _, what=what: what, text)
    return text


def mutate_json(path: Path, rng: random.Random, change: Callable[[Any], None] | None = None) -> None:
    """Damage a JSON file. ``change`` makes a change of the format's own to the data first, where it is given."""
    tree = json.loads(path.read_text())
    if change is not None:
        change(tree)
    how = rng.random()
    if how < 0.7:
        path.write_bytes(as_json(mutated(tree, rng, rng.choice([1, 1, 1, 2, 4]))))
    else:
        mutate_text(path, rng)


def mutate_yaml(path: Path, rng: random.Random) -> None:
    """Damage a YAML file."""
    tree = yaml.safe_load(path.read_text())
    how = rng.random()
    if how < 0.6:
        path.write_bytes(as_yaml(mutated(tree, rng, rng.choice([1, 1, 1, 2, 4])), rng))
    elif how < 0.75:
        text = path.read_bytes()
        hostile = rng.choice(payloads.yaml_bombs(path.parent))
        path.write_bytes(rng.choice([hostile, text + b"\n" + hostile, _in_a_value(text, hostile, rng)]))
    else:
        mutate_text(path, rng)


def mutate_lines(path: Path, rng: random.Random) -> None:
    """Damage a file with one JSON object a line."""
    lines = path.read_bytes().splitlines()
    how, at = rng.random(), rng.randrange(len(lines))
    if how < 0.6:
        tree = mutated(json.loads(lines[at]), rng, rng.choice([1, 1, 3]))
        lines[at] = b" ".join(as_json(tree).split(b"\n"))
        path.write_bytes(b"\n".join(lines) + b"\n")
    elif how < 0.75:
        other = rng.choice(
            [lines[:at], [*lines, *lines], lines[::-1], [*lines, lines[0][:20]], [b"", *lines], lines[1:]]
        )
        path.write_bytes(rng.choice([b"\n", b"\r\n", b"\n\n", b"\r", b"\x0b"]).join(other) + rng.choice([b"", b"\n"]))
    else:
        mutate_text(path, rng)


def _in_a_value(text: bytes, hostile: bytes, rng: random.Random) -> bytes:
    colons = [m.end() for m in re.finditer(rb": ", text)]
    at = rng.choice(colons or [0])
    return text[:at] + hostile + text[at:]


def mutate_text(path: Path, rng: random.Random) -> None:
    """Damage a text file as text, as bytes, or as a file."""
    text = path.read_bytes()
    at = rng.randrange(len(text) + 1)
    kinds: list[Callable[[], bytes]] = [
        lambda: text[:at],
        lambda: (
            text[:at] + rng.choice([b"[", b"{", b'"', b"}", b"]", b",", b":", b"\0", b"\t", b"&a ", b"*a"]) + text[at:]
        ),
        lambda: text[:at] + rng.choice([b"[", b"{", b'{"a":', b"- ", b"[{"]) * DEPTH + text[at:],
        lambda: b"[" * rng.choice([100, 1000, DEPTH]),
        lambda: text + text,
        lambda: text[:at] + rng.choice([b"\xff", b"\xc3", b"\xed\xa0\x80", b"\x80" * 10]) + text[at:],
        lambda: rng.choice([b"\xef\xbb\xbf", b"\xff\xfe"]) + text,
        lambda: text.decode(errors="replace").encode(rng.choice(["utf-16", "utf-32"])),
        lambda: rng.choice(
            [b"", b"\n", b"null", b"0", b'"x"', b"[]", b"{}", b"NaN", b"-", b"---\n---\n", b"1" * 10_000]
        ),
        lambda: binary.flipped(text, rng),
        lambda: binary.spliced(text, rng),
        lambda: text.replace(b"\n", b"\r"),
        lambda: re.sub(rb"\d+", lambda m: b"1" + b"0" * rng.choice([5, 30, 400, 5000]), text, count=1),
        lambda: re.sub(rb"\d", lambda m: rng.choice([m[0], b"7", b"."]), text),
    ]
    kind = rng.randrange(len(kinds) + 4)
    if kind < len(kinds):
        path.write_bytes(kinds[kind]())
    else:
        spoil_file(path, rng)


def spoil_file(path: Path, rng: random.Random) -> None:
    """Make something else of a file: nothing, a folder, a link to itself or into nowhere, one of 3 GiB of zeros."""
    kind = rng.randrange(6)
    if kind == 0:
        os.truncate(path, SPARSE_BYTES)
        return
    if kind == 1:
        os.truncate(path, 0)
        return
    path.unlink()
    if kind == 2:
        path.mkdir()
        if rng.random() < 0.5:
            (path / "x").write_text("x")
    elif kind == 3:
        path.symlink_to(path.name)
    elif kind == 4:
        path.symlink_to("/nowhere/at/all")


def remove(path: Path) -> None:
    shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
