"""Rows of a stream's file: every row in its order, as many for each rank, the same steps on any number of ranks."""

import pyarrow as pa
import pytest

from embeddings.errors import InputError
from recsys.stream.stream_writer import StreamWriter
from tests.train import tiny
from train.nearline.file_rows import FileReader


def reader(rank: int = 0, world_size: int = 1, batch_size: int = 16) -> FileReader:
    return FileReader(tiny.SCHEMA, {}, batch_size=batch_size, prefetch=2, rank=rank, world_size=world_size)


@pytest.mark.parametrize("rows", [1, 15, 16, 48, 53])
@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_steps_of_ranks(tmp_path, rows, world_size):
    path = StreamWriter(tmp_path).write(table := tiny.rows(rows, 1))
    users, size = table["user"].to_pylist(), 8 * world_size
    per_rank = []
    for rank in range(world_size):
        one = reader(rank, world_size, 8)
        file = one.open(path)
        per_rank.append([batch.users.tolist() for batch in one.batches(file, 0)])
        assert [b.users.tolist() for b in one.batches(file, size)] == per_rank[-1][1:]
    for step, start in enumerate(range(0, rows, size)):
        parts = [ranks[step] for ranks in per_rank]
        assert len({len(part) for part in parts}) == 1
        got = [user for part in parts for user in part]
        if (end := min(start + size, rows)) - start == size:
            assert got == users[start:end]
        else:
            assert len(parts[0]) == -(-(end - start) // world_size) and set(got) == set(users[start:end])


def test_an_empty_file_has_no_steps(tmp_path):
    file = reader().open(StreamWriter(tmp_path).write(tiny.rows(3, 1).slice(0, 0)))
    assert file.mark.rows == 0 and list(reader().batches(file, 0)) == []


def changed(name: str, values) -> pa.Table:
    table = tiny.rows(3, 1)
    return table.set_column(table.column_names.index(name), name, pa.array(values))


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        (tiny.rows(3, 1).drop_columns(["price"]), "has no column 'price'"),
        (changed("label", [0, 1, 2]), "labels are not 0 or 1"),
        (changed("user", [1, 2, tiny.USERS]), "allowed are 0 to 39"),
        (changed("price", ["a", "b", "c"]), "'price': got type string"),
        (changed("item", [1, None, 2]), "nulls"),
    ],
)
def test_what_the_schema_does_not_allow_is_refused(tmp_path, rows, words):
    path = StreamWriter(tmp_path).write(rows)
    with pytest.raises(InputError, match=words):
        reader().open(path)
