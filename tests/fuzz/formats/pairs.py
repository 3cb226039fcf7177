"""Fuzzed folders of pairs: pairs.yaml, rows of pairs, items and their pictures and texts."""

import random
from pathlib import Path
from typing import Any

from tests.fuzz.case import Case, Format
from tests.fuzz.formats.parquet import _columns, _damage_footer, _overwritten
from tests.fuzz.mutate import binary
from tests.fuzz.mutate.texts import mutate_yaml, spoil_file


def make(folder: Path, rng: random.Random) -> Case:
    data = rng.choice(["pairs", "texts"])
    train = ["scl", "--config", "scl.yaml", f"data.path={data}", "train.max_steps=2"]
    path = folder / data / rng.choice(["train", "validation", "items", "items"]) / "part-0.parquet"
    kind = rng.random()
    if kind < 0.4:
        mutate_yaml(folder / data / "pairs.yaml", rng)
    elif kind < 0.5:
        path.write_bytes(_overwritten(path.read_bytes(), rng))
    elif kind < 0.6:
        _damage_footer(path, rng)
    elif kind < 0.65:
        spoil_file(path, rng)
    else:
        _contents(path, rng)
    if path.parent.name == "items" and rng.random() < 0.5:
        encoder = "raw-pixels" if data == "pairs" else "raw-words"
        return Case(
            [["encode", encoder, "--items", f"{data}/items", "--column", "content", "--out", "out", "--device", "cpu"]]
        )
    return Case([train])


def _contents(path: Path, rng: random.Random) -> None:
    """Other columns, or pictures and texts that are broken or far too large."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    name = rng.choice(table.column_names)
    at = table.column_names.index(name)
    if rng.random() < 0.5:
        column = rng.choice(_columns(table.num_rows, rng, pa))()
    else:
        values: list[Any] = table[name].to_pylist()
        kind = table.schema.field(name).type
        n = rng.randrange(len(values))
        if isinstance(values[n], bytes):
            values[n] = rng.choice(
                [binary.mutated(values[n], rng), b"", None, b"GIF89a" + values[n], _huge_picture(rng)]
            )
        elif isinstance(values[n], str):
            values[n] = rng.choice(["", None, "x" * 1_000_000, "\0", "a " * 200_000, "\u202e", "\U0001f600" * 1000])
        else:
            values[n] = rng.choice([None, -1, 2**63 - 1, -(2**63), values[0]])
        column = pa.array(values, kind)
    table = table.drop_columns([name]) if rng.random() < 0.1 else table.set_column(at, name, column)
    pq.write_table(table, path, row_group_size=10)


def _huge_picture(rng: random.Random) -> bytes:
    """A PNG of few bytes whose header says that it is huge."""
    import struct
    import zlib

    side = rng.choice([20_000, 60_000, 2**31 - 1])
    head = b"IHDR" + struct.pack(">IIBBBBB", side, rng.choice([side, 1]), 8, rng.choice([0, 2, 6]), 0, 0, 0)
    rows = b"IDAT" + zlib.compress(bytes(1_000_000))
    parts = (head, rows, b"IEND")
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(p) - 4) + p + struct.pack(">I", zlib.crc32(p)) for p in parts
    )


FORMAT = Format("pairs", ["scl.yaml", "pairs", "texts"], make)
