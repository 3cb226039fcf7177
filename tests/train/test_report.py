"""The report verb on run folders that these tests write: figures by hand, missing parts, hostile names."""

import base64
import html
import json
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from click.testing import CliRunner

from embeddings.errors import InputError
from train.report import command
from train.report.plots import plots
from train.report.rows import compared
from train.report.runs import read_run
from train.report.table import as_text

METRICS = {"auc": 0.7, "gauc": 0.65, "gauc_unweighted": 0.64, "ne": 0.9, "log_loss": 0.4, "calibration": 1.01}
COUNTS = {"rows": 800, "positives": 160, "users": 90, "users_left_out": 10}
PLOTS = ["curves", "frequency", "reliability"]


def evaluation(**overall):
    """An evaluation whose AUC is the overall one in every group."""
    metrics = COUNTS | METRICS | overall
    groups = [metrics | {"group": k + 1, "rows": 100, "min_count": 10 * k, "max_count": 10 * k + 9} for k in range(8)]
    bins = [{"low": p, "high": p, "rows": 400, "mean_prediction": p, "base_rate": p + 0.05} for p in (0.1, 0.3)]
    subsets = {"new_items": metrics | {"rows": 60}, "known_items": metrics | {"rows": 740}}
    return {
        "split": "test",
        "epoch": 1,
        "overall": metrics,
        "frequency_groups": groups,
        **subsets,
        "reliability": bins,
    }


def write_run(folder, mode="simtier", seed=0, found=None, status="done", config=(), **about):
    """A run folder of the documented format."""
    name = about.pop("name", folder.name)
    (folder / "evaluation").mkdir(parents=True)
    (folder / "config.yaml").write_text(
        json.dumps(  # JSON is YAML
            {
                "data": {"path": "data/shop"},
                "model": {"multimodal": {"mode": mode, "num_tiers": 20}, "modalities": {}},
                "train": {"epochs": 2, "seed": seed},
                "run": {"name": name, "root": str(folder.parent)},
            }
            | dict(config)
        )
    )
    about = {
        "name": name,
        "status": status,
        "mode": mode,
        "seed": seed,
        "world_size": 2,
        "versions": {"torch": "2.13.0"},
        "git": {"commit": "c0ffee" * 6, "changed": False},
        "examples_per_s": 50_000.0,
        "best_epoch": 2,
        "parameters": 1234,
    } | about
    (folder / "run.json").write_text(json.dumps(about))
    rows = [
        {"kind": "train", "step": s, "epoch": 1, "loss": 0.5, "ne": 0.95, "examples_per_s": 5e4}
        for s in range(10, 60, 10)
    ]
    rows += [{"kind": "evaluation", "step": 50 * e, "epoch": e, "split": "validation", **METRICS} for e in (1, 2)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    if found is not None:
        (folder / "evaluation" / "test.json").write_text(json.dumps(found))
    return folder


def report(*arguments):
    """Standard output of the verb. InputError passes through."""
    result = CliRunner().invoke(command, [str(a) for a in arguments], standalone_mode=False)
    if result.exception:
        raise result.exception
    return result.output


def comparison(*folders, split="test"):
    return compared([read_run(str(folder), split) for folder in folders], split)


def text(*folders, split="test"):
    """What the verb prints, without drawing the page."""
    return as_text(comparison(*folders, split=split))


def cells(output):
    """Model -> its cells by column, from the printed Markdown."""
    header, _, *lines = [line.strip("| ").split(" | ") for line in output.splitlines() if line.startswith("|")]
    return {
        line[0].strip(): dict(zip([h.strip() for h in header], map(str.strip, line), strict=True)) for line in lines
    }


class Page(HTMLParser):
    """Tags of an HTML page, checked to be nested; images by the figure that holds them."""

    def __init__(self, path):
        super().__init__()
        self.open, self.tags, self.images, self.text, self.figure = [], [], {}, "", None
        self.feed(Path(path).read_text(encoding="utf-8"))
        assert not self.open

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append((tag, attrs))
        if tag == "figure":
            self.figure = attrs["id"]
        if tag == "img":
            kind, data = attrs["src"].split(",")
            assert kind == "data:image/svg+xml;base64" and attrs["alt"]
            self.images[self.figure] = ElementTree.fromstring(base64.b64decode(data))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def four_runs(root):
    modes = {"simtier": 0.7371, "none": 0.63, "simscore": 0.7182, "vector": 0.6489}
    return [write_run(root / mode, mode, found=evaluation(gauc=gauc)) for mode, gauc in modes.items()]


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


def test_the_page_stands_alone_and_holds_every_plot(tmp_path):
    output = report(*four_runs(tmp_path), "--out", tmp_path / "new" / "place")
    path = tmp_path / "new" / "place" / "report.html"
    assert output.splitlines()[-1] == f"report: {path}"
    page = Page(path)
    assert list(page.images) == PLOTS
    assert all(image.tag == "{http://www.w3.org/2000/svg}svg" for image in page.images.values())
    assert not [attrs for _, attrs in page.tags if attrs.keys() & {"href", "srcset", "onclick"}]
    assert "script" not in {tag for tag, _ in page.tags}
    for text in ("ID + SimTier", "+17.00 %", "torch", "2.13.0", "c0ffee", "num_tiers: 20", "gauc_unweighted", "0-9"):
        assert text in page.text
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
    from train.report.frequency import by_frequency

    different = evaluation(auc=0.9)
    different["frequency_groups"][0]["max_count"] = 8
    runs = [write_run(tmp_path / "a", "none", found=evaluation(auc=0.5)), write_run(tmp_path / "b", found=different)]
    columns = by_frequency(comparison(*runs).rows, "auc")
    assert [c.name for c in columns] == [*"12345678", "known", "new"]
    assert [c.values[1] and c.values[1].mean for c in columns] == [None] + [0.9] * 9
    assert {c.values[0].mean for c in columns} == {0.5}


def test_gain_by_frequency_with_its_whisker(tmp_path):
    from train.report.frequency import by_frequency
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


def test_no_such_run_names_the_nearest(tmp_path):
    write_run(tmp_path / "shop-simtier", found=evaluation())
    with pytest.raises(InputError, match=r"no run in '.*shop-simteir'.*did you mean '.*shop-simtier'"):
        text(tmp_path / "shop-simteir")
    with pytest.raises(InputError, match=r"no run in .*; runs near it: .*shop-simtier"):
        text(tmp_path)
    with pytest.raises(InputError, match="python -m train ctr"):
        text(tmp_path / "shop-simtier" / "evaluation" / "x")


def test_a_finished_run_without_the_evaluation_names_the_command(tmp_path):
    run = write_run(tmp_path / "r", found=evaluation())
    command_line = f"python -m train evaluate {run} --split validation"
    with pytest.raises(InputError, match=rf"no evaluation of split 'validation'; found: test; .*{command_line}"):
        text(run, split="validation")


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("run.json", '{\n "name": "r",\n "mode": }', r"run\.json', line 3: not JSON"),
        ("run.json", "[]", r"run\.json', line 1: a JSON object is expected, got list"),
        ("metrics.jsonl", '{"kind": "train"}\n{"kind": \n{}\n', r"metrics\.jsonl', line 2: not JSON"),
        ("metrics.jsonl", '{"kind": "train"}\n{"ki', r"metrics\.jsonl', line 2: not JSON"),
        ("metrics.jsonl", "\n3\n", r"metrics\.jsonl', line 2: a JSON object is expected, got int"),
        ("evaluation/test.json", '{"overall": ', r"test\.json', line 1: not JSON"),
        ("evaluation/test.json", "{}", r"test\.json', line 1: no 'overall' metrics"),
        ("config.yaml", "a: [", r"config\.yaml' is not readable YAML"),
        ("config.yaml", "- a", r"config\.yaml' is not a mapping"),
    ],
)
def test_a_broken_file_is_named_with_its_line(tmp_path, file, content, message):
    run = write_run(tmp_path / "r", found=evaluation())
    (run / file).write_text(content)
    with pytest.raises(InputError, match=message):
        text(run)
    assert not (run / "report.html").exists()


