"""A version that scores several requests at once: to the last bit as each alone, and with an error for each."""

import numpy as np
import pytest

from embeddings.errors import InputError
from embeddings.frozen.store import FrozenStore, build_store
from embeddings.index.create_index import create_index
from embeddings.index.index_writer import IndexWriter
from serve import Scorer
from serve.answer import Answer
from serve.opened_version import OpenedVersion
from serve.policy import Policy
from tests.recsys.exported.artefacts import Artefact, export, make_folder
from tests.recsys.exported.test_model import MODELS, SIDES
from tests.serve.test_scorer import MODEL, request


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory) -> Artefact:
    return export(tmp_path_factory.mktemp("version") / "m", data, MODEL)


@pytest.mark.parametrize(
    ("model", "sides"),
    [
        *((model, "histories") for model in MODELS),
        *(("two modalities", sides) for sides in SIDES if sides != "nothing"),
    ],
)
def test_scored_together_is_scored_alone(data, tmp_path, model, sides):
    """Bit for bit, whatever the model: of all contexts and candidates each sees its own."""
    scorer = Scorer(export(tmp_path / "m", data, MODELS[model]).root)
    read = [scorer.read(*request(count, seed, sides=sides)) for seed, count in enumerate((5, 1, 30, 2))]
    context, candidates = request(1, sides=sides)
    read.insert(
        2, scorer.read(context, {name: column[:0] for name, column in candidates.items()} | {"price": np.zeros(0)})
    )
    assert len({one.kind for one in read}) == 1
    for one, answer in zip(read, scorer.score_together(read), strict=True):
        (alone,) = scorer.score_together([one])
        assert isinstance(alone, Answer) and isinstance(answer, Answer)
        assert answer.logits.tobytes() == alone.logits.tobytes() and answer.scores.tobytes() == alone.scores.tobytes()
        assert answer.unknown.items.tolist() == alone.unknown.items.tolist()
        assert answer.unknown.user == alone.unknown.user and answer.truncated == alone.truncated
        assert {n: v.tolist() for n, v in answer.unknown.vectors.items()} == {
            n: v.tolist() for n, v in alone.unknown.vectors.items()
        }


def test_one_of_several_that_is_refused_harms_no_other(whole):
    scorer = Scorer(whole.root, policy=Policy(item="refuse", user="zero"))
    given = [request(2, item=[4, 6]), request(2, item=[4, 3]), request(2, item=[4, 6], price=[float("inf")] * 2)]
    given.append(request(2, item=[4, 6], user=[3, 3]))
    read = [scorer.read(*one) for one in given]
    first, unwanted, infinite, nobody = scorer.score_together(read)
    assert isinstance(unwanted, InputError) and "1 of 2 items were not trained on" in str(unwanted)
    assert isinstance(infinite, InputError) and "2 values are not finite" in str(infinite)
    for one, answer in ((given[0], first), (given[3], nobody)):
        assert isinstance(answer, Answer) and answer.logits.tolist() == scorer.score(*one).logits.tolist()


def test_of_several_only_those_that_are_refused_are_left_out(whole, monkeypatch):
    """One bad request costs those beside it no turn of their own each."""
    scorer, scored, score = Scorer(whole.root), [], OpenedVersion.score_and_rows
    monkeypatch.setattr(
        OpenedVersion,
        "score_and_rows",
        lambda self, some, policy: scored.append(len(some)) or score(self, some, policy),
    )
    given = [request(2, seed) for seed in range(6)] + [request(2, price=[float("nan")] * 2)]
    answers = scorer.score_together([scorer.read(*one) for one in given])
    assert scored == [7, 6] and isinstance(answers[6], InputError) and answers[6].__traceback__ is None
    assert all(isinstance(answer, Answer) for answer in answers[:6])


def test_what_no_request_is_to_blame_for_is_tried_alone(whole, monkeypatch):
    scorer, score = Scorer(whole.root), OpenedVersion.score_and_rows

    def fails_together(self, some, policy):
        if len(some) > 1:
            raise RuntimeError("a defect")
        return score(self, some, policy)

    monkeypatch.setattr(OpenedVersion, "score_and_rows", fails_together)
    assert all(isinstance(a, Answer) for a in scorer.score_together([scorer.read(*request(2, i)) for i in range(3)]))


def test_requests_of_several_kinds_are_not_scored_at_once(whole):
    scorer = Scorer(whole.root)
    context, candidates = request(2)
    other = scorer.read({**context, "price": 0.5}, {name: c for name, c in candidates.items() if name != "price"})
    with pytest.raises(ValueError, match="several kinds"):
        scorer.score_together([scorer.read(context, candidates), other])
    assert scorer.score_together([]) == []


def test_requests_of_other_columns_or_types_are_of_another_kind(whole):
    scorer = Scorer(whole.root)
    context, candidates = request(2)
    kind = scorer.read(context, candidates).kind
    assert scorer.read(*request(3, seed=1)).kind == kind
    assert scorer.read(context, dict(reversed(candidates.items()))).kind == kind
    moved = {name: column for name, column in candidates.items() if name != "price"}
    assert scorer.read({**context, "price": 0.5}, moved).kind != kind
    assert scorer.read(context, {**candidates, "price": [1, 2]}).kind == kind
    assert scorer.read(context, {**candidates, "price": [1, 2**60]}).kind != kind


def test_a_vector_that_is_put_while_it_scores_is_in_the_next_score(tmp_path):
    """A live index in a store's place: items get pictures between two requests, one of them read before the put."""
    data = make_folder(tmp_path / "data")
    path = str(data / "frozen" / "image")
    store = FrozenStore.open(path)
    assert store.scale is not None
    units = store.vectors * store.scale[:, None]
    build_store(path, store.ids.copy(), units, dtype="int8", encoder="image-1", overwrite=True)
    root = export(tmp_path / "m", data, MODEL).root
    index = str(tmp_path / "index")
    with create_index(index, "image-1", store.width, "int8") as writer:
        writer.put_store(FrozenStore.open(path), "image-1")
    scorer = Scorer(root, {"image": index}, policy=Policy(vector="score"))
    given = request(3, item=[4, 5, 7])
    beside, before, read = Scorer(root).score(*given), scorer.score(*given), scorer.read(*given)
    assert before.unknown.vectors["image"].tolist() == [False, True, True]
    assert before.logits.tolist() == beside.logits.tolist()
    with IndexWriter(index) as writer:
        writer.put(np.array([5]), units[:1])
        (after,) = scorer.score_together([read])
        assert isinstance(after, Answer)
        assert after.unknown.vectors["image"].tolist() == [False, False, True]
        assert (after.logits == before.logits).tolist() == [True, False, True]
        writer.put(np.array([7]), units[1:2])
    with pytest.raises(InputError, match="1 of 3 have no vector of modality 'image', the first is candidate 2"):
        Scorer(root, policy=Policy(vector="refuse")).score(*request(3, item=[4, 6, 7]))
    allowed = Scorer(root, {"image": index}, policy=Policy(vector="refuse")).score(*given)
    assert not allowed.unknown.vectors["image"].any() and allowed.logits[1] == after.logits[1]
    assert scorer.score(*given).logits.tolist() == allowed.logits.tolist()
