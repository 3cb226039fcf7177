"""What the report says of run folders that it cannot use."""

import json
import subprocess
import sys

import pytest

from embeddings.errors import InputError
from tests.train.report.run_folders import PLOTS, Page, cells, evaluation, report, text, write_run


def test_no_such_run_names_the_nearest(tmp_path):
    write_run(tmp_path / "shop-simtier", test_evaluation=evaluation())
    with pytest.raises(InputError, match=r"no run in '.*shop-simteir'.*did you mean '.*shop-simtier'"):
        text(tmp_path / "shop-simteir")
    with pytest.raises(InputError, match=r"no run in .*; runs near it: .*shop-simtier"):
        text(tmp_path)
    with pytest.raises(InputError, match="python -m train ctr"):
        text(tmp_path / "shop-simtier" / "evaluation" / "x")


def test_a_finished_run_without_the_evaluation_names_the_command(tmp_path):
    run = write_run(tmp_path / "r", test_evaluation=evaluation())
    command_line = f"python -m train evaluate {run} --split validation"
    with pytest.raises(InputError, match=rf"no evaluation of split 'validation'; found: test; .*{command_line}"):
        text(run, split="validation")


def test_a_run_without_a_test_split_says_so(tmp_path):
    run = write_run(tmp_path / "r", config={"data": {"path": "data/shop", "test": None}}.items())
    with pytest.raises(InputError, match=r"'test' \(its data\.test is null\); found: none; .* with --split$"):
        text(run)
    (run / "evaluation" / "validation.json").write_text(json.dumps(evaluation()))
    assert list(cells(text(run, split="validation"))) == ["ID + SimTier"]


@pytest.mark.parametrize("status", ["done", "running"])
def test_a_run_of_contrastive_learning_is_refused_in_one_line(tmp_path, status):
    runs = [write_run(tmp_path / "a", test_evaluation=evaluation()), write_run(tmp_path / "b", "scl", status=status)]
    with pytest.raises(
        InputError, match=r"^'.*/b' is a run of contrastive learning.*; its Acc@N .*'.*metrics\.jsonl'$"
    ):
        text(*runs)


ROW = '{"kind": "train", "step": 1}\n'


@pytest.mark.parametrize(
    ("file", "content", "message"),
    [
        ("run.json", '{\n "name": "r",\n "mode": }', r"run\.json' is not readable JSON: .*line 3"),
        ("run.json", "[]", r"run\.json': top level: .*got \[\]"),
        ("metrics.jsonl", ROW + '{"kind": \n{}\n', r"metrics\.jsonl', line 2 is not readable JSON"),
        ("metrics.jsonl", ROW + '{"ki', r"metrics\.jsonl', line 2 is not readable JSON"),
        ("metrics.jsonl", "\n3\n", r"metrics\.jsonl', line 2: top level: .*got 3; restore the file"),
        ("evaluation/test.json", '{"overall": ', r"test\.json' is not readable JSON: .*line 1"),
        ("evaluation/test.json", "{}", r"test\.json': overall: Field required; make the evaluation again"),
        ("config.yaml", "a: [", r"config\.yaml' is not readable YAML"),
        ("config.yaml", "- a", r"config\.yaml' is not a mapping"),
    ],
)
def test_a_broken_file_is_named_with_its_line(tmp_path, file, content, message):
    run = write_run(tmp_path / "r", test_evaluation=evaluation())
    (run / file).write_text(content)
    with pytest.raises(InputError, match=message):
        text(run)
    assert not (run / "report.html").exists()


