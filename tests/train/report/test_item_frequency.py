"""Metrics by item frequency."""

from tests.train.report.run_folders import comparison, evaluation, write_run
from train.report.item_frequency import by_frequency


def test_item_frequency_compares_the_same_impressions_only(tmp_path):
    different = evaluation(auc=0.9)
    different["frequency_groups"][0]["max_count"] = 8
    runs = [
        write_run(tmp_path / "a", "none", test_evaluation=evaluation(auc=0.5)),
        write_run(tmp_path / "b", test_evaluation=different),
    ]
    groups = by_frequency(comparison(*runs).rows, "auc")
    assert [g.name for g in groups] == [*"12345678", "known", "new"]
    assert [g.values[1] and g.values[1].mean for g in groups] == [None] + [0.9] * 9
    assert {g.values[0].mean for g in groups} == {0.5}
