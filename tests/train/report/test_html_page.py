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
    evaluation,
    four_runs,
    report,
    write_run,
)
from train.report.html_page import write_text


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


def test_the_markdown_file_holds_the_table_alone(tmp_path):
    output = report(*four_runs(tmp_path), "--markdown", tmp_path / "table.md")
    text = (tmp_path / "table.md").read_text(encoding="utf-8")
    assert output.startswith(text) and all(line.startswith("|") for line in text.splitlines())
    assert text.splitlines()[1].replace(" ", "").split("|")[1:3] == ["-" * 13, "-" * 5 + ":"]


def test_names_are_escaped_everywhere(tmp_path):
    evil = "<script>alert(1)</script>|$x_{$"
    config = {"data": {"path": evil}}.items()
    runs = [
        write_run(tmp_path / f"r{k}", mode, test_evaluation=evaluation(), name=evil)
        for k, mode in enumerate(("none", evil))
    ]
    runs.append(write_run(tmp_path / "r2", "none", test_evaluation=evaluation(), config=config))
    output = report(*runs)
    assert "\\|$x" in output
    page = Page(tmp_path / "report.html")
    assert "script" not in {tag for tag, _ in page.tags} and evil in page.text
    assert html.escape(evil) in (tmp_path / "report.html").read_text()
    assert list(page.images) == PLOTS


def test_an_unfinished_run_is_marked_and_its_curves_are_shown(tmp_path):
    runs = [write_run(tmp_path / "done", "none", test_evaluation=evaluation())]
    runs.append(write_run(tmp_path / "broken", "simtier", status="failed", best_epoch=None, examples_per_s=None))
    with open(tmp_path / "broken" / "metrics.jsonl", "a") as out:
        out.write('{"kind": "train", "st')
    output = report(*runs)
    row = cells(output)["ID + SimTier"]
    assert [row[k] for k in ("GAUC", "gain over ID", "NE", "examples/s", "best epoch")] == ["-"] * 5
    assert row["runs"] == "1, 1 failed"
    assert "note: run 'broken' is not finished: its status is 'failed'" in output
    assert "metrics.jsonl', line 8 is not readable JSON" in output and "cut off while it was written, and is" in output
    page = Page(tmp_path / "report.html")
    assert ("span", {"class": "open"}) in page.tags and list(page.images) == PLOTS


def test_rows_that_were_lost_are_noted(tmp_path):
    run = write_run(tmp_path / "r", test_evaluation=evaluation())
    with open(run / "metrics.jsonl", "a") as out:
        out.write('{"kind": "lost", "step": 7}\n' * 2)
    assert "metrics.jsonl': 2 rows were lost before the run went on, and its curves have a gap" in report(run)


def test_a_run_that_has_only_begun_gives_a_page_without_plots(tmp_path):
    run = write_run(tmp_path / "new", status="running")
    (run / "metrics.jsonl").unlink()
    report(run)
    assert not Page(run / "report.html").images


def test_undefined_metrics_are_dashes(tmp_path):
    nothing = dict.fromkeys(METRICS)
    runs = [write_run(tmp_path / m, m, test_evaluation=evaluation(**nothing)) for m in ("none", "simtier")]
    row = cells(report(*runs))["ID + SimTier"]
    assert [row[k] for k in ("GAUC", "gain over ID", "AUC", "NE", "log loss")] == ["-"] * 5
    assert list(Page(tmp_path / "report.html").images) == ["curves", "reliability"]


def test_another_split(tmp_path):
    run = write_run(tmp_path / "r", test_evaluation=evaluation())
    (run / "evaluation" / "validation.json").write_text(json.dumps(evaluation(gauc=0.5)))
    assert cells(report(run, "--split", "validation"))["ID + SimTier"]["GAUC"] == "0.5000"
    assert "evaluated on validation" in Page(run / "report.html").text


def test_a_name_that_is_not_utf_8_is_escaped(tmp_path):
    write_text(tmp_path / "page.html", "run m\udce9")
    assert (tmp_path / "page.html").read_text() == "run m\\udce9\n"
