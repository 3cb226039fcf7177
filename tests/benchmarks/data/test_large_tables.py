"""The benchmark of many ids: its data, its oracle, and the row it writes."""

import json

import numpy as np
import pytest

from benchmarks.data.large_tables import build_ids, count_collisions, ids_at, main, true_shares
from embeddings.errors import InputError


@pytest.mark.parametrize("distinct", [1000, 2_654_435, 3 * 2**10])
def test_ids_are_distinct_multiples(distinct: int):
    ids = ids_at(np.arange(distinct), distinct)
    assert np.array_equal(np.sort(ids), np.arange(distinct) * 4096)


def test_true_shares():
    # 1024 rows hold multiples of 4096 on one row under modulo; 3 rows take 1000 ids, all in company
    assert true_shares(1000, 1024)["modulo"] == 1.0
    assert true_shares(1000, 4096 * 1000)["modulo"] == 0.0
    assert 0.2 < true_shares(1000, 3000)["hash"] < 0.36  # by chance 0.283


@pytest.mark.slow
def test_a_sample_of_the_ids_agrees_with_all_of_them(tmp_path):
    out = str(tmp_path / "ids")
    assert (
        main.main(
            ["--out", out, "--distinct", "2500000", "--rows", "3000000", "--results", str(tmp_path)],
            "x",
            standalone_mode=False,
        )
        is None
    )
    (row,) = [json.loads(line) for line in (tmp_path / "large_tables.jsonl").read_text().splitlines()]
    assert row["lookups"] == 5_000_000
    assert 0 < row["distinct_error"] < 3000 and abs(row["distinct"] - 2_500_000) < 5 * row["distinct_error"]
    for way, truth in row["true_shares"].items():
        assert abs(row["shares"][way]["ids"] - truth) <= 5 * row["shares"][way]["ids_error"] + 1e-7
    assert row["true_shares"]["modulo"] > 0.99 and row["peak_bytes"] < 1 << 30


def test_a_folder_with_something_else_in_it_is_left_alone(tmp_path):
    (tmp_path / "mine.txt").write_text("")
    with pytest.raises(InputError, match="no folder of this benchmark"):
        build_ids(str(tmp_path), 1000, 10)
    assert (tmp_path / "mine.txt").exists()


def test_few_ids_are_counted_in_full(tmp_path):
    build_ids(str(tmp_path / "ids"), 5000, 6000)
    counts = count_collisions(str(tmp_path / "ids"))
    assert (counts["distinct"], counts["distinct_error"], counts["lookups"]) == (5000, 0, 10_000)
    assert counts["shares"]["hash"]["ids"] == true_shares(5000, 6000)["hash"]