@pytest.mark.parametrize(
    ("file", "changes", "message"),
    [
        ("run.json", {"modes": 0.5}, r"run\.json': modes: .*got 0\.5; restore the file"),
        ("run.json", {"versions": "x"}, "versions: .*got 'x'"),
        ("run.json", {"examples_per_s": [1]}, r"examples_per_s: .*got \[1\]"),
        ("run.json", {"world_size": -1}, "world_size: .*got -1"),
        ("run.json", {"git": {"commit": 7}}, "git.commit: .*got 7"),
        (
            "evaluation/test.json",
            {"overall": {"auc": "0.7"}},
            r"auc: .*number, got '0\.7'; make the evaluation",
        ),
        ("evaluation/test.json", {"frequency_groups": [1]}, "frequency_groups.0: .*got 1"),
        ("evaluation/test.json", {"frequency_groups": [{"group": 1}]}, "frequency_groups.0.min_count: Field required"),
        ("evaluation/test.json", {"known_items": {"rows": 2**80}}, "known_items.rows: .*less than"),
        ("evaluation/test.json", {"reliability": [{"mean_prediction": float("nan"), "base_rate": 0}]}, "finite"),
        ("evaluation/test.json", {"reliability": {"x": 1}}, "reliability: .*list"),
    ],
)
def test_what_a_file_holds_is_checked(tmp_path, file, changes, message):
    run = write_run(tmp_path / "r", test_evaluation=evaluation())
    (run / file).write_text(json.dumps(json.loads((run / file).read_text()) | changes))
    with pytest.raises(InputError, match=message):
        text(run)


def test_what_diverged_is_undefined(tmp_path):
    nan, inf = float("nan"), float("inf")
    runs = [write_run(tmp_path / str(n), seed=n, test_evaluation=evaluation(auc=v, gauc=0.6)) for n, v in
            enumerate((nan, inf))]  # fmt: skip
    (row,) = (line.split("|") for line in text(*runs).splitlines() if "SimTier" in line and "|" in line)
    assert [cell.strip() for cell in row[2:5]] == ["0.6000 \u00b1 0.0000", "-", "-"]


def test_text_that_is_not_utf_8_and_a_missing_config(tmp_path):
    run = write_run(tmp_path / "r", test_evaluation=evaluation())
    (run / "metrics.jsonl").write_bytes(ROW.encode() + b"\xff\n")
    with pytest.raises(InputError, match=r"metrics\.jsonl', line 2 is not readable JSON: .*utf-8"):
        text(run)
    (run / "config.yaml").unlink()
    (run / "metrics.jsonl").unlink()
    with pytest.raises(InputError, match=r"config\.yaml' is missing"):
        text(run)


def test_a_place_that_cannot_be_written(tmp_path):
    run = write_run(tmp_path / "r", test_evaluation=evaluation())
    with pytest.raises(InputError, match=r"--out '.*run\.json' is a file; name a folder"):
        report(run, "--out", run / "run.json")
    (run / "report.html").mkdir()
    with pytest.raises(InputError, match=r"cannot write '.*report\.html' \(Is a directory"):
        report(run)


def test_help_needs_nothing_heavy():
    code = "import sys, train.report; print(sorted({'torch', 'matplotlib', 'jinja2', 'numpy'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


def test_a_report_needs_no_torch(tmp_path):
    run = write_run(tmp_path / "r", test_evaluation=evaluation())
    code = f"""
import sys
from train.__main__ import main
main(["report", {str(run)!r}], standalone_mode=False)
print(sorted({{"torch", "pyarrow", "pandas"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-2:] == [f"report: {run / 'report.html'}", "[]"]


def test_a_real_evaluation_can_be_reported(tmp_path):
    import numpy as np

    from recsys.metrics import evaluate_predictions

    random = np.random.default_rng(0)
    logits, users = random.normal(size=500), random.integers(0, 40, 500)
    labels, counts = random.random(500) < 0.3, random.integers(0, 30, 500)
    real = {"split": "test", "epoch": 1, **evaluate_predictions(labels, logits, users, counts)}
    runs = [write_run(tmp_path / m, m, test_evaluation=real) for m in ("none", "simtier")]
    assert cells(report(*runs))["ID + SimTier"]["gain over ID"] == "+0.00 %"
    assert list(Page(tmp_path / "report.html").images) == PLOTS
