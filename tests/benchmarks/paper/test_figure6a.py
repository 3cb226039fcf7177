"""Figure 6a: what the chain is asked for, and the table and plot of its rows."""

import json
from typing import Any

import pytest
from click.testing import CliRunner

from benchmarks.harness import read
from benchmarks.paper import chain_rows, command
from benchmarks.paper import figure6a as vectors
from benchmarks.paper.plots import plot
from benchmarks.paper.tables import MISSING, document_table_6a, figure6a

ACCURACY = {"untrained": 0.1, "scl-1": 0.3, "scl": 0.5}


def row(kind: str, mode: str, seed: int, gauc: float) -> dict[str, Any]:
    accuracy = {k: {"image": a, "text": a + 0.1} for k, a in ACCURACY.items()}
    shapes = {"rows": chain_rows.ROWS, "searches": chain_rows.SEARCHES}
    return {"vectors": kind, "mode": mode, "seed": seed, "gauc": gauc, "accuracy": accuracy, "shapes": shapes}


ROWS = [
    row("none", "none", 0, 0.5),
    row("none", "none", 1, 0.5),
    row("scl", "simtier", 0, 0.55),
    row("scl", "simtier", 1, 0.57),
    row("scl", "simtier+make", 0, 0.9),
    row("untrained", "simtier", 0, 0.51),
]


def test_a_line_for_each_kind_of_encoders_in_their_order():
    lines = figure6a(ROWS).splitlines()[2:]
    assert lines == [
        "| untrained | 0.100 | 0.200 | 0.5100 | +2.00 % | 1 |",
        "| all epochs | 0.500 | 0.600 | 0.5600 +- 0.0141 | +12.00 % +- 2.83 | 2 |",
    ]
    assert document_table_6a([]) == MISSING and "figures/shop-fig6a.svg" in document_table_6a(ROWS)


def test_the_newest_row_counts():
    assert "| 0.5200 | +4.00 % |" in figure6a([*ROWS, row("untrained", "simtier", 0, 0.52)])


def test_a_trial_on_a_small_market_does_not_count():
    small = row("untrained", "simtier", 0, 0.9) | {"shapes": {"rows": 1000, "searches": chain_rows.SEARCHES}}
    assert figure6a([*ROWS, small]) == figure6a(ROWS)


def test_the_plot_has_the_mean_of_both_modalities_below_it():
    drawing = plot("fig6a", ROWS).decode()
    assert "Acc@1, mean of photos and words" in drawing and plot("fig6a", ROWS).decode() == drawing
    assert plot("fig6a", ROWS[:4]).decode() != drawing
    assert vectors.mean_accuracy({"image": 0.2, "text": 0.4}) == pytest.approx(0.3)


def test_the_command_trains_writes_rows_once_and_draws(tmp_path, monkeypatch):
    asked: list[tuple] = []

    class Played:
        def __init__(self, *given: Any) -> None:
            asked.append(given)

        def whole(self, *given: int) -> list[dict]:
            asked.append(given)
            return ROWS

    monkeypatch.setattr(vectors, "Chain", Played)
    for _ in range(2):
        words = [
            "fig6a",
            "--data",
            "shop",
            "--seeds",
            "2",
            "--root",
            "kept",
            "--out",
            str(tmp_path),
            "process.threads=1",
        ]
        done = CliRunner().invoke(command.main, words, catch_exceptions=False)
        assert done.exit_code == 0 and "| all epochs |" in done.output
    (data, root, _, overrides, kinds, modes, timed), shape = asked[:2]
    assert (str(data), str(root), overrides, modes) == (
        "data/chain",
        "kept/chain",
        ("process.threads=1",),
        ("simtier",),
    )
    assert timed != "seconds.json" and shape[-1] == 2
    assert list(kinds) == ["untrained", "scl-1", "scl-2", "scl-4", "scl"] and kinds["scl-2"] == ("train.epochs=2",)
    assert len(read(chain_rows.RESULTS, tmp_path)) == len(ROWS), "the same rows are not written again"
    assert (tmp_path / "figures" / "shop-fig6a.svg").read_bytes() == plot("fig6a", ROWS)
    assert json.loads((tmp_path / "chain.jsonl").read_text().splitlines()[0])["vectors"] == "none"