def test_text_that_is_not_utf_8_and_a_missing_config(tmp_path):
    run = write_run(tmp_path / "r", found=evaluation())
    (run / "metrics.jsonl").write_bytes(b'{"kind": "train"}\n\xff\n')
    with pytest.raises(InputError, match=r"metrics\.jsonl', line 2: not UTF-8"):
        text(run)
    (run / "config.yaml").unlink()
    (run / "metrics.jsonl").unlink()
    with pytest.raises(InputError, match=r"config\.yaml' is missing"):
        text(run)


def test_a_place_that_cannot_be_written(tmp_path):
    run = write_run(tmp_path / "r", found=evaluation())
    with pytest.raises(InputError, match=r"cannot write '.*report\.html' \(Not a directory|File exists"):
        report(run, "--out", run / "run.json")


def test_help_needs_nothing_heavy():
    code = "import sys, train.report; print(sorted({'torch', 'matplotlib', 'jinja2', 'numpy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_a_real_evaluation_can_be_reported(tmp_path):
    import numpy as np

    from recsys.metrics import evaluate_predictions

    random = np.random.default_rng(0)
    logits, users = random.normal(size=500), random.integers(0, 40, 500)
    labels, counts = random.random(500) < 0.3, random.integers(0, 30, 500)
    found = {"split": "test", "epoch": 1, **evaluate_predictions(labels, logits, users, counts)}
    runs = [write_run(tmp_path / m, m, found=found) for m in ("none", "simtier")]
    assert cells(report(*runs))["ID + SimTier"]["gain over ID"] == "+0.00 %"
    assert list(Page(tmp_path / "report.html").images) == PLOTS
