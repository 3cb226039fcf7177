"""Explanations against scores of requests that lack the input, and against cosines of the stores' vectors."""

from typing import Any

import numpy as np
import pytest

from embeddings.errors import InputError
from serve import Scorer
from serve.explain import explain
from serve.policy import Policy
from tests.recsys.exported.artefacts import NEVER_TRAINED, columns, export
from tests.recsys.exported.test_model import MODELS, SIDES, split_up

COUNT = 5


def request(sides: str = "histories", **changed: Any) -> tuple[dict, dict]:
    return split_up(columns(COUNT, 3) | changed, SIDES[sides])


@pytest.fixture(scope="module")
def root(data, tmp_path_factory):
    return export(tmp_path_factory.mktemp("explained") / "m", data, MODELS["two modalities"]).root


@pytest.fixture(scope="module")
def scorer(root) -> Scorer:
    return Scorer(root)


def vectors(store, ids) -> np.ndarray:
    """Unit vectors in float64, NaN where there is none."""
    rows = store.rows(np.array(ids, np.int64))
    found = np.full((len(ids), store.width), np.nan)
    for place, row in enumerate(rows):
        if row >= 0:
            found[place] = store.vectors[row].astype(np.float64) * (1 if store.scale is None else store.scale[row])
    return found


@pytest.mark.parametrize("sides", ["histories", "one history", "no history"])
def test_cosines_and_tiers_are_those_of_the_vectors(scorer, sides):
    context, candidates = request(sides)
    explained = explain(scorer, context, candidates)
    assert explained.answer.logits.tolist() == scorer.score(context, candidates).logits.tolist()
    for name, column in (("text", "history"), ("image", "bought")):
        store = scorer.model.stores[name]
        histories = [context[column]] * COUNT if column in context else candidates[column]
        most = scorer.fields[column].max_length
        for i in range(COUNT):
            read = histories[i][-most:] if most else histories[i]
            wanted = vectors(store, read) @ vectors(store, candidates["item"][i : i + 1])[0]
            got = explained.cosines[name][i]
            np.testing.assert_allclose(got[: len(read)], wanted, atol=2e-3)
            assert np.isnan(got[len(read) :]).all()
            if name == "text":
                assert explained.tiers[name][i].sum() == len(read)
                tiers = np.clip((np.clip(wanted, -1, 1) + 1) * 5 / 2, 0, 4).astype(int)
                if np.abs((wanted + 1) * 5 / 2 % 1 - 0.5).max(initial=0) < 0.499:  # none on an edge
                    assert explained.tiers[name][i].tolist() == np.bincount(tiers, minlength=5).tolist()
    assert explained.tiers.keys() == {"text"} and explained.make.keys() == {"image"}


def test_without_the_history_is_the_score_of_a_user_that_has_none(scorer):
    context, candidates = request()
    got = explain(scorer, context, candidates).without["history"]
    wanted = scorer.score(context | {"history": [], "bought": []}, candidates).logits
    np.testing.assert_allclose(got, wanted, atol=1e-6)
    assert np.abs(got - scorer.score(context, candidates).logits).max() > 1e-3


def test_without_an_id_is_the_score_with_zeros_in_its_place(scorer, root):
    context, candidates = request(item=[NEVER_TRAINED[0]] * COUNT)
    context["user"] = NEVER_TRAINED[1]
    without = explain(scorer, context, candidates).without
    for name, policy in (("item id", Policy(item="zero")), ("user id", Policy(user="zero"))):
        wanted = Scorer(root, policy=policy, check=False).score(context, candidates).logits
        np.testing.assert_allclose(without[name], wanted, atol=1e-6)
        assert np.abs(without[name] - scorer.score(context, candidates).logits).max() > 1e-4


def test_without_vectors_is_the_score_of_items_that_have_none(scorer):
    """Odd items have no picture."""
    odd = [1, 5, 7, 9, 11]
    context, candidates = request(item=odd, bought=[[13, 15]] * COUNT)
    explained = explain(scorer, context, candidates)
    np.testing.assert_allclose(explained.without["vectors: image"], explained.answer.logits, atol=1e-6)
    assert np.abs(explained.without["vectors: text"] - explained.answer.logits).max() > 1e-3
    assert np.isnan(explained.cosines["image"]).all()
    seen = explain(scorer, *request(item=[2, 4, 6, 8, 10], bought=[[12, 14]] * COUNT))
    assert np.abs(seen.without["vectors: image"] - seen.answer.logits).max() > 1e-4


def test_without_vectors_the_historys_are_missing_too(data, tmp_path):
    """A candidate without a vector gives the raw vectors' mean of its history alone."""
    scorer = Scorer(export(tmp_path / "m", data, MODELS["vector"]).root)
    explained = explain(scorer, *request(item=[1, 5, 7, 9, 11], bought=[[12, 14]] * COUNT))
    assert np.abs(explained.without["vectors: image"] - explained.answer.logits).min() > 1e-4


def test_of_a_model_without_tables_and_of_one_without_vectors(data, tmp_path):
    alone = explain(Scorer(export(tmp_path / "a", data, MODELS["arch make"]).root), *request())
    assert alone.without.keys() == {"vectors: image", "history"} and alone.tiers == alone.make == {}
    ids = explain(Scorer(export(tmp_path / "b", data, MODELS["none"]).root), *request())
    assert ids.without.keys() == {"history", "user id", "item id"} and ids.cosines == {}


def test_makes_logit_is_that_of_its_own_weights(data, tmp_path):
    """Where its last layer is a constant, so is its logit."""
    scorer = Scorer(export(tmp_path / "m", data, MODELS["simtier+make"] | {"modalities": {}}).root)
    for name, value in scorer.model.arch.named_parameters():
        if name.endswith("make.logit.weight"):
            value.data.zero_()
        if name.endswith("make.logit.bias"):
            value.data.fill_(0.25)
    explained = explain(scorer, *request())
    assert {name: logits.tolist() for name, logits in explained.make.items()} == {
        name: [0.25] * COUNT for name in ("text", "image")
    }


def test_refuses_what_a_score_refuses(scorer):
    context, candidates = request()
    del candidates["item"]
    with pytest.raises(InputError, match="column 'item' is missing"):
        explain(scorer, context, candidates)
