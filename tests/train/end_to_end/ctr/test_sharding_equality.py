"""One rank and two ranks, whatever the sharding plan, see the same losses on the same global batches."""

import json
from pathlib import Path

import numpy as np
import pytest

from embeddings.planner.sharding_types import SHARDING_TYPES
from tests.train import tiny
from tests.train.launch import finished, start_launched_ranks

BATCH = 16
QUICK = {"table_wise", "row_wise", "column_wise"}
ROW_TYPES = {"table_wise", "row_wise", "table_row_wise", "data_parallel"}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Data for two ranks, and the same global batches laid out for one."""
    root = tmp_path_factory.mktemp("plans")
    for_two = tiny.make_data(root / "two")
    for_one = tiny.make_data(root / "one")
    tiny.write_split(for_one, "train", tiny.interleaved(tiny.rows(512, 0), 2, BATCH))
    (root / "config.yaml").write_text(
        "data: {path: none, shuffle_rows: 0}\nmodel: {embedding_dim: 16}\n"
        "dense_optimizer: {lr: 0.003}\nsparse_optimizer: {lr: 0.1}\n"
        "train: {epochs: 2, log_every: 1, warmup_steps: 3}\nprocess: {device: cpu, threads: 1}\n"
    )
    return {1: for_one, 2: for_two}


def run(folders: dict[int, Path], ranks: int, jobs: dict[str, list[str]]) -> dict[str, tuple[list[float], dict]]:
    """Train each job on ``ranks`` ranks in one launch: name -> (loss of every step, plan)."""
    root = folders[1].parent
    common = [
        f"data.path={folders[ranks]}",
        f"data.batch_size={BATCH * 2 // ranks}",
        f"run.root={root}",
        "run.overwrite=true",
    ]
    plan = [
        {"config": str(root / "config.yaml"), "overrides": [*common, f"run.name={name}-{ranks}", *overrides]}
        for name, overrides in jobs.items()
    ]
    (root / "jobs.json").write_text(json.dumps(plan))
    done = finished(start_launched_ranks(ranks, root / "jobs.json", module="tests.train.ctr.plans_worker"), 300)
    assert done.status == 0, done.err[-20000:]
    result = {}
    for name in jobs:
        folder = root / f"{name}-{ranks}"
        metrics = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        losses = [row["loss"] for row in metrics if row["kind"] == "train"]
        result[name] = losses, json.loads((folder / "plan.json").read_text())["tables"]
    return result


def forced(kind: str, optimizer: str) -> list[str]:
    """Overrides that leave the planner one sharding type for every table, of bags and of sequences."""
    tables = ("user", "tag", "item")
    return [
        f"sparse_optimizer.name={optimizer}",
        *(f"sharding.tables.{t}.sharding_types=[{kind}]" for t in tables),
        *(f"sharding.tables.{t}.min_partition=8" for t in tables),
    ]


def check(folders: dict[int, Path], kinds: set[str], optimizer: str, *more: str) -> list[float]:
    """The losses of one rank, once they are those of two ranks under each of ``kinds``."""
    jobs = {f"{optimizer}-alone": [f"sparse_optimizer.name={optimizer}", *more]}
    alone, _ = run(folders, 1, jobs)[f"{optimizer}-alone"]
    pairs = run(folders, 2, {f"{optimizer}-{kind}": [*forced(kind, optimizer), *more] for kind in sorted(kinds)})
    assert len(alone) == 32 and np.mean(alone[-8:]) < np.mean(alone[:8]) - 0.01, "nothing was learnt"
    for kind in kinds:
        losses, plan = pairs[f"{optimizer}-{kind}"]
        assert {plan[t]["sharding_type"] for t in ("user", "tag", "item")} == {kind}
        np.testing.assert_allclose(losses, alone, rtol=2e-5, err_msg=kind)
    return alone


def test_every_plan_of_two_ranks_equals_one_rank(folders: dict[int, Path]) -> None:
    check(folders, QUICK, "adagrad")


@pytest.mark.slow
def test_row_types_keep_rowwise_adagrad(folders: dict[int, Path]) -> None:
    # column-wise is left out on purpose: each column shard of RowWiseAdagrad has an accumulator of its own
    check(folders, ROW_TYPES, "rowwise_adagrad")


@pytest.mark.slow
def test_every_other_type_equals_one_rank(folders: dict[int, Path]) -> None:
    check(folders, set(SHARDING_TYPES) - QUICK, "adagrad")


@pytest.mark.slow
@pytest.mark.parametrize(("optimizer", "kinds"), [("adagrad", set(SHARDING_TYPES)), ("rowwise_adagrad", ROW_TYPES)])
def test_tables_that_are_reset_equal_one_rank(folders: dict[int, Path], optimizer: str, kinds: set[str]) -> None:
    reset = check(folders, kinds, optimizer, "train.reset_tables=each_epoch")
    kept, _ = run(folders, 1, {"kept": [f"sparse_optimizer.name={optimizer}"]})["kept"]
    assert reset[:16] == kept[:16] and reset[16] > kept[16], "the second epoch begins with new tables"
