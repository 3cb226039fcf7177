"""Tables come from rows: means, spreads, gains over ids, the paper's figures beside them."""

import pytest

from benchmarks.paper.tables import BY_TARGET, document_table
from tests.benchmarks.paper.rows import ROWS, row
from tests.benchmarks.table_cells import cells


def drawn(target: str, rows: list | None = None) -> list[list[str]]:
    return cells(document_table(target, "shop")(ROWS if rows is None else rows))


def test_table3_is_mean_spread_and_gain_beside_the_papers():
    head, _, ids, vector, *_ = lines = drawn("table3")
    assert head[0] == "model" and ids == ["ID", "0.5000 +- 0.0000", "0.6000 +- 0.0000", "", "", "", "", "2"]
    assert vector[:2] == ["ID + Vector", "not trained yet"], "a model that is missing is said to be"
    simtier = next(line for line in lines if line[0] == "ID + SimTier")
    assert simtier[1:] == [
        "0.5500 +- 0.0141", "0.6500 +- 0.0141", "+10.00 % +- 2.83", "+0.96 %", "+8.33 % +- 2.36", "+0.59 %", "2",
    ]  # fmt: skip


def test_the_newest_row_of_a_run_counts_and_other_data_do_not():
    again = [*ROWS, row("simtier", 1, 0.54), row("simtier", 1, 0.99) | {"data": "microlens"}]
    assert next(line for line in drawn("table3", again) if line[0] == "ID + SimTier")[1] == "0.5400 +- 0.0000"


def test_without_ids_there_are_figures_and_no_gains():
    lines = drawn("table3", [r for r in ROWS if r["model"] == "simtier"])
    assert next(line for line in lines if line[0] == "ID + SimTier")[1:4] == [
        "0.5500 +- 0.0141",
        "0.6500 +- 0.0141",
        "",
    ]


def test_figure3_is_a_line_an_epoch():
    head, _, *lines = drawn("fig3")
    assert head[:4] == ["epoch", "ID", "ID, tables reset (not trained yet)", "MAKE alone"]
    assert lines == [
        ["1", "0.5000", "", "0.5000", "0.647", "0.590"],
        ["2", "0.4000", "", "0.5300", "0.619", ""],
        ["3", "", "", "0.5400", "", ""],
    ]


def test_figure6b_is_a_line_a_group_of_items():
    head, _, rare, frequent = drawn("fig6b")
    assert head == ["items, rarest first", "seen in training", "test rows", "ID + SimTier", "paper's"]
    assert rare == ["1", "0", "40", "+20.00 % +- 5.66", ""]  # .5 to .6; the paper's are of eight groups
    assert frequent == ["2", "1 to 1,500", "60", "+10.00 % +- 2.83", ""]
    gone = [r if r["model"] != "simtier" else r | {"auc_by_frequency": [None, 0.55]} for r in ROWS]
    assert drawn("fig6b", gone)[2][3] == "undefined"


def test_figure6c_is_a_line_a_number_of_epochs():
    lines = drawn("fig6c")[2:]
    assert [line[0] for line in lines] == ["0", "2", "4", "6", "8", "10"]
    assert lines[0][1:] == ["not trained yet", "", "+0.30 %"]
    assert lines[1] == ["2", "0.5100", "+2.00 %", "+0.77 %"]


@pytest.mark.parametrize("target", BY_TARGET)
def test_tables_of_no_rows_say_so(target: str):
    assert "not trained yet" in document_table(target, "shop")([]) and "svg" not in document_table(target, "shop")([])
    assert f"(figures/shop-{target}.svg)" in document_table(target, "shop")(ROWS)
