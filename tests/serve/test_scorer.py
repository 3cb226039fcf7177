"""The scorer in process: answers, policies, limits, and new versions while others score."""

import json
import shutil
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from embeddings.errors import InputError
from recsys.exported.versions import Versions
from serve import Scorer
from serve.answer import Answer
from serve.policy import Limits, Policy
from tests.recsys.exported.artefacts import Artefact, columns, export
from tests.recsys.exported.test_model import MODELS, SIDES, arrays, batch_of, plain_logits, split_up

MODEL = MODELS["two modalities"]


def request(count: int = 5, seed: int = 0, sides: str = "histories", **changed: Any) -> tuple[dict, dict]:
    """A request as JSON has it."""
    return split_up(columns(count, seed) | changed, SIDES[sides])


def warmup(count: int = 3) -> dict[str, Any]:
    context, candidates = request(count, seed=4)
    return {"context": context, "candidates": candidates}


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory) -> Artefact:
    return export(tmp_path_factory.mktemp("scorer") / "m", data, MODEL, requests=(warmup(),))


@pytest.fixture
def artefact(data, tmp_path) -> Artefact:
    """One that gets more versions."""
    return export(tmp_path / "m", data, MODEL, requests=(warmup(),))


@pytest.fixture(scope="module")
def scorer(whole) -> Scorer:
    return Scorer(whole.root)


def test_an_answer(whole, scorer):
    context, candidates = request()
    answer = scorer.score(context, candidates)
    wanted = plain_logits(whole, batch_of(whole, {**candidates, **{n: [v] * 5 for n, v in context.items()}}))
    assert answer.logits.dtype == answer.scores.dtype == np.float32 and answer.logits.shape == (5,)
    np.testing.assert_allclose(answer.logits, wanted.numpy(), rtol=0, atol=1e-5)
    assert answer.scores.tolist() == torch.from_numpy(answer.logits).sigmoid().tolist()
    assert answer.version == scorer.version == "000001"
    assert answer.stores == {name: store.checksum for name, store in whole.stores.items()}


def test_columns_that_are_arrays_give_the_same(scorer):
    context, candidates = request()
    read = scorer.read_arrays(lambda _: (arrays({n: [v] for n, v in context.items()}), arrays(candidates)))
    (of_arrays,) = scorer.score_together([read])
    assert (
        isinstance(of_arrays, Answer) and of_arrays.logits.tolist() == scorer.score(context, candidates).logits.tolist()
    )


def test_a_request_changes_nothing_for_the_next(whole):
    scorer = Scorer(whole.root, policy=Policy(item="zero", user="zero"))
    given = request(item=[3, 4, 17, 999, 5], user=[3] * 5)
    first, again = (scorer.score(*given).logits.tolist() for _ in range(2))
    assert first == again and given == request(item=[3, 4, 17, 999, 5], user=[3] * 5)


def test_policies(whole):
    known, unknown = request(2, item=[4, 6]), request(2, item=[4, 3])
    score, zero = Scorer(whole.root), Scorer(whole.root, policy=Policy(item="zero", user="zero"))
    assert zero.score(*known).logits.tolist() == score.score(*known).logits.tolist()
    a, b = score.score(*unknown), zero.score(*unknown)
    assert a.logits[0] == b.logits[0] and a.logits[1] != b.logits[1] and a.unknown.items.tolist() == [False, True]
    nobody = request(2, item=[4, 6], user=[3, 3])
    assert score.score(*nobody).unknown.user and (score.score(*nobody).logits != zero.score(*nobody).logits).all()
    for policy, given, words in (
        (Policy(item="refuse"), unknown, "1 of 2 items were not trained on"),
        (Policy(user="refuse"), nobody, "the user was not trained on"),
        (Policy(vector="refuse"), unknown, "1 of 2 have no vector of modality 'image'"),
    ):
        refusing = Scorer(whole.root, policy=policy)
        refusing.score(*known)
        with pytest.raises(InputError, match=words):
            refusing.score(*given)


