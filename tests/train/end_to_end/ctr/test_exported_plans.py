"""Whatever ranks and plan a run had, its export scores as predict does on the run."""

import json
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest

from recsys.exported.model import ExportedModel
from recsys.exported.versions import Versions
from tests.train import tiny
from tests.train.launch import cli, finished, start_launched_ranks

# Sharding type -> what its model sees of the vectors: runs of the one are those of the other too
PLANS = {
    "row_wise": "mode=simtier",
    "column_wise": "mode=vector",
    "table_wise": "mode=simscore",
    "data_parallel": "mode=make",
    "grid_shard": "mode=simtier+make",
    "table_row_wise": "sa_ta=true",  # and SimTier, as the config has it
    "table_column_wise": "mode=none",
}


def logits(*arguments: object, out: Path) -> np.ndarray:
    done = cli("predict", *arguments, "--out", out)
    assert done.status == 0, done.err
    p = pq.read_table(out)["score"].to_numpy().astype(np.float64)
    return np.log(p / (1 - p))


@pytest.mark.slow
def test_runs_of_two_ranks_under_every_plan_and_of_every_mode(tmp_path):
    data = tiny.make_data(tmp_path / "data", train_rows=128)
    (tmp_path / "config.yaml").write_text(
        f"data: {{path: {data}, shuffle_rows: 0, batch_size: 16}}\n"
        "model: {embedding_dim: 16, over_arch: [8], multimodal: {mode: simtier, num_tiers: 4, make: {hidden: [4]}}}\n"
        "train: {warmup_steps: 3, select: auc}\nsparse_optimizer: {lr: 0.1}\n"
        f"process: {{device: cpu, threads: 1}}\nrun: {{root: {tmp_path / 'runs'}}}\n"
    )
    jobs = []
    for kind, modality in PLANS.items():
        overrides = [f"run.name={kind}", f"model.multimodal.{modality}"]
        for table in ("user", "tag", "item"):
            overrides += [f"sharding.tables.{table}.{s}" for s in (f"sharding_types=[{kind}]", "min_partition=8")]
        jobs.append({"config": str(tmp_path / "config.yaml"), "overrides": overrides})
    (tmp_path / "jobs.json").write_text(json.dumps(jobs))
    done = finished(start_launched_ranks(2, tmp_path / "jobs.json", module="tests.train.ctr.plans_worker"), 300)
    assert done.status == 0, done.err[-20000:]
    for kind in PLANS:
        run, model = tmp_path / "runs" / kind, tmp_path / "models" / kind
        plan = json.loads((run / "plan.json").read_text())["tables"]
        assert {plan[t]["sharding_type"] for t in ("user", "tag", "item")} == {kind}
        done = cli("export", run, "--out", model)
        assert done.status == 0, done.err
        wanted = logits(run, out=tmp_path / "scores" / kind)
        got = logits("--model", model, "--data", data, out=tmp_path / "model-scores" / kind)
        assert np.abs(got - wanted).max() < 1e-5 and wanted.std() > 1e-3, kind
        users = ExportedModel.open(model / Versions(model).current(), {}).tables["user"].trained(np.arange(tiny.USERS))
        read = set(pq.read_table(data / "train")["user"].to_pylist())
        assert set(np.flatnonzero(users).tolist()) == read, kind
    done = finished(start_launched_ranks(2, "predict", "--model", model, "--data", data, "--out", tmp_path / "two"))
    assert done.status == 0, done.err
    assert [p.name for p in sorted((tmp_path / "two").iterdir())] == ["part-00000.parquet", "part-00001.parquet"]
    p = pq.read_table(tmp_path / "two")["score"].to_numpy().astype(np.float64)
    assert np.abs(np.log(p / (1 - p)) - got).max() < 1e-5
