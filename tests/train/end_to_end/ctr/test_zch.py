"""ids: zch, refused without CUDA before any rank waits; through sharding, the same losses on one rank and two."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest
import torch
import yaml

from tests.train import tiny
from tests.train.launch import Done, finished, start, start_launched_ranks
from train.checkpoint.shard_files import ShardFiles
from train.checkpoint.shard_reader import read_shards
from train.checkpoint.shards import whole_tensor

BATCH = 16


@pytest.fixture
def data(tmp_path):
    """The tiny data with items and tags in large tables; ``folder(ranks)`` lays the same batches out for each."""

    def folder(ranks: int, ids: str = "zch"):
        path = tiny.make_data(tmp_path / f"{ids}-for-{ranks}", train_rows=256)
        if ranks == 1:
            tiny.write_split(path, "train", tiny.interleaved(tiny.rows(256, 0), 2, BATCH))
        schema = yaml.safe_load((path / "schema.yaml").read_text())
        schema["tables"]["item"] |= {"ids": ids, "num_embeddings": 2048}
        schema["tables"]["tag"] |= {"ids": ids, "num_embeddings": 4096}
        schema["features"].append({"name": "again", "column": "user", "kind": "id", "table": "tag"})
        (path / "schema.yaml").write_text(yaml.safe_dump(schema))
        return path

    (tmp_path / "config.yaml").write_text(
        f"data: {{path: {tmp_path}/zch-for-2, shuffle_rows: 0}}\nmodel: {{embedding_dim: 16}}\n"
        "sparse_optimizer: {name: adagrad, lr: 0.1}\ntrain: {epochs: 2, log_every: 1, warmup_steps: 3}\n"
        f"process: {{device: cpu, threads: 1}}\nrun: {{root: {tmp_path}/runs}}\n"
    )
    return folder


def launched(ranks: int, *arguments: object, module: str = "train") -> Done:
    return finished(start_launched_ranks(ranks, *arguments, module=module), 300)


@pytest.mark.slow
def test_two_ranks_without_cuda_end_with_one_line(data, tmp_path):
    data(2)
    done = launched(2, "ctr", "--config", tmp_path / "config.yaml")
    assert done.status != 0
    said = [line for line in done.err.splitlines() if "error: " in line and "ids: zch" in line]
    assert len(said) == 1 and "['item', 'tag']" in said[0] and "needs CUDA" in said[0] and "ids to hash" in said[0]
    assert not (tmp_path / "runs").exists()


def test_one_process_without_cuda(data, tmp_path):
    data(2)
    done = finished(start("ctr", "--config", tmp_path / "config.yaml"))
    assert done.status == 2 and done.err.startswith("error: tables ['item', 'tag'] have ids: zch")
    assert done.err.count("\n") == 1


def trained(data, tmp_path, ranks: int, ids: str) -> tuple[list[float], dict]:
    """Losses and plan of a run that stops once and resumes."""
    name = f"{ids}-on-{ranks}"
    common = [f"data.path={data(ranks, ids)}", f"data.batch_size={2 * BATCH // ranks}", f"run.name={name}"]
    jobs = [
        {"config": str(tmp_path / "config.yaml"), "overrides": [*common, last]}
        for last in ("train.max_steps=9", "run.resume=true")
    ]
    (tmp_path / "jobs.json").write_text(json.dumps(jobs))
    done = launched(ranks, tmp_path / "jobs.json", module="tests.train.end_to_end.ctr.zch_worker")
    assert done.status == 0, done.err[-8000:]
    run = tmp_path / "runs" / name
    rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return [row["loss"] for row in rows if row["kind"] == "train"], json.loads((run / "plan.json").read_text())[
        "tables"
    ]


@pytest.mark.slow
def test_zch_tables_on_one_rank_and_two_train_as_plain_ones_with_the_same_rows(data, tmp_path):
    plain, _ = trained(data, tmp_path, 1, "hash")
    assert len(plain) == 16 and np.std(plain) > 0.005
    for ranks in (1, 2):
        losses, plan = trained(data, tmp_path, ranks, "zch")
        assert plan["item"]["module"] == "sparse.managed_sequences" and plan["tag"]["module"] == "sparse.managed_bags"
        assert plan["item"]["sharding_type"] == plan["tag"]["sharding_type"] == "row_wise"
        np.testing.assert_allclose(losses, plain, rtol=2e-5)
    seen = pq.read_table(tmp_path / "zch-for-2" / "train" / "part-0.parquet")["item"].to_numpy()
    assert len(set(noted(tmp_path / "runs" / "zch-on-2"))) >= 0.9 * len(set(seen))


def noted(run) -> list[int]:
    """Ids that the newest checkpoint has for the rows of the item table."""
    kept = sorted((run / "checkpoints").glob("step-*"))[-1]
    files = ShardFiles(kept)
    (name,) = [n for n in files.index.tensors if n.endswith("item._hash_zch_identities")]
    ids = whole_tensor(name, torch.zeros(2048, 1, dtype=torch.int64))
    read_shards(kept, [ids])
    return [i for i in ids.tensor.flatten().tolist() if i != -1]


@pytest.mark.gpu
@pytest.mark.slow
def test_every_id_has_a_row_of_its_own_on_cuda(data, tmp_path):
    data(2)
    overrides = ["process.device=cuda", "data.batch_size=32", "train.epochs=1"]
    done = launched(1, "ctr", "--config", tmp_path / "config.yaml", *overrides)
    assert done.status == 0, done.err[-8000:]
    ids = noted(tmp_path / "runs" / "config")
    assert len(ids) == len(set(ids)) and 50 <= len(ids) <= tiny.ITEMS
    assert (tmp_path / "runs" / "config" / "evaluation" / "test.json").exists()
