"""What is said of a table whose ids share rows; measuring is tested through the command (tests/train/commands)."""

import numpy as np
import pytest

from recsys.schema import TableSchema
from train.data.stats.distinct_ids import DistinctIdSample
from train.data.stats.id_collisions import CollisionRates
from train.data.stats.table_collisions import describe_table


@pytest.mark.parametrize(
    ("ids", "modulo", "hashed", "advice"),
    [
        ("modulo", 0.05, 0.2, "fine as it is"),
        ("hash", 0.05, 0.2, "set ids: modulo"),
        ("modulo", 0.2, 0.05, "set ids: hash"),
        ("modulo", 0.2, 0.2, "set ids: hash and num_embeddings: 20, or ids: zch on CUDA"),
        ("identity", 0.2, 0.2, "ids: identity lets no two ids share a row"),
        ("zch", 0.2, 0.2, "ids: zch lets no two ids share a row while rows are free"),
    ],
)
def test_advice(ids: str, modulo: float, hashed: float, advice: str):
    sample = DistinctIdSample(8)
    sample.add(np.array([1, 1, 2, 3]))
    rates = {way: CollisionRates(rate, 0.0, rate, 0.0) for way, rate in (("modulo", modulo), ("hash", hashed))}
    lines = describe_table("item", TableSchema(num_embeddings=8, ids=ids), sample, rates, 0.1).splitlines()
    assert lines[0] == f"table 'item': 4 lookups of 3 distinct ids, 8 rows, ids: {ids}"
    assert lines[-1].strip() == advice
