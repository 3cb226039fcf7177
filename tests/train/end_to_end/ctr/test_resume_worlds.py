"""A run goes on with other ranks under another plan, as if it had never stopped."""

import json
from pathlib import Path

import pytest
import torch

from tests.train.launch import cli, finished, rows, start_launched_ranks

GLOBAL_BATCH = 32
TABLES = ("user", "item", "tag")


def planned(user: str, item: str, tag: str) -> list[str]:
    kinds = zip(TABLES, (user, item, tag), strict=True)
    return [f"sharding.tables.{table}.sharding_types=[{kind}]" for table, kind in kinds]


def trained(ranks: int, config: Path, *overrides: str):
    arguments = ["ctr", "--config", config, f"data.batch_size={GLOBAL_BATCH // ranks}", "model.dropout=0"]
    arguments += ["model.embedding_dim=8", *(f"sharding.tables.{t}.min_partition=4" for t in TABLES), *overrides]
    done = cli(*arguments) if ranks == 1 else finished(start_launched_ranks(ranks, *arguments), 200)
    assert done.status == 0, done.err
    return done


def figures(run: Path) -> torch.Tensor:
    train = [[r["step"], r["loss"], r["lr_dense"], r["lr_sparse"]] for r in rows(run)]
    return torch.tensor(train, dtype=torch.float64)


def kinds(run: Path) -> dict[str, str]:
    tables = json.loads((run / "plan.json").read_text())["tables"]
    return {name: table["sharding_type"] for name, table in tables.items()}


# rowwise_adagrad under column_wise keeps an accumulator for each column shard: another optimizer, by design.
PLANS = {
    "adagrad": [
        (2, planned("table_wise", "table_wise", "table_wise")),
        (1, planned("row_wise", "row_wise", "data_parallel")),
        (4, planned("column_wise", "column_wise", "row_wise")),
    ],
    "rowwise_adagrad": [
        (2, planned("data_parallel", "table_wise", "row_wise")),
        (1, planned("row_wise", "table_wise", "data_parallel")),
        (4, planned("table_wise", "row_wise", "data_parallel")),
    ],
}


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", PLANS)
def test_two_ranks_then_one_then_four(config, tmp_path, optimizer):
    path, runs, sparse = config(), tmp_path / "runs", f"sparse_optimizer.name={optimizer}"
    first, second, third = PLANS[optimizer]
    trained(first[0], path, sparse, "run.name=whole", *first[1])
    trained(first[0], path, sparse, "train.max_steps=5", *first[1])
    trained(second[0], path, sparse, "run.resume=true", "train.max_steps=14", *second[1])
    done = trained(third[0], path, sparse, "run.resume=true", *third[1])
    assert "resumed from step-00000014: epoch 2, step 14" in done.out
    assert "going on in the order of 2 ranks with 16 rows each" in done.err
    resumed, whole = figures(runs / "run"), figures(runs / "whole")
    assert len(whole) == 24 and kinds(runs / "run") != kinds(runs / "whole")
    torch.testing.assert_close(resumed, whole, rtol=2e-5, atol=0)
    scores = [json.loads((runs / r / "evaluation" / "test.json").read_text())["overall"] for r in ("run", "whole")]
    assert scores[0]["log_loss"] == pytest.approx(scores[1]["log_loss"], rel=1e-5)


def test_other_batches_on_one_rank(config, tmp_path):
    path, run = config(), tmp_path / "runs" / "run"
    assert cli("ctr", "--config", path, "train.epochs=1", "train.max_steps=5").status == 0
    done = cli("ctr", "--config", path, "run.resume=true", "data.batch_size=64")
    assert done.status == 0, done.err
    # 5 x 32 of 384 rows are done: 32 complete a step of 64, 3 more end the epoch, 6 make the next one
    assert [r["step"] for r in rows(run)] == list(range(1, 5 + 1 + 3 + 6 + 1))
