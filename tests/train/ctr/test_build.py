"""What the settings of data, model and loop make of a run's parts: readers, tables, first weights, dtypes."""

import dataclasses

import pyarrow.parquet as pq
import pytest
import torch

from embeddings.errors import InputError
from recsys.features.frozen_stores import open_stores
from tests.train import tiny
from tests.train.ctr.in_process import QUIET, build_task, weights
from train.ctr import build as build_module
from train.ctr.config import load_config
from train.data import reader as reader_module

pytestmark = QUIET


@pytest.fixture
def task(config, ranks):
    """Builds the task of the small config with overrides."""
    return lambda *overrides: build_task(config(), ranks, *overrides)


def labels_and_prices(reader) -> list[float]:
    """The rows of an epoch, by a number that differs in each."""
    return [price for batch in reader.epoch(0) for price in batch.dense[:, 0].tolist()]


def test_batches_have_their_sizes_in_training_and_in_evaluation(task):
    built = task("data.batch_size=48", "data.eval_batch_size=70")
    assert [b.labels.numel() for b in built.reader.epoch(0)] == [48] * 8
    for split in ("validation", "test"):
        assert [b.labels.numel() for b in built._evaluated[split].epoch(0)] == [70, 70, 60]


def test_training_rows_are_shuffled_by_the_seed_and_others_are_not(task):
    files = labels_and_prices(task("data.shuffle_rows=0").reader)
    one, again = (labels_and_prices(task().reader) for _ in range(2))
    other = labels_and_prices(task("train.seed=1").reader)
    wider = labels_and_prices(task("data.shuffle_rows=300").reader)
    assert one == again and len({tuple(rows) for rows in (files, one, other, wider)}) == 4
    assert sorted(files) == sorted(one) == sorted(other)
    evaluated = [labels_and_prices(task(*more)._evaluated["test"]) for more in ((), ("train.seed=1",))]
    assert evaluated[0] == evaluated[1]


def test_every_split_is_read_by_its_name(task, data, own_data):
    (own_data / "train").rename(own_data / "learn")
    (own_data / "validation").rename(own_data / "judge")
    (own_data / "test").rename(own_data / "report")
    built = task(f"data.path={own_data}", "data.train=learn", "data.validation=judge", "data.test=report")
    assert (built.reader.split, sorted(built._evaluated)) == ("learn", ["judge", "report"])
    assert list(task("data.test=null")._evaluated) == ["validation"]


def test_as_many_threads_read_ahead_as_far_as_they_are_told(task, monkeypatch):
    started = []

    class Watched(reader_module.PrefetchThread):
        def __init__(self, results, prefetch, name):
            started.append((name, prefetch))
            super().__init__(results, prefetch, name)

    monkeypatch.setattr(reader_module, "PrefetchThread", Watched)
    built = task("data.workers=3", "data.prefetch=5")
    built.reader.epoch(0).close()
    assert started == []
    labels_and_prices(built.reader)
    assert started == [(f"reader-train-{worker}", 5) for worker in range(3)]


def test_rows_that_cannot_be_read_are_skipped_where_the_config_says_so(task, own_data):
    path = own_data / "train" / "part-0.parquet"
    content = bytearray(path.read_bytes())
    chunk = pq.ParquetFile(path).metadata.row_group(2).column(0)
    start = chunk.dictionary_page_offset or chunk.data_page_offset
    content[start : start + 8] = b"\xff" * 8
    path.write_bytes(content)
    prices = labels_and_prices(task(f"data.path={own_data}", "data.on_corrupt=skip").reader)
    assert len(prices) == 384 and len(set(prices)) == 384 - 64, "a row group's rows have fillers in their place"
    with pytest.raises(InputError, match=r"part-0\.parquet"):
        labels_and_prices(task(f"data.path={own_data}").reader)


