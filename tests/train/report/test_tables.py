"""The report's table on run folders that these tests write: figures by hand."""

from tests.train.report.run_folders import cells, evaluation, four_runs, text, write_run


def test_one_row_a_run_in_the_paper_s_order_with_gains_over_id(tmp_path):
    found = cells(text(*four_runs(tmp_path)))
    assert list(found) == ["ID", "ID + Vector", "ID + SimScore", "ID + SimTier"]
    assert [row["GAUC"] for row in found.values()] == ["0.6300", "0.6489", "0.7182", "0.7371"]
    assert [row["gain over ID"] for row in found.values()] == ["-", "+3.00 %", "+14.00 %", "+17.00 %"]
    rest = {
        "AUC": "0.7000",
        "NE": "0.9000",
        "log loss": "0.4000",
        "examples/s": "50,000",
        "best epoch": "2",
        "runs": "1",
    }
    assert found["ID"].items() >= rest.items()


def test_seeds_share_a_row_of_mean_and_standard_deviation(tmp_path):
    runs = [
        write_run(tmp_path / f"s{s}", seed=s, found=evaluation(gauc=g), best_epoch=e, examples_per_s=v)
        for s, g, e, v in ((0, 0.70, 1, 40_000.0), (1, 0.71, 3, 50_000.0), (2, 0.75, 1, 60_000.0))
    ]
    (row,) = cells(text(*runs)).values()
    # by hand: mean 2.16 / 3 = .72; deviations -.02, -.01, .03: sqrt((.0004 + .0001 + .0009) / 2) = .02646
    assert row["GAUC"] == "0.7200 \u00b1 0.0265"
    assert row["AUC"] == "0.7000 \u00b1 0.0000"
    assert (row["examples/s"], row["best epoch"], row["runs"]) == ("50,000 \u00b1 10,000", "1, 3", "3")


def test_the_gain_is_that_of_the_means(tmp_path):
    runs = [write_run(tmp_path / f"i{s}", "none", s, evaluation(gauc=g)) for s, g in ((0, 0.5), (1, 0.7))]
    runs.append(write_run(tmp_path / "t", "simtier", 0, evaluation(gauc=0.66)))
    assert cells(text(*runs))["ID + SimTier"]["gain over ID"] == "+10.00 %"


def test_other_settings_make_rows_of_their_own_that_say_which(tmp_path):
    def tiers(n):
        return {"model": {"multimodal": {"mode": "simtier", "num_tiers": n}}}.items()

    runs = [write_run(tmp_path / f"n{n}", found=evaluation(), config=tiers(n)) for n in (10, 20)]
    runs.append(write_run(tmp_path / "ranks", found=evaluation(), config=tiers(20), world_size=1))
    assert list(cells(text(*runs))) == [
        "ID + SimTier (model.multimodal.num_tiers=10, ranks=2)",
        "ID + SimTier (model.multimodal.num_tiers=20, ranks=2)",
        "ID + SimTier (model.multimodal.num_tiers=20, ranks=1)",
    ]


def test_a_modality_of_another_mode_is_named(tmp_path):
    def run(gauc, **modes):
        modalities = {"model": {"modalities": {name: {"mode": mode} for name, mode in modes.items()}}}
        name = "-".join(modes.values())
        return write_run(tmp_path / name, found=evaluation(gauc=gauc), config=modalities.items(), modes=modes)

    runs = [
        run(0.7, image="vector", text="none"),
        run(0.6, image="vector", text="simtier"),
        run(0.5, image="none", text="none"),
        run(0.8, image="simscore", text="simscore"),
    ]
    found = {name: row["gain over ID"] for name, row in cells(text(*runs)).items()}
    assert found == {
        "ID": "-",
        "ID + SimScore": "+60.00 %",
        "ID + image: Vector": "+40.00 %",
        "ID + image: Vector + text: SimTier": "+20.00 %",
    }


def test_the_id_run_with_the_same_settings_is_the_one_to_compare_with(tmp_path):
    def epochs(n):
        return {"train": {"epochs": n, "seed": 0}}.items()

    runs = [
        write_run(tmp_path / f"{mode}{n}", mode, found=evaluation(gauc=gauc), config=epochs(n))
        for mode, n, gauc in (("none", 1, 0.5), ("none", 3, 0.6), ("simtier", 3, 0.66), ("vector", 9, 0.66))
    ]
    output = text(*runs)
    found = cells(output)
    assert found["ID + SimTier"]["gain over ID"] == "+10.00 %"
    assert found["ID + Vector"]["gain over ID"] == "-"
    assert "note: ID + Vector: no single ID run on its data" in output
    assert "note: ID + Vector: differs from its ID row in train.epochs too" in text(runs[0], runs[3])
