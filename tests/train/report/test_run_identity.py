"""Which runs share a row of the report, and which settings tell them apart."""

import typing

import pytest
from pydantic import BaseModel

import train.ctr.config
from recsys.models.registry import ARCHITECTURES
from tests.train.report.run_folders import cells, evaluation, text, write_run
from train.ctr.config import Config, TrainConfig

# Leaves of the config that cannot change what the report shows, each for the reason that train/report/run_identity.py
# gives. A leaf belongs here only where that is certain: all others tell runs apart.
WITHOUT_EFFECT = {
    "data.prefetch",
    "train.seed",
    "train.log_every",
    "train.checkpoint_every",
    "train.checkpoint_minutes",
    "train.keep",
    "process.device",
    "process.threads",
    "process.timeout_s",
    "process.grace_s",
    "run.name",
    "run.root",
    "run.resume",
    "run.overwrite",
    "make",
}

# Every part of the model is in use, so every setting has an effect; two modalities, one of them with its own settings.
EVERYTHING = {
    "data": {"path": "data/shop"},
    "model": {
        "interaction": "dcn",
        "multimodal": {"mode": "simtier+make", "sa_ta": True, "make": {"run": "runs/m", "epoch": 2}},
        "modalities": {"image": {"mode": "simtier+make", "sa_ta": True, "make": {"run": "runs/m", "epoch": 2}}},
    },
    "sharding": {"tables": {"item": {"sharding_types": ["row_wise"]}}},
    "run": {"name": "r"},
}
MODES = {"image": "simtier+make+sa_ta", "text": "simtier+make+sa_ta"}


def leaves(settings, prefix=""):
    """(dotted key, value, its type) of every setting below a pydantic model.

    Without model.arch: another architecture has another title, and other keys. Without the weight decay that may be 0
    alone.
    """
    for name, field in type(settings).model_fields.items():
        if f"{prefix}{name}" in ("model.arch", "sparse_optimizer.weight_decay"):
            continue
        value, key = getattr(settings, name), f"{prefix}{name}"
        named = value.items() if isinstance(value, dict) else ()
        if isinstance(value, BaseModel):
            yield from leaves(value, f"{key}.")
        elif any(isinstance(v, BaseModel) for _, v in named):
            for other, inner in named:
                yield from leaves(inner, f"{key}.{other}.")
        else:
            yield key, value, field.annotation


def other_value(value, annotation):
    """Another value that a setting may have."""
    options = typing.get_args(annotation)
    if typing.get_origin(annotation) is typing.Literal:
        return next(o for o in options if o != value)
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1 if isinstance(value, int) else value / 2 + 0.1
    if isinstance(value, str):
        return f"{value}-2"
    if isinstance(value, list):
        return [value[0] + 1 if isinstance(value[0], int) else "table_wise"]
    if isinstance(value, dict):
        return {"train": {"epochs": 9}}
    inner = next(o for o in options if o is not type(None))
    if typing.get_origin(inner) is list:
        return [typing.get_args(typing.get_args(inner)[0])[0]]
    return {int: 3, float: 3.0}.get(inner, "other")


def changed(settings, key, value):
    """The plain settings with one leaf changed, valid still."""
    plain = settings.model_dump()
    *parents, last = key.split(".")
    place = plain
    for parent in parents:
        place = place[parent]
    place[last] = value
    return Config.model_validate(plain).model_dump()


def rows(folder, *configs, modes=MODES):
    """Titles of the rows that runs with these configs give, runs of seeds 0, 1, ..."""
    mode = "+".join(sorted(set(modes.values())))
    folders = [
        write_run(folder / f"run{n}", mode, n, evaluation(), config=config.items(), modes=modes)
        for n, config in enumerate(configs)
    ]
    return list(cells(text(*folders)))


BASE = Config.model_validate(EVERYTHING)


@pytest.mark.parametrize(("key", "value", "annotation"), [pytest.param(*leaf, id=leaf[0]) for leaf in leaves(BASE)])
def test_every_leaf_tells_runs_apart_unless_it_is_without_effect(tmp_path, key, value, annotation):
    other = changed(BASE, key, other_value(value, annotation))
    titles = rows(tmp_path, BASE.model_dump(), other)
    assert len(titles) == (1 if key in WITHOUT_EFFECT else 2)
    assert len(titles) == 1 or all(key in title for title in titles), titles


def multimodal(mode, **settings):
    return Config.model_validate(
        {"data": {"path": "data/shop"}, "model": {"multimodal": {"mode": mode, **settings}}}
    ).model_dump()


