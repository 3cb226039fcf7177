"""The report's table on run folders that these tests write: figures by hand."""

from tests.train.report.run_folders import cells, evaluation, four_runs, text, write_run


def test_one_row_a_run_in_the_paper_s_order_with_gains_over_id(tmp_path):
    table = cells(text(*four_runs(tmp_path)))
    assert list(table) == ["ID", "ID + Vector", "ID + SimScore", "ID + SimTier"]
    assert [row["GAUC"] for row in table.values()] == ["0.6300", "0.6489", "0.7182", "0.7371"]
    assert [row["gain over ID"] for row in table.values()] == ["-", "+3.00 %", "+14.00 %", "+17.00 %"]
    rest = {
        "AUC": "0.7000",
        "NE": "0.9000",
        "log loss": "0.4000",
        "examples/s": "50,000",
        "best epoch": "2",
        "runs": "1",
    }
    assert table["ID"].items() >= rest.items()


def test_seeds_share_a_row_of_mean_and_standard_deviation(tmp_path):
    runs = [
        write_run(tmp_path / f"s{s}", seed=s, test_evaluation=evaluation(gauc=g), best_epoch=e, examples_per_s=v)
        for s, g, e, v in ((0, 0.70, 1, 40_000.0), (1, 0.71, 3, 50_000.0), (2, 0.75, 1, 60_000.0))
    ]
    (row,) = cells(text(*runs)).values()
    # by hand: mean 2.16 / 3 = .72; deviations -.02, -.01, .03: sqrt((.0004 + .0001 + .0009) / 2) = .02646
    assert row["GAUC"] == "0.7200 \u00b1 0.0265"
    assert row["AUC"] == "0.7000 \u00b1 0.0000"
    assert (row["examples/s"], row["best epoch"], row["runs"]) == ("50,000 \u00b1 10,000", "1, 3", "3")
