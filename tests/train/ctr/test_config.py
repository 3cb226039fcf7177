"""Settings of a CTR run: mistakes in them, settings of a modality, old names, names that the schema does not have."""

import json

import pytest

from embeddings import validation
from recsys.models.arch_config import make_alone
from tests.train.launch import cli
from tests.train.refused import refused
from train.ctr.config import load_config


def test_modality_settings(small_config):
    model = load_config(str(small_config), ("model.modalities.image.mode=simtier",)).model
    assert [model.modality_config(name).mode for name in ("image", "text")] == ["simtier", "vector"]


def test_the_section_of_make_is_overridden_by_its_keys_too(small_config):
    given = ("train.epochs=2", "make.train.epochs=3")
    assert load_config(str(small_config), given).train.epochs == 2
    assert load_config(str(small_config), given, command="make").train.epochs == 3


@pytest.mark.parametrize(
    ("override", "part"),
    [
        ("model.multimodal.tiers=1", "unknown key 'model.multimodal.tiers'; did you mean 'num_tiers'?"),
        ("model.modalities.image.mod=none", "unknown key 'model.modalities.image.mod'; did you mean 'mode'?"),
        ("model.attention.hiden=[1]", "unknown key 'model.attention.hiden'; did you mean 'hidden'?"),
        ("sharding.tables.item.sharding_type=[row_wise]", "did you mean 'sharding_types'?"),
        ("sharding.tables.item.sharding_types=[rowwise]", "'grid_shard', got 'rowwise'"),
        ("sparse_optimizer.name=adam", "sparse_optimizer.name: Input should be "),
        (
            "sparse_optimizer.weight_decay=0.1",
            "sparse_optimizer: weight_decay is 0.1, which FBGEMM",
        ),
        ("model.dropout=1", "model.dropout: Input should be less than 1, got 1"),
        ("model.multimodal.num_tiers=257", "less than or equal to 256, got 257"),
        ("model.over_arch=[]", "model.over_arch: List should have at least 1 item"),
        ("make.train.epohcs=10", "with its section 'make' over the rest: unknown key 'train.epohcs'; did you mean 'ep"),
        ("model=5", "model: keys are expected, such as key: value"),
    ],
)
def test_mistakes(small_config, override, part):
    text = refused(small_config, override)
    assert part in text, text


def test_a_weight_decay_of_0_for_tables_is_read(small_config):
    """Config files of runs have it from the time when it was a setting, without effect on CPU."""
    assert load_config(str(small_config), ("sparse_optimizer.weight_decay=0.0",)) == load_config(str(small_config))


def test_a_config_of_a_make_alone_of_old_is_of_arch_make(small_config, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(validation, "_SAID", set())
    full = {**load_config(str(small_config)).model.model_dump(exclude={"arch"}), "alone": "text"}
    (tmp_path / "old.yaml").write_text(json.dumps({"data": {"path": "somewhere"}, "model": full}))
    model = load_config(str(tmp_path / "old.yaml")).model
    assert (model.arch, model.modality, model.multimodal.mode) == ("make", "text", "vector")
    assert model == make_alone(load_config(str(small_config)).model, "text") and not model.has_tables
    assert capsys.readouterr().err.splitlines() == [
        "note: key 'model.alone' is now called 'model.arch: make' with 'model.modality: text'; the old name is read too"
    ]
    assert "unknown key 'model.over_arhc'" in refused(small_config, "model.alone=text", "model.over_arhc=[1]")
    assert "unknown key 'model.alone'" in refused(small_config, "model.arch=din", "model.alone=text")


@pytest.mark.parametrize(
    ("override", "words"),
    [
        ("model.modalities.txt.mode=none", "model.modalities names 'txt', which is not in the schema of"),
        ("model.alone=txt", "model.modality names 'txt', which is not in the schema of"),
        ("sharding.tables.itm.min_partition=4", "sharding.tables names 'itm', which is not in the schema of"),
    ],
)
def test_names_that_the_schema_does_not_have(config, override, words, tmp_path):
    for name in ("check", "ctr"):
        done = cli(name, "--config", config(), override)
        assert done.status == 2 and words in done.err and "did you mean '" in done.err
    done = cli("check", "--config", config(), "sharding.tables.qqqq.min_partition=4")
    assert "; schema.yaml has ['item', 'tag', 'user']" in done.err