TIERS = {"num_tiers": 10}, {"num_tiers": 20}
WIDTHS = {"make": {"attention_hidden": 16}}, {"make": {"attention_hidden": 32}}


@pytest.mark.parametrize(
    ("mode", "sa_ta", "settings", "apart"),
    [
        *((mode, sa_ta, TIERS, "simtier" in mode) for mode in ("none", "vector", "simscore", "make", "simtier",
                                                               "simtier+make") for sa_ta in (False, True)),
        *((mode, sa_ta, WIDTHS, "make" in mode) for mode in ("none", "simtier", "make", "simtier+make")
          for sa_ta in (False, True)),
        ("none", False, ({"placement": "host"}, {"placement": "replicated"}), False),
        ("none", True, ({"placement": "host"}, {"placement": "replicated"}), True),
    ],
)  # fmt: skip
def test_settings_of_a_part_count_where_a_modality_has_that_part(tmp_path, mode, sa_ta, settings, apart):
    configs = [multimodal(mode, sa_ta=sa_ta, **setting) for setting in settings]
    parts = ([] if mode == "none" else mode.split("+")) + ["sa_ta"] * sa_ta
    titles = rows(tmp_path, *configs, modes={"image": "+".join(parts) or "none"})
    assert len(titles) == 1 + apart


def test_the_settings_for_all_modalities_count_where_one_has_no_settings_of_its_own(tmp_path):
    def config(n):
        plain = multimodal("simtier", num_tiers=n)
        plain["model"]["modalities"] = {"image": plain["model"]["multimodal"] | {"num_tiers": 5}}
        return plain

    modes = {"image": "simtier"}
    assert len(rows(tmp_path / "a", config(10), config(20), modes=modes)) == 1
    assert len(rows(tmp_path / "b", config(10), config(20), modes=modes | {"text": "simtier"})) == 2


def test_cross_layers_count_where_there_are_any(tmp_path):
    def config(interaction, layers):
        plain = multimodal("none")
        plain["model"] |= {"interaction": interaction, "cross_layers": layers}
        return plain

    modes = {"image": "none"}
    assert rows(tmp_path / "a", config("concat", 2), config("concat", 3), modes=modes) == ["ID"]
    assert rows(tmp_path / "b", config("concat", 2), config("dcn", 2), modes=modes) == [
        "ID (model.interaction=concat)",
        "ID (model.cross_layers=2, model.cross_rank=64, model.interaction=dcn)",
    ]


def test_a_data_set_without_modalities_reads_no_settings_of_them(tmp_path):
    configs = [multimodal("simtier", num_tiers=n) for n in (10, 20)]
    folders = [
        write_run(tmp_path / str(n), "none", n, evaluation(), config=config.items(), modes={})
        for n, config in enumerate(configs)
    ]
    assert list(cells(text(*folders))) == ["ID"]


def test_a_make_that_is_trained_alone_reads_its_settings_whatever_the_mode(tmp_path):
    def run(n, width):
        model = {"arch": "make", "modality": "image", "multimodal": {"make": {"attention_hidden": width}}}
        config = (multimodal("simtier") | {"model": model}).items()
        modes = {"image": "make", "text": "none"}
        return write_run(tmp_path / f"r{n}", "make alone", n, evaluation(), config=config, modes=modes)

    assert list(cells(text(run(0, 16), run(1, 16), run(2, 32)))) == [
        "MAKE alone (model.multimodal.make.attention_hidden=16)",
        "MAKE alone (model.multimodal.make.attention_hidden=32)",
    ]


def test_a_new_setting_tells_runs_apart_and_its_default_does_not(tmp_path, monkeypatch):
    class NewTrainConfig(TrainConfig):
        momentum: float = 0.9

    class NewConfig(Config):
        train: NewTrainConfig = NewTrainConfig()

    monkeypatch.setattr(train.ctr.config, "Config", NewConfig)
    old = multimodal("none")
    as_before, other = [old | {"train": old["train"] | {"momentum": value}} for value in (0.9, 0.5)]
    assert rows(tmp_path / "a", old, as_before, modes={"image": "none"}) == ["ID"]
    assert rows(tmp_path / "b", old, other, modes={"image": "none"}) == [
        "ID (train.momentum=0.9)",
        "ID (train.momentum=0.5)",
    ]


def test_a_config_that_leaves_defaults_out_means_the_same(tmp_path):
    short = {"data": {"path": "./data/shop"}, "model": {"multimodal": {"mode": "simtier+make"}}, "train": {}}
    assert rows(tmp_path, short, multimodal("simtier+make"), modes={"image": "simtier+make"}) == ["ID + SimTier + MAKE"]


