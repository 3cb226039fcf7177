"""Parquet of strangers: exact columns, bounded memory, damage that is found."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

import embeddings.files.parquet_batches as module
from embeddings.errors import InputError
from embeddings.files.parquet_batches import read_batches, refuse_many_values
from embeddings.files.parquet_footer import read_footer
from tests.embeddings.files.parquet_bombs import lie, read, refusal, write, zeros


def test_a_dot_in_a_name_is_no_path(tmp_path):
    table = pa.table(
        {
            "s": pa.array([{"b": 5}, {"b": 6}]),
            "s.b": [7, 8],
            "x.list.element": [4, 5],
            "x": [[9], [8, 7]],
            "clicked.items": [[1], [2, 3]],
        }
    )
    path = write(tmp_path / "a.parquet", table, row_group_size=1)
    file = read_footer(path)
    assert {name: len(places) for name, places in file.leaves.items()} == dict.fromkeys(table.column_names, 1)
    assert [file.values(1, name) for name in table.column_names] == [1, 1, 1, 2, 2]
    for names in (["s.b"], ["x", "s"], ["clicked.items", "x.list.element"], table.column_names):
        assert read(path, *names).equals(table.select(names)), names


@pytest.mark.parametrize(("rows", "values"), [(20, 2_000_000), (1, 1 << 26)])
def test_lists_out_of_proportion_are_not_decoded(tmp_path, rows, values):
    path = write(tmp_path / "a.parquet", pa.table({"a": zeros(rows, values)}))
    assert path.stat().st_size < 10_000
    message = refusal(path)
    assert "row group 0 of 1" in message and f"lists of {rows * values:,} values" in message
    assert "smaller row groups" in message


def test_as_many_lists_in_smaller_row_groups_are_read_in_slices(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MOST_VALUES", 1000)
    monkeypatch.setattr(module, "MOST_VALUES_A_BYTE", 1)
    monkeypatch.setattr(module, "BATCH_VALUES", 200)
    path = write(tmp_path / "a.parquet", pa.table({"a": zeros(200, 100)}), row_group_size=10)
    file = read_footer(path)
    assert {batch.num_rows for _, batch in read_batches(file, ["a"], 100)} == {2}
    path = write(tmp_path / "b.parquet", pa.table({"a": zeros(200, 100)}), row_group_size=20)
    assert "lists of 2,000 values" in refusal(path)


def histories(kind: str) -> np.ndarray:
    """[40, 10,000] ids as logs hold them, which take little room in a file."""
    random = np.random.default_rng(0)
    if kind == "flags":
        return np.cumsum(random.random((40, 10_000)) < 0.003, axis=1) % 2
    if kind == "sorted by user":
        return np.tile(random.integers(0, 1 << 40, 100).repeat(100), (40, 1))
    padded = random.integers(0, 1 << 40, (40, 10_000))
    padded[:, : -int(kind)] = 0
    return padded


@pytest.mark.parametrize("kind", ["1", "5", "10", "sorted by user", "flags"])
def test_ordinary_lists_that_take_little_room_are_read(tmp_path, monkeypatch, kind):
    monkeypatch.setattr(module, "MOST_VALUES", 1000)
    monkeypatch.setattr(module, "BATCH_VALUES", 100_000)
    values = histories(kind)
    lists = pa.ListArray.from_arrays(pa.array(np.arange(41, dtype=np.int32) * 10_000), pa.array(values.ravel()))
    path = write(tmp_path / "a.parquet", pa.table({"a": lists}))
    file = read_footer(path)
    assert values.size > 64 * file.size_bytes
    batches = [batch for _, batch in read_batches(file, ["a"], 100)]
    assert {batch.num_rows for batch in batches} == {10}
    assert pa.Table.from_batches(batches)["a"].combine_chunks().equals(lists)


@pytest.mark.parametrize(("said", "footer"), [(10, True), (1 << 26, False)])
def test_a_lie_about_values_is_found_before_they_are_decoded(tmp_path, said, footer):
    path = write(tmp_path / "a.parquet", pa.table({"a": zeros(1, 1 << 24)}))
    lie(path, 1 << 24, said, footer=footer)
    assert "values where the footer says" in refusal(path)


def test_a_page_out_of_proportion_is_not_decompressed(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MOST_BYTES", 1 << 20)
    table = pa.table({"a": np.zeros(1 << 20, np.int64)})
    path = write(tmp_path / "a.parquet", table, use_dictionary=False, data_page_size=1 << 30, max_rows_per_page=1 << 30)
    assert "has a page of 8," in refusal(path)


@pytest.mark.parametrize("options", [{}, {"use_dictionary": False, "column_encoding": {"a": "DELTA_BYTE_ARRAY"}}])
@pytest.mark.parametrize("kind", [pa.string(), pa.binary(), pa.large_binary()])
def test_long_strings_that_take_no_room_in_a_file(tmp_path, monkeypatch, options, kind):
    monkeypatch.setattr(module, "MOST_BYTES", 4 << 20)
    monkeypatch.setattr(module, "BATCH_BYTES", 1 << 20)
    long = pa.array(["x" * 500_000], pa.string()).cast(kind)
    table = pa.table({"a": pa.concat_arrays([long] * 100), "b": np.arange(100)})
    path = write(tmp_path / "a.parquet", table, **options)
    file, most = read_footer(path), 0
    with pytest.raises(InputError, match=r"bytes of text or pictures and more in a file of"):
        for _, batch in read_batches(file, ["a"], 100):
            most = max(most, batch.nbytes)
    assert 0 < most < 2 << 20
    monkeypatch.setattr(module, "MOST_BYTES", 64 << 20)
    assert read(path).equals(table)


@pytest.mark.parametrize("codec", ["none", "snappy", "gzip", "zstd", "lz4"])
@pytest.mark.parametrize("distinct", [5000, 50_000])
def test_ordinary_strings_are_read_as_many_rows_as_asked(tmp_path, monkeypatch, codec, distinct):
    monkeypatch.setattr(module, "BATCH_BYTES", 1 << 20)
    texts = [f"title {i % distinct} of many" for i in range(50_000)]
    options = {"compression": codec, "dictionary_pagesize_limit": 200_000, "data_page_size": 20_000}
    path = write(tmp_path / "a.parquet", pa.table({"a": texts}), **options)
    file = read_footer(path)
    batches = [batch for _, batch in read_batches(file, ["a"], 10_000)]
    assert [batch.num_rows for batch in batches] == [10_000] * 5
    assert pa.Table.from_batches(batches)["a"].to_pylist() == texts


def test_rows_out_of_proportion(tmp_path):
    file = read_footer(write(tmp_path / "a.parquet", pa.table({"a": [1]})))
    refuse_many_values([file, file], 1 << 25, "rows", "write fewer")
    with pytest.raises(InputError, match=r"33,554,433 rows in [\d,]+ bytes of files; allowed: .*; write fewer"):
        refuse_many_values([file, file], (1 << 25) + 1, "rows", "write fewer")


def test_no_damage_of_a_file_with_checksums_is_read_as_data(tmp_path):
    """A byte at a time, all over: the rows are the same, or one line names the file."""
    random = np.random.default_rng(0)
    table = pa.table(
        {
            "label": random.integers(0, 2, 300).astype(np.int8),
            "item": random.integers(-9, 1 << 40, 300),
            "price": random.random(300).astype(np.float32),
            "history": [random.integers(0, 99, n).tolist() for n in random.integers(0, 9, 300)],
        }
    )
    path = write(tmp_path / "a.parquet", table, row_group_size=100, compression="none")
    whole, outcomes = path.read_bytes(), {"refused": 0, "same": 0}
    for place in random.choice(len(whole), 600, replace=False).tolist():
        data = bytearray(whole)
        data[place] ^= 1 << int(random.integers(8))
        path.write_bytes(data)
        try:
            got = read(path, *table.column_names)
        except (InputError, KeyError) as error:  # KeyError: the name of a column changed, which readers look for
            outcomes["refused"] += isinstance(error, KeyError) or str(path) in str(error)
        else:
            outcomes["same"] += all(got[name].to_pylist() == table[name].to_pylist() for name in table.column_names)
    assert outcomes["refused"] > 500 and sum(outcomes.values()) == 600


def test_out_of_memory_is_no_damage(tmp_path, monkeypatch):
    path = write(tmp_path / "a.parquet", pa.table({"a": [1]}))

    def full(*_, **__):
        raise pa.ArrowMemoryError("malloc of size 8388608 failed")

    monkeypatch.setattr(pq.ParquetFile, "iter_batches", full)
    assert "row group 0 of 1: out of memory (malloc of size 8388608 failed); give" in refusal(path)
