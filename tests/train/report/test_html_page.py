"""The report's page: plots, notes, missing parts, hostile names."""

import html
import json

import pytest

from embeddings.errors import InputError
from tests.train.report.run_folders import (
    METRICS,
    PLOTS,
    Page,
    cells,
    comparison,
    evaluation,
    four_runs,
    report,
    text,
    write_run,
)
from train.report.plots import plots


def test_the_page_stands_alone_and_holds_every_plot(tmp_path):
    output = report(*four_runs(tmp_path), "--out", tmp_path / "new" / "place")
    path = tmp_path / "new" / "place" / "report.html"
    assert output.splitlines()[-1] == f"report: {path}"
    page = Page(path)
    assert list(page.images) == PLOTS
    assert all(image.tag == "{http://www.w3.org/2000/svg}svg" for image in page.images.values())
    assert not [attrs for _, attrs in page.tags if attrs.keys() & {"href", "srcset", "onclick"}]
    assert "script" not in {tag for tag, _ in page.tags}
    for words in ("ID + SimTier", "+17.00 %", "torch", "2.13.0", "c0ffee", "num_tiers: 20", "gauc_unweighted", "0-9"):
        assert words in page.text
    assert sum(attrs.get("class") == "run" for _, attrs in page.tags) == 4


def test_the_page_goes_where_the_runs_are(tmp_path):
    runs = four_runs(tmp_path)
    assert f"report: {runs[0] / 'report.html'}" in report(runs[0])
    (tmp_path / "report.html").touch()  # an earlier report, which the pattern RUNS/* matches too
    assert f"report: {tmp_path / 'report.html'}" in report(*sorted(tmp_path.iterdir()))
    assert (tmp_path / "report.html").read_text().count('class="run"') == 4
    assert not list(tmp_path.glob(".report*"))
    with pytest.raises(InputError, match="no run among"):
        report(tmp_path / "report.html")


def test_the_same_runs_give_the_same_plots(tmp_path):
    run = comparison(write_run(tmp_path / "r", found=evaluation()))
    assert plots(run) == plots(run)


def test_the_markdown_file_holds_the_table_alone(tmp_path):
    output = report(*four_runs(tmp_path), "--markdown", tmp_path / "table.md")
    text = (tmp_path / "table.md").read_text(encoding="utf-8")
    assert output.startswith(text) and all(line.startswith("|") for line in text.splitlines())
    assert text.splitlines()[1].replace(" ", "").split("|")[1:3] == ["-" * 13, "-" * 5 + ":"]


def test_names_are_escaped_everywhere(tmp_path):
    evil = "<script>alert(1)</script>|$x_{$"
    config = {"data": {"path": evil}}.items()
    runs = [write_run(tmp_path / f"r{k}", mode, found=evaluation(), name=evil) for k, mode in enumerate(("none", evil))]
    runs.append(write_run(tmp_path / "r2", "none", found=evaluation(), config=config))
    output = report(*runs)
    assert "\\|$x" in output
    page = Page(tmp_path / "report.html")
    assert "script" not in {tag for tag, _ in page.tags} and evil in page.text
    assert html.escape(evil) in (tmp_path / "report.html").read_text()
    assert list(page.images) == PLOTS


def test_an_unfinished_run_is_marked_and_its_curves_are_shown(tmp_path):
    runs = [write_run(tmp_path / "done", "none", found=evaluation())]
    runs.append(write_run(tmp_path / "broken", "simtier", status="failed", best_epoch=None, examples_per_s=None))
    with open(tmp_path / "broken" / "metrics.jsonl", "a") as out:
        out.write('{"kind": "train", "st')
    output = report(*runs)
    row = cells(output)["ID + SimTier"]
    assert [row[k] for k in ("GAUC", "gain over ID", "NE", "examples/s", "best epoch")] == ["-"] * 5
    assert row["runs"] == "1, 1 failed"
    assert "note: run 'broken' is not finished: its status is 'failed'" in output
    assert "metrics.jsonl', line 8: cut off while it was written, left out" in output
    page = Page(tmp_path / "report.html")
    assert ("span", {"class": "open"}) in page.tags and list(page.images) == PLOTS


