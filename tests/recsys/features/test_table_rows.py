"""Raw ids to rows, against whole-number arithmetic."""

import numpy as np
import pytest

from embeddings.hashing import _BLOCK
from embeddings.planner.table_constraint import MOST_TABLE_ROWS
from recsys.features.table_rows import table_rows
from recsys.schema import TableSchema

EDGES = [0, 1, -1, 2, 1 << 33, -(1 << 63), (1 << 63) - 1, 123456789]


def fmix64(value: int) -> int:
    mask = (1 << 64) - 1
    value &= mask
    value = (value ^ value >> 33) * 0xFF51AFD7ED558CCD & mask
    value = (value ^ value >> 33) * 0xC4CEB9FE1A85EC53 & mask
    return value ^ value >> 33


def rows_of(ids: list[int] | np.ndarray, rows: int, kind: str) -> np.ndarray:
    ids = np.asarray(ids, dtype=np.int64)
    before, out = ids.copy(), np.full(ids.size, -7)
    table_rows(ids, TableSchema(num_embeddings=rows, ids=kind), out)
    assert np.array_equal(ids, before), "the ids themselves were changed"
    return out


def test_fmix64_is_the_known_one():
    assert fmix64(1) == 0xB456BCFC34C2CB2C  # from MurmurHash3's reference


@pytest.mark.parametrize("count", [0, 1, 8, _BLOCK - 1, _BLOCK, _BLOCK + 1, 3 * _BLOCK + 5])
@pytest.mark.parametrize("rows", [1, 7, 1 << 20, MOST_TABLE_ROWS])
def test_hash_is_the_mixed_id_mod_the_rows(count: int, rows: int):
    ids = (EDGES * (count // len(EDGES) + 1))[:count]
    assert rows_of(ids, rows, "hash").tolist() == [fmix64(i) % rows for i in ids]


def test_zch_ids_are_mixed_and_never_negative():
    assert rows_of(EDGES, 10, "zch").tolist() == [fmix64(i) % (1 << 63) for i in EDGES]


def test_hash_spreads_ids_that_modulo_piles_up():
    ids = np.arange(20_000) * 4096
    assert len(set(rows_of(ids, 1 << 16, "modulo"))) == 16
    taken = len(set(rows_of(ids, 1 << 16, "hash")))
    by_chance = (1 << 16) * (1 - (1 - 2.0**-16) ** 20_000)
    assert abs(taken - by_chance) < 5 * by_chance**0.5


@pytest.mark.parametrize("rows", [1, 7, 16, MOST_TABLE_ROWS])
def test_modulo_is_never_negative_for_any_int64(rows):
    ids = [0, 1, -1, 6, 7, 15, 16, -7, -16, 123456789, -(1 << 63), (1 << 63) - 1, -(1 << 62) - 5]
    out = np.empty(len(ids), np.int64)
    table_rows(np.array(ids), TableSchema(num_embeddings=rows), out)
    assert out.tolist() == [i % rows for i in ids]


def test_modulo_of_ids_up_to_the_number_of_rows():
    out = np.empty(3, np.int64)
    table_rows(np.array([0, 6, 7]), TableSchema(num_embeddings=7), out)
    assert out.tolist() == [0, 6, 0]
