"""The planner's command line."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

SCHEMA = """
user: user
tables: {item: {num_embeddings: 30000000}, user: {num_embeddings: 1000}}
features:
  - {name: user, kind: id, table: user}
  - {name: item, kind: id, table: item}
  - {name: history, kind: sequence, table: item, target: item, max_length: 50}
modalities: {text: {store: frozen/text, target: item, history: history}}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("planned")
    (root / "schema.yaml").write_text(SCHEMA)
    (root / "run.yaml").write_text(f"data: {{path: {root}}}\n")
    (root / "assume.yaml").write_text("lengths: {history: 20}\nfrozen: {text: {count: 1000000, width: 64}}\n")
    return root


@pytest.fixture
def plan(folder: Path):
    """Runs the command in this process: (exit status, stdout, stderr)."""
    from train.__main__ import run
    from train.commands.plan import command

    def call(capsys: pytest.CaptureFixture, *arguments: str) -> tuple[int, str, str]:
        old = sys.argv
        sys.argv = ["plan", "--config", str(folder / "run.yaml"), "--assume", str(folder / "assume.yaml"), *arguments]
        try:
            status = run(command, "plan")
        finally:
            sys.argv = old
        said = capsys.readouterr()
        return status, said.out, said.err

    return call


def test_report_names_tables_ranks_and_where_the_time_goes(plan, capsys) -> None:
    status, out, _ = plan(capsys, "--world-size", "4", "--hardware", "h100-80")
    assert status == 0
    assert out.startswith("4 ranks of h100-80, 1 host of 4; 1,024 rows a rank, rowwise_adagrad")
    for pattern in (
        r"^item +30,000,000 x 16 +row_wise +fused +0-3 +1\.\d\d GiB +0\.\d\d GiB",
        r"^text +1,000,000 x 64 int8 +replicated +64\.8 MiB +64\.8 MiB of it",
        r"^rank +tables +dense part +activations +frozen +in all +of capacity +checkpoint's copy +host's share +ms of",
        r"^3 +0\.\d\d GiB",
        r"^capacity of a rank: 70\.00 GiB of 80 GiB; 10 % spare and 2 GiB of the process left out",
        r"^critical rank \d: .* imbalance \d\.\d\d; fullest rank \d",
        r"^step [\d.]+ ms: dense [\d.]+, frozen [\d.]+, exchanges [\d.]+, tables [\d.]+; [\d,]+ examples/s",
        r"^speeds: from data sheets, not measured",
    ):
        assert re.search(pattern, out, re.MULTILINE), pattern


def test_many_ranks_are_summed_up(plan, capsys) -> None:
    _, few, _ = plan(capsys, "--world-size", "64", "--hardware", "l4")
    assert "the 8 fullest of 64 ranks; the emptiest holds" in few
    _, every, _ = plan(capsys, "--world-size", "64", "--hardware", "l4", "--every-rank")
    assert re.search(r"^63 ", every, re.MULTILINE) and "fullest of" not in every


def test_a_plan_is_written_read_and_compared(plan, capsys, tmp_path: Path) -> None:
    first, second = str(tmp_path / "first.json"), str(tmp_path / "new" / "second.json")
    base = ("--world-size", "2", "--hardware", "a100-80")
    assert plan(capsys, *base, "--out", first)[0] == 0
    assert json.loads(Path(first).read_text())["tables"]["item"]["sharding_type"] == "row_wise"
    whole = "sharding.tables.item.sharding_types=[table_wise]"
    status, out, _ = plan(capsys, *base, "--diff", first, "--out", second, whole)
    assert status == 0
    assert re.search(r"^item +row_wise -> table_wise +fused +0-1 -> \d +", out, re.MULTILINE)
    assert "step: " in out and "fullest rank: " in out
    _, again, _ = plan(capsys, *base, "--plan", second, "--diff", second)
    assert again.startswith("no table is placed differently")
    _, read, _ = plan(capsys, *base, "--plan", second)
    assert re.search(r"^item .* table_wise", read, re.MULTILINE)


def test_a_plan_of_another_model_is_refused(plan, capsys, tmp_path: Path) -> None:
    path = str(tmp_path / "plan.json")
    base = ("--world-size", "2", "--hardware", "a100-80")
    plan(capsys, *base, "--out", path)
    status, _, err = plan(capsys, *base, "--plan", path, "model.embedding_dim=32")
    assert status == 2 and "do not cover 30000000 x 32 once, as row_wise does on ranks 0 to 1; plan again" in err
    status, _, err = plan(capsys, "--world-size", "4", "--hardware", "a100-80", "--plan", path)
    assert status == 2 and "is for world size 2, this run has 4" in err


def test_find_world_size(plan, capsys) -> None:
    status, out, _ = plan(
        capsys, "--find-world-size", "--hardware", "l4", "model.embedding_dim=512", "data.eval_batch_size=1"
    )
    match = re.match(r"the smallest world size that fits: (\d+) of l4\n", out)
    assert status == 0 and match and match[1] == "3"  # 57.2 GiB of table, 20.1 GiB a device
    assert f"{match[1]} ranks of l4" in out


