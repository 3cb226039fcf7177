"""The table of FuxiCTR's quality."""

from benchmarks.peers.fuxictr.tables import quality
from tests.benchmarks.table_cells import cells


def test_the_peer_is_one_line_a_data_set_and_kind_of_input():
    def row(seed: int, gauc: float, vectors: str | None = "text", data: str = "/there/microlens") -> dict:
        test = {"gauc": gauc, "auc": gauc + 0.02}
        return {"data": data, "vectors": vectors, "settings": {"seed": seed}, "test": test, "best_epoch": 2 + seed}

    rows = [row(1, 0.9), row(0, 0.70), row(1, 0.74), row(0, 0.6, None), row(0, 0.5, data="data/shop")]
    ids, both, other = cells(quality(rows))[2:]
    assert both == ["microlens", "ids and frozen vectors", "0.7200 +- 0.0283", "0.7400 +- 0.0283", "0.7000 to 0.7400",
                    "2, 3", "2"]  # fmt: skip
    assert ids[1:3] == ["ids", "0.6000"] and other[0] == "shop"