def test_a_run_that_has_only_begun_gives_a_page_without_plots(tmp_path):
    run = write_run(tmp_path / "new", status="running")
    (run / "metrics.jsonl").unlink()
    report(run)
    assert not Page(run / "report.html").images


def test_undefined_metrics_are_dashes(tmp_path):
    nothing = dict.fromkeys(METRICS)
    runs = [write_run(tmp_path / m, m, found=evaluation(**nothing)) for m in ("none", "simtier")]
    row = cells(report(*runs))["ID + SimTier"]
    assert [row[k] for k in ("GAUC", "gain over ID", "AUC", "NE", "log loss")] == ["-"] * 5
    assert list(Page(tmp_path / "report.html").images) == ["curves", "reliability"]


def test_another_split(tmp_path):
    run = write_run(tmp_path / "r", found=evaluation())
    (run / "evaluation" / "validation.json").write_text(json.dumps(evaluation(gauc=0.5)))
    assert cells(report(run, "--split", "validation"))["ID + SimTier"]["GAUC"] == "0.5000"
    assert "evaluated on validation" in Page(run / "report.html").text


def test_different_data_is_noted_and_not_compared(tmp_path):
    other = {"data": {"path": "data/microlens"}}.items()
    runs = [write_run(tmp_path / "a", "none", found=evaluation(gauc=0.5))]
    runs.append(write_run(tmp_path / "b", "simtier", found=evaluation(gauc=0.6), config=other))
    output = text(*runs)
    assert "note: the runs read different data (data/shop, data/microlens)" in output
    assert cells(output)["ID + SimTier"]["gain over ID"] == "-"


@pytest.mark.parametrize(
    ("change", "note"),
    [
        ({"found": evaluation(rows=900)}, "evaluated on different numbers of rows: [800, 900]"),
        ({"git": {"commit": "f" * 40}}, "made by different commits: c0ffeec0ff, ffffffffff"),
        ({"mode": "none"}, "ID: seed 0 is there more than once"),
    ],
)
def test_what_makes_a_comparison_doubtful_is_noted(tmp_path, change, note):
    runs = [write_run(tmp_path / "a", "none", found=evaluation())]
    runs.append(write_run(tmp_path / "b", **({"mode": "vector", "found": evaluation()} | change)))
    assert note in text(*runs)


def test_item_frequency_compares_the_same_impressions_only(tmp_path):
    from train.report.item_frequency import by_frequency

    different = evaluation(auc=0.9)
    different["frequency_groups"][0]["max_count"] = 8
    runs = [write_run(tmp_path / "a", "none", found=evaluation(auc=0.5)), write_run(tmp_path / "b", found=different)]
    columns = by_frequency(comparison(*runs).rows, "auc")
    assert [c.name for c in columns] == [*"12345678", "known", "new"]
    assert [c.values[1] and c.values[1].mean for c in columns] == [None] + [0.9] * 9
    assert {c.values[0].mean for c in columns} == {0.5}


def test_gain_by_frequency_with_its_whisker(tmp_path):
    from train.report.item_frequency import by_frequency
    from train.report.plots import _bars

    runs = [write_run(tmp_path / "id", "none", found=evaluation(auc=0.5))]
    runs += [write_run(tmp_path / f"t{s}", "simtier", s, evaluation(auc=a)) for s, a in ((0, 0.6), (1, 0.7))]
    rows = comparison(*runs).rows
    bars = _bars(rows[1], rows, by_frequency(rows, "auc"), relative=True)
    # by hand: .65 / .5 = +30 %; sample deviation of .6 and .7 is .0707, of .5 that is 14.14 %
    assert bars == [(k, pytest.approx(30.0), pytest.approx(14.142, abs=1e-3)) for k in range(10)]


def test_a_single_run_shows_auc_itself(tmp_path):
    found = {p.name: p.caption for p in plots(comparison(write_run(tmp_path / "r", found=evaluation())))}
    assert list(found) == PLOTS and "AUC itself" in found["frequency"]


def test_long_curves_are_averaged_down_and_keep_their_level():
    from train.report.plots import _thinned

    points = [(k, k % 2) for k in range(10_000)]
    thin = _thinned(points)
    assert 250 <= len(thin) <= 300 and thin[0] == (16.5, 0.5) and {y for _, y in thin} == {0.5}
    assert _thinned(points[:300]) == points[:300]