def test_nothing_fits(plan, capsys) -> None:
    status, out, err = plan(capsys, "--world-size", "1", "--hardware", "l4", "model.embedding_dim=512")
    assert status == 2 and out == ""
    assert err.startswith("error: no plan fits 1 rank of l4: ")
    assert re.search(r"^  1\. .*\n  2\. .*\n  3\. ", err, re.MULTILINE)


def test_explain(plan, capsys) -> None:
    base = ("--world-size", "4", "--hardware", "h100-80")
    _, out, _ = plan(capsys, *base, "--explain", "item")
    assert re.search(r"^row_wise +fused .* taken$", out, re.MULTILINE)
    assert re.search(r"^table_wise +fused .* \+[\d.]+ ms, \+[\d.]+ %$", out, re.MULTILINE)
    assert re.search(r"^grid_shard +fused .* \+[\d.]+ ms, \+[\d.]+ %$", out, re.MULTILINE)
    assert re.search(r"^column_wise +one block: no width from 32 up divides it", out, re.MULTILINE)
    status, _, err = plan(capsys, *base, "--explain", "itm")
    assert status == 2 and "no table 'itm'; did you mean 'item'" in err
    _, out, _ = plan(capsys, *base, "--explain", "item", "sharding.tables.item.sharding_types=[row_wise]")
    assert re.search(r"^table_wise +left out by sharding", out, re.MULTILINE)


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "give --world-size N, or --find-world-size"),
        (("--world-size", "2", "--find-world-size"), "give --world-size N, or --find-world-size"),
        (("--world-size", "12", "--hardware", "h100-80"), "world size 12 is no multiple of the 8 ranks of a host"),
        (("--world-size", "2", "--hardware", "h100"), "no shipped part"),
        (("--world-size", "2", "--assume", "no.yaml"), "'no.yaml' does not exist"),
        (("--world-size", "2", "--plan", "no.json"), "plan 'no.json' does not exist"),
        (("--world-size", "2", "--out", "plans/"), "--out 'plans/' is a folder; name a file in it"),
    ],
)
def test_mistakes(plan, capsys, arguments: tuple[str, ...], says: str) -> None:
    status, _, err = plan(capsys, *arguments)
    assert status == 2 and says in err and "Traceback" not in err


def test_data_that_is_not_here_is_said(folder: Path, tmp_path: Path) -> None:
    """In a process of its own, as a user starts it."""
    (tmp_path / "assume.yaml").write_text("frozen: {text: {count: 1000, width: 64}}\n")
    command = [sys.executable, "-m", "embeddings.plan", "--config", str(folder / "run.yaml"), "--world-size", "2"]
    done = subprocess.run(
        [*command, "--assume", str(tmp_path / "assume.yaml")], cwd=ROOT, capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert "note: length of 'history': its max_length, 50; there is no data to ask" in done.stderr
    assert "2 ranks of cpu-host, 1 host of 2" in done.stdout


def test_explain_on_cpu_says_what_the_rule_for_small_tables_costs(plan, capsys) -> None:
    _, out, _ = plan(capsys, "--world-size", "2", "--hardware", "cpu-host", "--explain", "user")
    assert re.search(r"^table_wise +fused .* taken$", out, re.MULTILINE)
    for kind in ("row_wise", "data_parallel", "grid_shard"):
        assert re.search(rf"^{kind} +\w+ .* [+-][\d.]+ ms, [+-][\d.]+ %, but left out$", out, re.MULTILINE), kind
    assert out.rstrip().endswith(
        "with fewer than 32 ids an example stays whole unless sharding.tables.user says more, or nothing fits else"
    )


def test_plans_of_other_world_sizes_are_compared(plan, capsys, tmp_path: Path) -> None:
    for ranks in ("1", "2"):
        assert plan(capsys, "--world-size", ranks, "--out", str(tmp_path / f"{ranks}.json"))[0] == 0
    for here, there in (("1", "2"), ("2", "1")):
        status, out, _ = plan(capsys, "--world-size", here, "--diff", str(tmp_path / f"{there}.json"))
        assert status == 0 and f"ranks: {there} -> {here}" in out
    both = ("--diff", str(tmp_path / "1.json"), "--explain", "user")
    status, out, _ = plan(capsys, "--world-size", "2", *both)
    assert status == 0 and "ranks: 1 -> 2" in out and "taken" in out
    status, _, err = plan(capsys, "--find-world-size", "--plan", str(tmp_path / "1.json"))
    assert status == 2 and "--plan is of one world size" in err


def test_a_store_that_is_not_here_can_be_assumed(folder: Path, plan, capsys) -> None:
    (folder / "lengths.yaml").write_text("lengths: {history: 20}\n")
    status, _, err = plan(capsys, "--world-size", "2", "--assume", str(folder / "lengths.yaml"))
    assert status == 2 and "--assume FILE: frozen: {text: {count: 1000000, width: 128, dtype: int8}}" in err
