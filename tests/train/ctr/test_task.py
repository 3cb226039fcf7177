"""What the settings of a CTR run mean beyond its parts: the best epoch, logged learning rates, MAKE's own section."""

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from embeddings.frozen.store import FrozenStore
from embeddings.index.create_index import create_index
from embeddings.index.index_writer import IndexWriter
from recsys.metrics import compute_metrics
from tests.train import tiny
from tests.train.launch import about, cli, one_line, rows
from train.ctr import task

# The metrics of three validations, by name: each has another best epoch than a rule of the wrong direction.
SCORES = {"gauc": (0.5, 0.7, 0.6), "auc": (0.6, 0.5, 0.7), "ne": (0.9, 0.8, 1.0), "log_loss": (0.4, 0.6, 0.5)}
BEST = {"gauc": 2, "auc": 3, "ne": 2, "log_loss": 1}


@pytest.mark.parametrize("name", SCORES)
def test_the_selected_metric_picks_the_best_epoch(config, tmp_path, monkeypatch, name):
    validations = iter(range(3))

    def scripted(*arguments):
        turn = next(validations, 0)
        return compute_metrics(*arguments) | {metric: values[turn] for metric, values in SCORES.items()}

    monkeypatch.setattr(task, "compute_metrics", scripted)
    settings = (f"train.select={name}", "train.epochs=3", "data.batch_size=384", "data.test=null")
    done = cli("ctr", "--config", config(), *settings)
    assert done.status == 0, done.err
    assert about(tmp_path / "runs" / "run")["best_epoch"] == BEST[name]


@pytest.mark.parametrize("select", ["gauc", "auc", "ne"])
def test_a_metric_that_validation_cannot_have_is_refused_before_the_first_step(config, own_data, tmp_path, select):
    path = own_data / "validation" / "part-0.parquet"
    table = pq.read_table(path)
    pq.write_table(table.set_column(0, "label", pa.array(np.zeros(table.num_rows, np.int8))), path)
    settings = (f"train.select={select}", "train.epochs=1", "data.test=null")
    why = f"split 'validation' has no {select}: all 200 rows have label 0; set train.select to log_loss, or data.valid"
    one_line(cli("ctr", "--config", config(own_data), *settings), why)
    assert not any((tmp_path / "runs" / "run").iterdir()), "nothing was begun, so the name is free"
    assert cli("ctr", "--config", config(own_data), *settings[1:], "train.select=log_loss").status == 0


def test_users_of_one_row_each_have_no_gauc(config, own_data):
    path = own_data / "validation" / "part-0.parquet"
    table = pq.read_table(path)
    pq.write_table(table.set_column(1, "user", pa.array(np.arange(table.num_rows) % tiny.USERS)).slice(0, 40), path)
    done = cli("ctr", "--config", config(own_data), "train.select=gauc", "data.test=null")
    one_line(done, "no gauc: no user has both labels in 40 rows; set train.select to auc, ne or log_loss, or data.")


def test_learning_rates_are_logged_as_they_rise(config, tmp_path):
    rates = ("dense_optimizer.lr=0.6", "sparse_optimizer.lr=1.2", "train.warmup_steps=5", "train.clip_grad_norm=0.001")
    done = cli("ctr", "--config", config(), *rates, "train.epochs=1", "data.test=null")
    assert done.status == 0, done.err
    logged = [(row["lr_dense"], row["lr_sparse"]) for row in rows(tmp_path / "runs" / "run")]
    wanted = [min(1.0, step / 6) for step in range(2, 14)]  # of the step that comes
    assert logged == [pytest.approx((0.6 * share, 1.2 * share)) for share in wanted]


def test_a_live_index_of_the_same_vectors_gives_the_same_losses(config, own_data, tmp_path):
    settings = ("train.max_steps=6", "data.test=null", "model.multimodal.mode=simtier+make")
    assert cli("ctr", "--config", config(own_data), *settings, "run.name=store").status == 0
    folder = own_data / "frozen" / "text"
    store = FrozenStore.open(str(folder))
    with create_index(str(tmp_path / "index"), "text-1", store.width, store.dtype) as writer:
        writer.put_store(store, "text-1")
    folder.rename(tmp_path / "store")
    (tmp_path / "index").rename(folder)
    done = cli("ctr", "--config", config(own_data), *settings, "run.name=index")
    assert done.status == 0, done.err
    losses = [[row["loss"] for row in rows(tmp_path / "runs" / name)] for name in ("store", "index")]
    assert losses[0] == losses[1] and len(losses[0]) > 1
    assert about(tmp_path / "runs" / "index")["stores"] != about(tmp_path / "runs" / "store")["stores"]
    with IndexWriter(str(folder)) as writer:
        writer.add_encoder("text-2", store.width, store.dtype)
        writer.activate("text-2")
    done = cli("ctr", "--config", config(own_data), *settings, "run.name=index", "run.resume=true", "train.max_steps=9")
    one_line(done, "but the run was trained with")
