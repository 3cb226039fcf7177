"""Arrow requests: values of every width, and what is refused, before it takes memory where it would take much."""

import struct
import tracemalloc

import numpy as np
import pyarrow as pa
import pytest

from embeddings.errors import InputError
from recsys.features.columns import Field
from serve.request.arrow_request import arrow_columns
from tests.serve.http.served import stream

FIELDS = {"u": Field("u", "id"), "h": Field("h", "list", 5), "i": Field("i", "id"), "p": Field("p", "float")}
CONTEXT = {"u": [1], "h": [[1, 2, 3]]}
CANDIDATES = {"i": [5, 6], "p": [0.5, 1.0]}
MOST = 1000


def read(body: bytes):
    return arrow_columns(FIELDS, body, MOST)


def plain(columns):
    return {name: c.tolist() if isinstance(c, np.ndarray) else (c.values.tolist(), c.offsets.tolist())
            for name, c in columns.items()}  # fmt: skip


@pytest.mark.parametrize("integer", [pa.int8(), pa.uint8(), pa.int32(), pa.uint32(), pa.int64(), pa.uint64()])
@pytest.mark.parametrize("listed", [pa.list_, pa.large_list, lambda kind: pa.list_(kind, 3)])
def test_integers_and_lists_of_any_width(integer, listed):
    context = pa.table({"u": pa.array([1], integer), "h": pa.array([[1, 2, 3]], listed(integer))})
    got = read(stream(context) + stream({"i": pa.array([5, 6], integer), "p": pa.array([0.5, 1], pa.float32())}))
    assert plain(got[0]) == {"u": [1], "h": ([1, 2, 3], [0, 3])} and plain(got[1]) == {"i": [5, 6], "p": [0.5, 1.0]}


def test_lists_in_batches_and_slices():
    rows = pa.table({"h": [[1], [], [2, 3], [4]] * 10, "i": list(range(40))}).slice(3, 30)
    batches = pa.Table.from_batches([b for b in rows.to_batches(7)])
    got = plain(read(stream({"u": [1]}) + stream(batches))[1])
    lists = rows["h"].to_pylist()
    assert got["i"] == list(range(3, 33)) and got["h"][0] == [v for one in lists for v in one]
    assert got["h"][1] == np.cumsum([0, *map(len, lists)]).tolist()


def test_columns_that_no_feature_reads_are_left_for_their_names_to_be_refused():
    got = read(stream(CONTEXT) + stream({**CANDIDATES, "x": pa.array(["a", "b"]), "n": pa.nulls(2)}))[1]
    assert got["x"].tolist() == [0, 0] and got["n"].tolist() == [0, 0] and got["i"].tolist() == [5, 6]


def big_zeros() -> pa.Table:
    return pa.table({"i": np.zeros(1 << 24, np.int64)})  # 128 MiB


def dictionary(**options) -> bytes:
    return stream({"i": pa.array(np.zeros(1 << 20, np.int64)).dictionary_encode()}, **options)


def endless(kind: pa.DataType, *children: pa.Array) -> pa.Table:
    """Rows of a column that takes no bytes."""
    return pa.table({"h": pa.Array.from_buffers(kind, 1 << 40, [None], children=list(children))})


def bare(table: pa.Table) -> bytes:
    return stream(CONTEXT) + stream(table, allow_64bit=True)


