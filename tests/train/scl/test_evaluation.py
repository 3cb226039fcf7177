"""Evaluation by Acc@N: what queries are compared with, and how many are the nearest to their item."""

import pyarrow.parquet as pq
import pytest

from tests.train.scl import tiny
from train.config import load_settings
from train.scl.config import SCLConfig
from train.scl.task import SCLTask


@pytest.fixture
def task(config, ranks):
    """Builds the task of the tiny config with overrides."""
    return lambda *overrides: SCLTask(load_settings(SCLConfig, str(config), overrides), ranks)


def test_an_evaluation_encodes_as_many_at_once_as_the_config_says(task):
    built, sizes = task("data.eval_batch_size=6"), []
    built.towers.query.register_forward_pre_hook(lambda module, given: sizes.append(given[0].size(0)))
    built.evaluate("validation", lambda rows: None)
    assert sizes == [4, 6, 6, 1], "the four items, and then thirteen queries"


@pytest.mark.parametrize(("candidates", "count"), [("positives", 2), ("items", 4)])
def test_queries_are_compared_with_the_splits_positives_or_with_all_items(task, own_pairs, candidates, count):
    path = own_pairs / "validation" / "part-0.parquet"
    table = pq.read_table(path)
    two = [i in list(tiny.COLOURS)[:2] for i in table["item"].to_pylist()]
    pq.write_table(table.filter(two), path)
    assert task(f"data.candidates={candidates}").evaluate("validation", lambda rows: None)["candidates"] == count