def test_limits(whole):
    scorer = Scorer(whole.root, limits=Limits(candidates=5, list_values=20, pairs=75))
    scorer.score(*request(5))
    with pytest.raises(InputError, match=r"column '\w+' has 6 rows; allowed: at most 5; send several requests"):
        scorer.score(*request(6))
    with pytest.raises(InputError, match="column 'history' has 21 values in lists; allowed: at most 20; send the n"):
        scorer.score(*request(2, history=[[1] * 21] * 2))
    scorer.score(*request(5, history=[[1] * 20] * 5))  # of which 4 are read
    with pytest.raises(InputError, match=r"5 candidates and their lists make \d+ pairs; allowed: at most 75; send sev"):
        scorer.score(*request(5, history=[[1] * 20] * 5, title=[[1] * 4] * 5, bought=[[1] * 20] * 5))


def test_as_many_pairs_as_are_allowed(whole):
    """Candidates times the values of what they share: as documents and the command line say."""
    context, candidates = request(5, bought=[[]] * 5, tags=[[]] * 5, title=[[]] * 5, history=[[1] * 4] * 5)
    Scorer(whole.root, limits=Limits(pairs=20)).score(context, candidates)
    with pytest.raises(
        InputError, match="5 candidates and their lists make 20 pairs; allowed: at most 19; send several"
    ):
        Scorer(whole.root, limits=Limits(pairs=19)).score(context, candidates)


def test_what_is_far_too_much_is_not_looked_at(scorer, monkeypatch):
    """Each value's type, each column's name: of millions that takes seconds."""
    for name in ("context_columns", "candidate_columns"):
        monkeypatch.setattr(f"serve.scorer.{name}", lambda *_: pytest.fail("they were looked at"))
    context, candidates = request(2)
    with pytest.raises(InputError, match="column 'item' has 10,001 rows; allowed: at most 10,000"):
        scorer.score(context, {**candidates, "item": [None] * 10_001})
    for long in (
        (context | {"history": [None] * 100_001}, candidates),
        (context, candidates | {"tags": [[0] * 60_000] * 2}),
    ):
        with pytest.raises(InputError, match=r"column '\w+' has 1\d0,00\d values in lists; allowed: at most 100,000"):
            scorer.score(*long)
    for side in (0, 1):
        sides = [dict(context), dict(candidates)]
        sides[side] |= {str(i): [] for i in range(20)}
        with pytest.raises(InputError, match=r"(context|candidates) has \d+ columns; features read 9; leave out the"):
            scorer.score(*sides)


def test_warm_up_requests_know_neither_policy_nor_limits(data, tmp_path):
    """They are the trainer's own rows, and more than some server may take."""
    root = export(tmp_path / "m", data, MODEL, requests=(warmup(30),)).root
    refuse = Policy(item="refuse", user="refuse", vector="refuse")
    assert Scorer(root, policy=refuse, limits=Limits(candidates=1, list_values=1)).version == "000001"


def test_lists_are_cut_and_that_is_counted(scorer):
    answer = scorer.score(*request(2, history=[[1] * 9] * 2, title=[[1] * 4, [2] * 5]))
    assert answer.truncated == {"history": 1, "words": 2}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda c, k: c.pop("user"), "column 'user' is missing"),
        (lambda c, k: k.update(item="x"), "wanted a list, a value a candidate"),
        (lambda c, k: k.update(item=[1, 2]), "rows, wanted"),
        (lambda c, k: c.update(history=None), "context: column 'history' has None; wanted a list of integers"),
        (lambda c, k: k.update(colour=[1] * 5), "candidates: no feature reads a column 'colour'"),
        (lambda c, k: k.update(price=[float("nan")] * 5), "5 values are not finite"),
        (lambda c, k: k.clear(), "is missing"),
    ],
)
def test_requests_that_are_refused(scorer, change, words):
    context, candidates = request()
    change(context, candidates)
    with pytest.raises(InputError, match=words):
        scorer.score(context, candidates)


def test_a_new_version_is_taken_and_its_answers_are_its_own(artefact, data):
    scorer, given = Scorer(artefact.root), request()
    before = scorer.score(*given)
    assert not scorer.refresh()
    newer = export(artefact.root, data, MODELS["simtier"], seed=1)
    assert scorer.score(*given).version == "000001", "until it is asked to look"
    assert scorer.refresh() and not scorer.refresh()
    after = scorer.score(*given)
    assert (
        after.version == scorer.version == "000002" and after.stores.keys() == {"text", "image"} == newer.stores.keys()
    )
    assert (after.logits != before.logits).any()
    Versions(artefact.root).publish("000001", 1, keep=3)
    assert scorer.refresh() and scorer.score(*given).logits.tolist() == before.logits.tolist(), "back again"