REFUSED = {
    "empty": (b"", "context: .*missing"),
    "candidates missing": (stream(CONTEXT), "candidates: .*missing"),
    "noise": (b"x" * 50, "context: no readable Arrow stream"),
    "JSON": (b'{"context": {}}', "context: no readable Arrow stream"),
    "cut": (bare(pa.table(CANDIDATES))[:-30], "candidates: no readable Arrow stream|candidates: .*missing"),
    "trailing bytes": (bare(pa.table(CANDIDATES)) + b"z", "1 bytes follow the candidates"),
    "a third stream": (bare(pa.table(CANDIDATES)) + stream(CANDIDATES), "bytes follow the candidates"),
    "two rows of context": (stream({"u": [1, 2]}) + stream(CANDIDATES), "context: it has 2 rows or more; allowed: 1"),
    "too many rows": (bare(pa.table({"i": range(1001)})), "candidates: it has 1,001 rows or more; allowed: 1,000"),
    "rows of nulls": (bare(endless(pa.null())), "candidates: it has 1,099,511,627,776 rows or more"),
    "rows of lists of nothing": (
        bare(endless(pa.list_(pa.int64(), 0), pa.array([], pa.int64()))),
        "candidates: it has 1,099,511,627,776 rows or more",
    ),
    "twice": (
        stream(CONTEXT) + stream(pa.Table.from_arrays([pa.array([1]), pa.array([2])], ["i", "i"])),
        "candidates: column 'i' is there twice",
    ),
    "dictionaries": (stream(CONTEXT) + dictionary(), "a message is a dictionary"),
    "compressed dictionaries": (stream(CONTEXT) + dictionary(compression="zstd"), "a message is a dictionary"),
    "text": (bare(pa.table({"i": ["a"]})), "column 'i' is 'string'; wanted an integer column"),
    "floats for ids": (bare(pa.table({"i": [1.0]})), "column 'i' is 'double'; wanted an integer column"),
    "bools for ids": (bare(pa.table({"i": [True]})), "column 'i' is 'bool'; wanted an integer column"),
    "lists of lists": (bare(pa.table({"h": [[[1]]]})), "column 'h' is .*; wanted a list of integers"),
    "a number for a list": (bare(pa.table({"h": [1]})), "column 'h' is 'int64'; wanted a list of integers"),
    "nulls": (bare(pa.table({"i": [None, 1]})), "column 'i': got 1 nulls"),
    "nulls in lists": (bare(pa.table({"h": [[1, None], None]})), "column 'h': got 2 nulls"),
    "null columns": (bare(pa.table({"i": pa.nulls(2)})), "column 'i': got 2 nulls"),
    "many messages": (
        stream(CONTEXT) + stream(pa.Table.from_batches([pa.record_batch({"i": pa.array([1])})] * 1001)),
        "more than 1,000 messages",
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_is_refused_is_one_line(case):
    body, words = REFUSED[case]
    with pytest.raises(InputError, match=words) as error:
        read(body)
    assert "\n" not in str(error.value) and len(str(error.value)) < 600


@pytest.mark.parametrize("codec", ["zstd", "lz4"])
def test_compressed_columns_are_refused_before_they_take_memory(codec):
    body = stream(CONTEXT) + stream(big_zeros(), compression=codec)
    assert len(body) < 1 << 20
    before = pa.total_allocated_bytes()
    tracemalloc.start()
    with pytest.raises(InputError, match="candidates: a record batch is compressed"):
        arrow_columns(FIELDS, body, 1 << 30)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 4 << 20 and pa.total_allocated_bytes() - before < 4 << 20


@pytest.mark.parametrize("offsets", [[0, 2, 1, 3], [0, 1, 2, 1000], [-5, 0, 1, 2], [0, 3, 2**31 - 1, 3]])
def test_offsets_that_lead_elsewhere(offsets):
    body = bare(pa.table({"i": [1, 2, 3], "h": pa.array([[1], [2], [3]], pa.list_(pa.int64()))}))
    right, wrong = (struct.pack("<4i", *given) for given in ([0, 1, 2, 3], offsets))
    assert body.count(right) == 1
    with pytest.raises(InputError, match="candidates: no readable Arrow stream"):
        read(body.replace(right, wrong))


def test_unsigned_ids_beyond_int64_are_refused_where_columns_are_checked(scorer):
    from tests.serve.tiny_model import REQUEST

    context = {name: [value] for name, value in REQUEST["context"].items()}
    body = stream(context) + stream({**REQUEST["candidates"], "item": pa.array([1, 2**63, 3], pa.uint64())})
    (answer,) = scorer.score_together([scorer.read_arrays(lambda fields: arrow_columns(fields, body, MOST))])
    assert isinstance(answer, InputError) and "9223372036854775808, largest allowed is 2" in str(answer)


def test_every_cut_is_refused():
    body = bare(pa.table({"i": [1, 2], "h": [[1], [2, 3]], "p": [0.5, 1.5]}))
    for size in range(0, len(body) - 8, 3):  # the last 8 bytes say that the stream ends, which may be left out
        with pytest.raises(InputError):
            read(body[:size])


def test_many_columns_are_refused_before_memory_is_taken():
    wide = {"i": [1] * 10, **{f"c{i}": pa.nulls(10) for i in range(4000)}}
    with pytest.raises(InputError, match=r"it has 4,001 columns; allowed: the 4 that features read, and 8 more"):
        read(stream(CONTEXT) + stream(wide))
