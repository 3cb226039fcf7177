"""Damage to a live index's vectors is named, and the first id that has it."""

import os

import numpy as np
import pytest

from embeddings.errors import InputError
from embeddings.index.check_index import verify
from embeddings.index.live_index import LiveIndex
from tests.embeddings.index.indexes import WIDTH, small_index, vectors_of

IDS = np.arange(50)


@pytest.fixture(params=["float32", "float16", "int8"])
def path(tmp_path, request):
    with small_index(tmp_path / "index", request.param) as writer:
        writer.put(IDS, vectors_of(IDS))
        writer.delete(IDS[:10])
    return writer.path


def test_all_that_an_index_holds_is_read(path):
    counted = []
    with LiveIndex(path) as index:
        assert verify(index, counted.append) == 40 and sum(counted) == 40


@pytest.mark.parametrize("kind", ["vectors", "scale"])
def test_a_bit_that_fell_is_seen(path, kind):
    file = os.path.join(path, "vectors-1", f"00000000.{kind}")
    with LiveIndex(path) as index:
        if kind == "scale" and index.scale is None:
            return
        row = index.vectors[:1].nbytes if kind == "vectors" else 4
        with open(file, "r+b") as out:
            out.seek(30 * row)
            byte = out.read(1)[0]
            out.seek(30 * row)
            out.write(bytes([byte ^ 1]))
        with pytest.raises(InputError, match=r"the vector of id 30 has another CRC.*1 of 40 rows"):
            verify(index)


def test_a_bit_of_a_deleted_row_does_not_matter(path):
    with open(os.path.join(path, "vectors-1", "00000000.vectors"), "r+b") as out:
        out.write(b"\xff" * WIDTH)
    with LiveIndex(path) as index:
        assert verify(index) == 40
