"""The columns and the vocabulary of a checkpoint of contrastive learning, compared with those of a run that goes on."""

import json

import pytest

from embeddings.errors import InputError
from recsys.scl.pairs_schema import Pairs, load_pairs
from tests.train.launch import one_line
from tests.train.scl.tiny import make_pairs, scl, write_config
from train.scl.trained_pairs import refuse_other_pairs

RAW = {
    "query": {"kind": "text"},
    "positive": {"column": "item"},
    "negative": {"column": "clicked"},
    "items": {"column": "content", "kind": "image"},
}
OTHER = {
    "query.column": ("words", "query.column is words, trained with query"),
    "query.kind": ("image", "query.kind is image, trained with text"),
    "positive.column": ("clicked", "positive.column is clicked, trained with item"),
    "negative": (None, "negative.column is null, trained with clicked"),
    "items.id": ("id", "items.id is id, trained with item"),
    "items.column": ("title", "items.column is title, trained with content"),
    "items.kind": ("text", "items.kind is text, trained with image"),
}


def on(raw, vocabulary="a1") -> dict:
    pairs = Pairs.model_validate(raw).model_dump(mode="json", exclude={"items": {"path"}})
    return json.loads(json.dumps({"pairs": pairs, "vocabulary": vocabulary}))


@pytest.mark.parametrize("key", OTHER)
def test_another_column_or_kind_is_refused_in_words(key):
    value, words = OTHER[key]
    section, _, name = key.partition(".")
    here = RAW | {section: RAW[section] | {name: value} if name else value}
    with pytest.raises(InputError) as caught:
        refuse_other_pairs(on(here), on(RAW), "data", "run")
    assert str(caught.value).startswith("'data/pairs.yaml' is not the one that the run was trained with: ")
    assert f": {words}; put it back, or start a new run" in str(caught.value)


def test_what_does_not_matter_passes():
    refuse_other_pairs(on(RAW | {"items": RAW["items"] | {"path": "elsewhere"}}), on(RAW), "data", "run")
    refuse_other_pairs(on(RAW), {"reader": {}}, "data", "run")  # of an older version


def test_another_vocabulary_is_refused(tmp_path):
    with pytest.raises(
        InputError, match=r"'run/vocabulary.json' is not the vocabulary that the run was trained with; p"
    ):
        refuse_other_pairs(on(RAW, "b2"), on(RAW), "data", "run")
    config = write_config(tmp_path, make_pairs(tmp_path / "pairs", "text", "text"))
    settings = ("train.epochs=1", "train.max_steps=2", "data.test=null")
    done = scl(config, *settings)
    assert done.status == 0, done.err
    run = tmp_path / "runs" / "run"
    assert load_pairs(run) == load_pairs(tmp_path / "pairs"), "the run keeps what its columns mean"
    assert scl(config, *settings, "run.resume=true").status == 0
    words = json.loads((run / "vocabulary.json").read_text())
    names = {place: name for name, place in words["model"]["vocab"].items()}
    last, before = len(names) - 1, len(names) - 2
    words["model"]["vocab"] |= {names[last]: before, names[before]: last}
    (run / "vocabulary.json").write_text(json.dumps(words))
    one_line(scl(config, *settings, "run.resume=true"), "vocabulary.json' is not the vocabulary that the run was trai")
