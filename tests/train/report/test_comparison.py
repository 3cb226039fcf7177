"""Rows of a comparison: titles, settings that tell rows apart, the ID row to compare with, notes."""

import pytest

from tests.train.report.run_folders import cells, evaluation, text, write_run


def test_the_gain_is_that_of_the_means(tmp_path):
    runs = [write_run(tmp_path / f"i{s}", "none", s, evaluation(gauc=g)) for s, g in ((0, 0.5), (1, 0.7))]
    runs.append(write_run(tmp_path / "t", "simtier", 0, evaluation(gauc=0.66)))
    assert cells(text(*runs))["ID + SimTier"]["gain over ID"] == "+10.00 %"


def test_what_is_undefined_and_what_was_evaluated_on_other_data_is_said(tmp_path):
    clicks = evaluation(rows=9, positives=9, auc=None, gauc=None, ne=None)
    runs = [
        write_run(tmp_path / "a", test_evaluation=clicks | {"data": "data/shop"}),
        write_run(tmp_path / "b", "none", test_evaluation=evaluation() | {"data": "day2"}),
    ]
    output = text(*runs)
    assert "note: run 'a': split 'test' has no auc, gauc, ne: all 9 rows have label 1" in output
    assert "note: run 'b': split 'test' was evaluated on 'day2', and it was trained on 'data/shop'" in output
    assert output.count("was evaluated on") == 1


def test_other_settings_make_rows_of_their_own_that_say_which(tmp_path):
    def tiers(n):
        return {"model": {"multimodal": {"mode": "simtier", "num_tiers": n}}}.items()

    runs = [write_run(tmp_path / f"n{n}", test_evaluation=evaluation(), config=tiers(n)) for n in (10, 20)]
    runs.append(write_run(tmp_path / "ranks", test_evaluation=evaluation(), config=tiers(20), world_size=1))
    assert list(cells(text(*runs))) == [
        "ID + SimTier (model.multimodal.num_tiers=10, ranks=2)",
        "ID + SimTier (model.multimodal.num_tiers=20, ranks=2)",
        "ID + SimTier (model.multimodal.num_tiers=20, ranks=1)",
    ]


def test_a_modality_of_another_mode_is_named(tmp_path):
    def run(gauc, **modes):
        modalities = {"model": {"modalities": {name: {"mode": mode} for name, mode in modes.items()}}}
        name = "-".join(modes.values())
        return write_run(tmp_path / name, test_evaluation=evaluation(gauc=gauc), config=modalities.items(), modes=modes)

    runs = [
        run(0.7, image="vector", text="none"),
        run(0.6, image="vector", text="simtier"),
        run(0.5, image="none", text="none"),
        run(0.8, image="simscore", text="simscore"),
    ]
    gains = {name: row["gain over ID"] for name, row in cells(text(*runs)).items()}
    assert gains == {
        "ID": "-",
        "ID + SimScore": "+60.00 %",
        "ID + image: Vector": "+40.00 %",
        "ID + image: Vector + text: SimTier": "+20.00 %",
    }


def test_the_id_run_with_the_same_settings_is_the_one_to_compare_with(tmp_path):
    def epochs(n):
        return {"train": {"epochs": n, "seed": 0}}.items()

    runs = [
        write_run(tmp_path / f"{mode}{n}", mode, test_evaluation=evaluation(gauc=gauc), config=epochs(n))
        for mode, n, gauc in (("none", 1, 0.5), ("none", 3, 0.6), ("simtier", 3, 0.66), ("vector", 9, 0.66))
    ]
    output = text(*runs)
    table = cells(output)
    assert table["ID + SimTier"]["gain over ID"] == "+10.00 %"
    assert table["ID + Vector"]["gain over ID"] == "-"
    assert "note: ID + Vector: no single ID run on its data" in output
    assert "note: ID + Vector: differs from its ID row in train.epochs too" in text(runs[0], runs[3])


def test_different_data_is_noted_and_not_compared(tmp_path):
    other = {"data": {"path": "data/microlens"}}.items()
    runs = [write_run(tmp_path / "a", "none", test_evaluation=evaluation(gauc=0.5))]
    runs.append(write_run(tmp_path / "b", "simtier", test_evaluation=evaluation(gauc=0.6), config=other))
    output = text(*runs)
    assert "note: the runs read different data (data/shop, data/microlens)" in output
    assert cells(output)["ID + SimTier"]["gain over ID"] == "-"


@pytest.mark.parametrize(
    ("change", "note"),
    [
        ({"test_evaluation": evaluation(rows=900)}, "evaluated on different numbers of rows: [800, 900]"),
        ({"git": {"commit": "f" * 40}}, "made by different commits: c0ffeec0ff, ffffffffff"),
        ({"mode": "none"}, "ID: seed 0 is there more than once"),
    ],
)
def test_what_makes_a_comparison_doubtful_is_noted(tmp_path, change, note):
    runs = [write_run(tmp_path / "a", "none", test_evaluation=evaluation())]
    runs.append(write_run(tmp_path / "b", **({"mode": "vector", "test_evaluation": evaluation()} | change)))
    assert note in text(*runs)