def break_file(folder: Path) -> None:
    raw = (folder / "dense.safetensors").read_bytes()
    (folder / "dense.safetensors").write_bytes(raw[:-1] + bytes([raw[-1] ^ 1]))


def break_warmup(folder: Path) -> None:
    from tests.recsys.exported.artefacts import make_ready

    (folder / "warmup.json").write_text('{"requests": [{"context": {}, "candidates": {"item": ["a"]}}]}')
    manifest = json.loads((folder / "manifest.json").read_text())
    from embeddings.files.file_entry import FileEntry

    manifest["files"]["warmup.json"] = FileEntry.of(folder / "warmup.json").model_dump()
    (folder / "manifest.json").write_text(json.dumps(manifest))
    make_ready(folder)


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (break_file, r"dense\.safetensors' has changed since it was written"),
        (lambda folder: (folder / "READY").unlink(), "has no READY"),
        (lambda folder: shutil.rmtree(folder / "tables"), "is missing, or no file"),
        (shutil.rmtree, "has no READY"),
        (break_warmup, "candidates: column 'item' has 'a'"),
    ],
)
def test_a_damaged_version_is_left_and_the_old_one_goes_on(artefact, data, spoil, words):
    scorer, given = Scorer(artefact.root), request()
    before = scorer.score(*given).logits.tolist()
    export(artefact.root, data, MODEL, seed=1)
    spoil(artefact.root / "000002")
    for _ in range(2):
        with pytest.raises(InputError, match=words):
            scorer.refresh()
    assert scorer.score(*given).version == "000001" and scorer.score(*given).logits.tolist() == before
    with pytest.raises(InputError, match=r"READY|changed|missing|column"):
        Scorer(artefact.root)
    export(artefact.root, data, MODEL, seed=2)
    assert scorer.refresh() and scorer.version == "000003", "the next whole one is taken"


def test_a_damaged_current_json_is_said_and_the_old_version_goes_on(artefact):
    scorer, path = Scorer(artefact.root), artefact.root / "current.json"
    text = path.read_text()
    path.write_text("{")
    with pytest.raises(InputError, match="not readable JSON"):
        scorer.refresh()
    assert scorer.version == "000001"
    path.write_text(text)
    assert not scorer.refresh()


def test_versions_change_while_others_score(artefact, data):
    """Every answer is of one version, and is what that version says."""
    for seed in (1, 2):
        export(artefact.root, data, MODEL, seed=seed)
    versions, given = Versions(artefact.root), request(20)
    wanted = {}
    for version in versions.all():
        versions.publish(version, 1, keep=3)
        wanted[version] = Scorer(artefact.root).score(*given).logits.tolist()
    assert len({tuple(logits) for logits in wanted.values()}) == 3
    scorer, stop, failures, seen = Scorer(artefact.root), threading.Event(), [], set()

    def score() -> None:
        while not stop.is_set():
            answer = scorer.score(*given)
            seen.add(answer.version)
            if answer.logits.tolist() != wanted[answer.version]:
                failures.append(answer.version)

    threads = [threading.Thread(target=score) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for number in range(30):
            versions.publish(f"{number % 3 + 1:06d}", 1, keep=3)
            scorer.refresh()
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert failures == [] and seen == set(wanted)


def test_a_version_that_is_removed_scores_on(artefact, data):
    """Its files are mapped: whoever has it open keeps it."""
    scorer, given = Scorer(artefact.root), request()
    before = scorer.score(*given).logits.tolist()
    for seed in range(1, 5):
        export(artefact.root, data, MODEL, seed=seed)
    assert not (artefact.root / "000001").exists()
    assert scorer.score(*given).logits.tolist() == before


def test_no_model(tmp_path):
    with pytest.raises(InputError, match=r"has no current\.json"):
        Scorer(tmp_path)


def test_a_version_by_name(artefact, data):
    """What a supervisor has checked, its workers need not check again."""
    export(artefact.root, data, MODEL, seed=1)
    scorer = Scorer(artefact.root, version="000001", check=False)
    assert scorer.version == "000001"
    scorer.take("000002", check=False)
    assert scorer.version == "000002"
    with pytest.raises(InputError, match="has no READY"):
        scorer.take("000007")
    assert scorer.version == "000002"