def test_first_weights_go_by_the_seed(task):
    one, again, other = (weights(task(f"train.seed={seed}")) for seed in (0, 0, 1))
    assert all(torch.equal(value, again[name]) for name, value in one.items())
    drawn = [name for name, value in one.items() if value.unique().numel() > 2]
    assert drawn and not any(torch.equal(one[name], other[name]) for name in drawn)


def test_ranks_have_the_same_first_weights_and_dropout_of_their_own(task, ranks, monkeypatch):
    """Dropout is drawn from torch's generator, which is seeded once the weights are there."""
    monkeypatch.setattr(build_module, "on_first", lambda ranks, action: action())

    def built(rank: int, seed: int) -> tuple[list[float], torch.Tensor]:
        base = task(f"train.seed={seed}")
        place = dataclasses.replace(ranks, rank=rank)
        trainable = build_module.build(base.schema, base.config, base.stores, {}, place)
        drawn = torch.rand(5).tolist()
        return drawn, trainable.model.state_dict()["dense.arch.over.layers.0.weight"]

    (first, weight), (second, same), (again, _), (otherwise, _) = built(0, 0), built(1, 0), built(0, 0), built(0, 7)
    assert first == again and first != second and first != otherwise
    assert torch.equal(weight, same)


@pytest.mark.parametrize(("autocast", "dtype"), [("off", torch.float32), ("bfloat16", torch.bfloat16)])
def test_the_dense_part_computes_in_the_dtype_of_autocast(task, autocast, dtype):
    built, seen = task(f"train.autocast={autocast}"), []
    linear = built.trainable.model.module.dense.arch.over.layers[0]
    linear.register_forward_hook(lambda module, given, result: seen.append(result.dtype))
    batches = built.reader.epoch(0)
    built.trainable.model(next(batches))
    batches.close()
    assert seen == [dtype]


def test_tables_have_the_width_and_the_plan_that_the_config_says(task):
    built = task("model.embedding_dim=24", "sharding.sharding_types=[row_wise]",
                 "sharding.tables.tag={sharding_types: [column_wise], min_partition: 12}")  # fmt: skip
    shapes = {name.split(".")[-2]: value.shape[1] for name, value in weights(built).items() if "sparse." in name}
    assert shapes == {"user": 24, "item": 24, "tag": 12}, "of tag the first shard"
    types = {name: placed.sharding_type for name, placed in built.trainable.plan.tables.items()}
    assert types == {"user": "row_wise", "item": "row_wise", "tag": "column_wise"}


@pytest.mark.parametrize("placement", ["replicated", "host", "row_wise"])
def test_vectors_are_placed_where_the_config_says(task, placement):
    built = task("model.multimodal.mode=simtier", f"model.multimodal.placement={placement}")
    assert built.trainable.plan.frozen == {"text": placement}


def test_a_store_may_be_a_uri(monkeypatch) -> None:
    opened: list[str] = []
    monkeypatch.setattr("recsys.features.frozen_stores.open_vectors", opened.append)
    text = tiny.SCHEMA.modalities["text"].model_copy(update={"store": "s3://bucket/text"})
    schema = tiny.SCHEMA.model_copy(update={"modalities": {"text": text}})
    open_stores(schema, load_config("configs/shop.yaml").model, "data")
    open_stores(tiny.SCHEMA, load_config("configs/shop.yaml").model, "data")
    assert opened == ["s3://bucket/text", "data/frozen/text"]


def test_epochs_are_compared_by_one_metric_alone(small_config):
    config = load_config(str(small_config), ("train.select=auc",))
    for select, best in (("auc", 0.5), ("gauc", None)):
        build_module.check_select(config, {"config": {"train": {"select": select}}, "best": best})
    with pytest.raises(
        InputError, match=r"train.select is auc, but the run's best epoch so far was chosen by gauc; set"
    ):
        build_module.check_select(config, {"config": {"train": {"select": "gauc"}}, "best": 0.5})
