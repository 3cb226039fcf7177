"""Input of the sharding planner: that of the run, or of what is assumed of data that is not here."""

from pathlib import Path

import pytest

from embeddings.errors import InputError
from recsys.schema import load_schema
from tests.train import tiny
from train.ctr.build_planner_input import AssumedStore, Assumptions, build_planner_input, facts, load_assumptions
from train.ctr.config import load_config


def test_planner_input_is_that_of_the_run(config, data: Path) -> None:
    run = load_config(str(config()), ("sparse_optimizer.name=adagrad", "sharding.tables.tag.min_partition=4"))
    schema = load_schema(str(data))
    lengths, stores, notes = facts(run, schema, Assumptions())
    planner_input = build_planner_input(run, schema, lengths, stores)
    tables = {t.name: (t.rows, t.columns, t.module, t.pooled) for t in planner_input.tables}
    assert tables == {
        "user": (tiny.USERS, 4, "sparse.bags", True),
        "item": (tiny.ITEMS, 4, "sparse.sequences", False),
        "tag": (16, 4, "sparse.bags", True),
    }
    assert notes == [] and planner_input.batch_size == 32 and planner_input.optimizer == "adagrad"
    assert planner_input.constraints["tag"].min_partition == 4
    (text,) = planner_input.frozen
    assert (text.rows, text.width, text.dtype, text.results) == (tiny.ITEMS, tiny.WIDTH, "float32", 20)
    assert 1 < text.mean_length < 6 and planner_input.table("item").mean_length == (1.0, text.mean_length)


@pytest.mark.parametrize(
    ("settings", "reads", "results"),
    [
        ((), 1, 20),
        (("model.multimodal.mode=make",), 2, 2 * tiny.WIDTH),
        (("model.multimodal.mode=simtier+make",), 3, 20 + 2 * tiny.WIDTH),
        (("model.multimodal.mode=make", "model.multimodal.make={frozen: true, run: x}"), 1, tiny.WIDTH),
        (("model.multimodal.mode=simscore", "model.multimodal.sa_ta=true"), 1, 0),
        (("model.multimodal.mode=simtier+make", "model.multimodal.sa_ta=true"), 3, 20 + 2 * tiny.WIDTH),
        (("model.multimodal.make={frozen: true, run: x}", "model.alone=text"), 2, 2 * tiny.WIDTH),
    ],
)
def test_how_often_vectors_are_read(config, data: Path, settings: tuple[str, ...], reads: int, results: int) -> None:
    run, schema = load_config(str(config()), settings), load_schema(str(data))
    (text,) = build_planner_input(run, schema, *facts(run, schema, Assumptions())[:2]).frozen
    assert (text.reads, text.results) == (reads, results)


def test_assumptions(config, data: Path, tmp_path: Path) -> None:
    run, schema = load_config(str(config())), load_schema(str(data))
    away = run.model_copy(update={"data": run.data.model_copy(update={"path": str(tmp_path / "away")})})
    with pytest.raises(InputError, match=r"length of 'tags' from; give it with --assume FILE: lengths: \{tags: 20\}"):
        facts(away, schema, Assumptions())
    assumed = Assumptions(lengths={"tags": 2.5}, frozen={"text": AssumedStore(count=7, width=3, dtype="float16")})
    lengths, stores, notes = facts(away, schema, assumed)
    assert lengths == {"tags": 2.5, "history": 6} and stores["text"].count == 7
    assert notes == ["length of 'history': its max_length, 6; there is no data to ask"]
    here, _, _ = facts(run, schema, assumed)
    assert here["tags"] == 2.5 and 1 < here["history"] < 6, "what is assumed goes before the data"
    with pytest.raises(InputError, match=r"--assume names \['tgs'\]"):
        facts(away, schema, Assumptions(lengths={"tgs": 1, "tags": 1}))
    (tmp_path / "assume.yaml").write_text("frozn: {}\n")
    with pytest.raises(InputError, match="unknown key 'frozn'; did you mean 'frozen'"):
        load_assumptions(str(tmp_path / "assume.yaml"))