def test_a_config_that_this_version_cannot_read_is_compared_as_it_stands(tmp_path):
    def config(n):
        return {
            "data": {"path": "data/shop"},
            "model": {"arch": "later", "depth": n, "multimodal": {"mode": "simtier+make", "num_tiers": 10 * n}},
            "train": {"epochs": 2, "seed": n},
        }

    runs = [
        write_run(tmp_path / f"r{s}", "simtier+make", s, evaluation(), config=config(n).items())
        for s, n in enumerate((1, 1, 2))
    ]
    output = text(*runs)
    assert list(cells(output)) == [
        "later: ID + SimTier + MAKE (model.depth=1, model.multimodal.num_tiers=10)",
        "later: ID + SimTier + MAKE (model.depth=2, model.multimodal.num_tiers=20)",
    ]
    assert "note: the config of run 'r1' is not one of this version's (" in output
    assert "its settings are compared as they stand" in output


def test_other_vectors_another_schema_and_another_precision_tell_runs_apart(tmp_path):
    def run(name, **about):
        return write_run(
            tmp_path / name, "simtier", test_evaluation=evaluation(), config=multimodal("simtier").items(), **about
        )

    runs = [run("a", stores={"image": "a" * 64}), run("b", stores={"image": "b" * 64})]
    assert list(cells(text(*runs))) == [
        "ID + SimTier (vectors.image=aaaaaaaaaa)",
        "ID + SimTier (vectors.image=bbbbbbbbbb)",
    ]
    runs = [run("f", schema="a1"), run("g", schema="b2"), run("h", schema="b2", seed=1)]
    assert {title: row["runs"] for title, row in cells(text(*runs)).items()} == {
        "ID + SimTier (schema=a1)": "1",
        "ID + SimTier (schema=b2)": "2",
    }
    runs = [run("c", device="cpu"), run("d", device="cuda"), run("e", device="cuda", seed=1)]
    assert {title: row["runs"] for title, row in cells(text(*runs)).items()} == {
        "ID + SimTier (train.autocast=off)": "1",
        "ID + SimTier (train.autocast=bfloat16)": "2",
    }


def test_old_keys_and_their_new_names_share_a_row(tmp_path):
    """withheld and thinned, and no arch, as runs had them until model.arch came."""
    old, new = multimodal("simtier+make"), multimodal("simtier+make")
    del old["model"]["arch"]
    old["model"]["alone"] = None
    for name, value in (("modality_dropout", 0.5), ("behaviour_dropout", 0.4)):
        new["model"]["multimodal"]["make"][name] = value
        del old["model"]["multimodal"]["make"][name]
    old["model"]["multimodal"]["make"] |= {"withheld": 0.5, "thinned": 0.4}
    assert rows(tmp_path, old, new, modes={"image": "simtier+make"}) == ["ID + SimTier + MAKE"]


def test_old_and_new_runs_of_make_alone_share_a_row(tmp_path):
    old = multimodal("simtier")
    new = old | {"model": {"arch": "make", "modality": "image", "multimodal": old["model"]["multimodal"]}}
    del old["model"]["arch"]
    old["model"]["alone"] = "image"
    folders = [
        write_run(tmp_path / str(n), "make alone", n, evaluation(), config=config.items(), modes={"image": "make"})
        for n, config in enumerate((old, new))
    ]
    assert list(cells(text(*folders))) == ["MAKE alone"]


# Of EVERYTHING with arch make and modality image: a MAKE that is trained alone reads no more.
UNREAD_BY_MAKE = ("model.multimodal.num_tiers", "model.multimodal.make.", "model.multimodal.placement",
                  "model.modalities.image.num_tiers")  # fmt: skip


def test_every_leaf_of_every_other_architecture_that_it_reads_tells_runs_apart(tmp_path):
    for arch in ARCHITECTURES.keys() - {"din"}:
        model = {"arch": arch} | {key: EVERYTHING["model"][key] for key in ("multimodal", "modalities")}
        model |= {"modality": "image"} if arch == "make" else {}
        base = Config.model_validate(EVERYTHING | {"model": model})
        for key, value, annotation in leaves(base):
            if key.startswith("model."):
                other = changed(base, key, other_value(value, annotation))
                apart = arch != "make" or not key.startswith(UNREAD_BY_MAKE)
                assert len(rows(tmp_path / arch / key, base.model_dump(), other)) == 1 + apart, (arch, key)
