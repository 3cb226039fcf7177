"""Fuzzed parquet: damaged pages and footers, columns of other types and values, rows that would not fit into memory."""

import random
from pathlib import Path
from typing import Any

import numpy as np

from tests.fuzz.case import Case, Format
from tests.fuzz.mutate import binary
from tests.fuzz.mutate.texts import spoil_file

CTR = ["ctr", "--config", "config.yaml", "data.on_corrupt=error"]
SKIP = ["ctr", "--config", "config.yaml", "data.on_corrupt=skip"]


def make(folder: Path, rng: random.Random) -> Case:
    split = rng.choice(["train", "train", "train", "validation", "test"])
    path = folder / "data" / split / "part-0.parquet"
    kind = rng.random()
    if kind < 0.35:
        return _damaged_pages(path, rng)
    if kind < 0.6:
        _damage_footer(path, rng)
    elif kind < 0.65:
        spoil_file(path, rng)
    elif kind < 0.68:
        _bomb(path, rng)
    elif kind < 0.75:
        _names(path, rng)
    else:
        _other_columns(path, rng)
    others = [
        ["collisions", "--config", "config.yaml"],
        ["evaluate", "runs/run"],
        ["predict", "runs/run", "--out", "x"],
    ]
    return Case([rng.choice([CTR, CTR, SKIP, *([*other, "--split", split] for other in others)])])


def _footer(data: bytes) -> int:
    """Where the footer begins."""
    return len(data) - 8 - int.from_bytes(data[-8:-4], "little")


def _damaged_pages(path: Path, rng: random.Random) -> Case:
    """Bits, bytes or blocks of pages changed, under page checksums: whatever changes values is to be refused."""
    import pyarrow.parquet as pq

    data, before = path.read_bytes(), pq.read_table(path)
    end = _footer(data)
    pages = data[4:end]
    while (damaged := rng.choice([binary.flipped(pages, rng), _overwritten(pages, rng)])) == pages:
        pass
    path.write_bytes(data[:4] + damaged + data[end:])
    try:
        changed = not pq.read_table(path).equals(before)
    except Exception:  # whatever pyarrow says of them
        changed = True
    return Case([CTR], refused="pages with other values than their checksums say" if changed else None)


def _overwritten(data: bytes, rng: random.Random) -> bytes:
    at, width = rng.randrange(len(data)), rng.choice([1, 4, 16, 64])
    block = rng.choice([bytes(width), b"\xff" * width, rng.randbytes(width)])
    return data[:at] + block[: len(data) - at] + data[at + width :]


def _damage_footer(path: Path, rng: random.Random) -> None:
    data = path.read_bytes()
    at = _footer(data)
    footer = binary.mutated(data[at:-8], rng)
    length = len(footer).to_bytes(4, "little") if rng.random() < 0.8 else rng.randbytes(4)
    path.write_bytes(data[:at] + footer + length + b"PAR1")


def _names(path: Path, rng: random.Random) -> None:
    """Other names of the columns, of the same length, such as ones that are not UTF-8."""
    data = path.read_bytes()
    name = rng.choice([b"label", b"history", b"user", b"item", b"tags", b"price"])
    new = rng.choice(
        [b"\xff" * len(name), b"\0" * len(name), name.upper(), name[::-1], b"." * len(name), b" " * len(name)]
    )
    at = _footer(data)
    path.write_bytes(data[:at] + data[at:].replace(name, new))


def _bomb(path: Path, rng: random.Random) -> None:
    """A few KB that are 610 MiB of ids, and more than 1 GiB where they are copied once."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(path)[:8]
    ids, rows = 80_000_000, rng.choice([1, 8])
    offsets = np.linspace(0, ids, rows + 1).astype(np.int32)
    history = pa.ListArray.from_arrays(offsets, np.zeros(ids, np.int64))
    table = table[:rows].drop_columns(["history"]).append_column("history", history)
    pq.write_table(table, path, compression="zstd", write_page_checksum=True)


def _other_columns(path: Path, rng: random.Random) -> None:
    """A column of another type, with other values, twice, or not there; other ways to write it."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    name = rng.choice(table.column_names)
    at, rows = table.column_names.index(name), table.num_rows
    column = rng.choice(_columns(rows, rng, pa))()
    kind = rng.randrange(8)
    if kind == 0:
        table = table.drop_columns([name])
    elif kind == 1:
        table = table.slice(0, rng.choice([0, 1]))
    elif kind == 2:
        table = table.append_column(rng.choice([name, "x", "", "a.b"]), column)
    else:
        table = table.set_column(at, name, column)
    options = rng.choice([{}, {"use_dictionary": False}, {"data_page_version": "2.0"}, {"compression": "none"},
                          {"compression": "gzip"}, {"row_group_size": 1}, {"write_page_checksum": True}])  # fmt: skip
    pq.write_table(table, path, **options)


def _columns(rows: int, rng: random.Random, pa: Any) -> list:
    def full(value: Any, kind: Any = None) -> Any:
        return lambda: pa.array([value] * rows, kind)

    one = pa.array([None] + [1] * (rows - 1), pa.int64())
    return [
        *(full(None), full(None, pa.int64()), full(None, pa.list_(pa.int64())), full([None], pa.list_(pa.int64()))),
        *(
            full("a"),
            full(b"\xff"),
            full(True),
            full(1.5),
            full(float("nan")),
            full(float("inf")),
            full(-1),
            full(2**63 - 1),
        ),
        *(
            full(-(2**63)),
            full(2**64 - 1, pa.uint64()),
            full([]),
            full([1.5]),
            full(["a"]),
            full([[1]]),
            full({"a": 1}),
        ),
        *(
            full([2**63 - 1] * 50),
            full([-1]),
            full([1] * 3, pa.list_(pa.int64(), 3)),
            full([1], pa.large_list(pa.int64())),
        ),
        *(full([1], pa.list_(pa.int8())), full([1], pa.list_(pa.uint64())), full(1, pa.int8()), full(1, pa.float64())),
        *(
            full(1, pa.decimal128(5)),
            full(1, pa.timestamp("s")),
            full(1, pa.date32()),
            full(0, pa.time32("s")),
            full(1, pa.float16()),
        ),
        *(full([(1, 2)], pa.map_(pa.int64(), pa.int64())), full("a", pa.dictionary(pa.int8(), pa.string()))),
        *(full(1, pa.dictionary(pa.int8(), pa.int64())), full("x" * 1000, pa.large_string()), lambda: one),
        *(full(b"abcd", pa.binary(4)), full([1], pa.list_(pa.field("item", pa.int64(), nullable=False)))),
    ]


FORMAT = Format("parquet", ["config.yaml", "data", "runs/run"], make)
