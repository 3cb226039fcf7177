"""A new encoder: encodes everything beside, becomes active when told or with the model that names it; mixes refused."""

import time
from types import SimpleNamespace

import numpy as np
import pytest

from embeddings.errors import InputError
from embeddings.files.json_file import write_json
from embeddings.index.create_index import create_index
from embeddings.index.live_index import LiveIndex
from embeddings.index.statistics import statistics
from serve.encode import encoders
from serve.encode.content_log import Change
from tests.serve.encode.services import PICTURES, WAIT_S, exported, service, taken, vector


def until(true) -> None:
    """Wait until ``true()``."""
    end = time.monotonic() + WAIT_S
    while not true():
        assert time.monotonic() < end
        time.sleep(0.01)


def beside(at_work) -> bool:
    """Whether a new encoder has encoded everything beside."""
    return at_work.encoders.next is not None and not at_work.encoders.next.behind


def names(root) -> dict[str, bool]:
    """Encoders of the index, and whether they are active."""
    return {about["encoder"]: about["active"] for about in statistics(str(root / "index"))["encoders"]}


def test_a_new_version_encodes_beside_and_takes_over_when_told(tmp_path):
    old = exported(tmp_path)
    contents = dict(enumerate(PICTURES))
    with service(tmp_path) as at_work:
        taken(at_work, contents)
        taken(at_work, {3: None})
        reader, before = LiveIndex(str(tmp_path / "index")), vector(tmp_path, 5)
        new = exported(tmp_path, seed=5, width=7)
        with pytest.raises(InputError, match="not the one that encodes beside"):
            at_work.encoders.activate("another")
        until(lambda: beside(at_work))
        assert names(tmp_path) == {old: True, new: False} and vector(tmp_path, 5, new).shape == (7,)
        assert vector(tmp_path, 3, new) is None
        taken(at_work, {50: PICTURES[0]})  # both encoders take what comes
        until(lambda: vector(tmp_path, 50, new) is not None)
        at_work.encoders.activate(new)
        assert names(tmp_path) == {old: False, new: True} and at_work.encoders.about()[0]["name"] == new
        row = reader.rows(np.array([5]))[0]
        assert reader.encoder == old and reader.vectors[row].tobytes() == before.tobytes()  # who reads goes on
        assert taken(at_work, {51: PICTURES[1]})[51].reason is None
        assert vector(tmp_path, 51).shape == (7,) and vector(tmp_path, 51, old) is None
        reader.close()
    with service(tmp_path) as at_work:
        assert at_work.encoders.name == new and at_work.encoders.next is None


def test_it_becomes_active_with_the_model_that_names_it(tmp_path, monkeypatch):
    named = [exported(tmp_path)]
    monkeypatch.setattr(
        encoders, "read_manifest", lambda _: SimpleNamespace(stores={"picture": SimpleNamespace(encoder=named[-1])})
    )
    current = encoders.Versions.current
    model = tmp_path / "model"
    monkeypatch.setattr(
        encoders.Versions, "current", lambda self: f"{len(named):06d}" if self.root == model else current(self)
    )
    with service(tmp_path, model=str(model)) as at_work:
        taken(at_work, dict(enumerate(PICTURES)))
        new = exported(tmp_path, seed=5)
        until(lambda: beside(at_work))
        for _ in range(3):
            at_work.encoders.look()
        assert at_work.encoders.name == named[0]  # the model goes on with the old one
        named.append(new)
        until(lambda: at_work.encoders.name == new)


def test_whoever_waits_across_a_switch_is_told(tmp_path, monkeypatch):
    exported(tmp_path)
    with service(tmp_path) as at_work:
        taken(at_work, {1: PICTURES[0]})
        new = exported(tmp_path, seed=5)
        until(lambda: beside(at_work))
        active, beside_it = at_work.encoders.active, at_work.encoders.next
        monkeypatch.setattr(active, "_tried", lambda write: active._stopping.wait(30) and write())  # it is slow
        outcomes = at_work.intake.accept([Change(2, PICTURES[1]), Change(3, b"broken")]).result(10)
        until(lambda: not beside_it.behind)
        assert not outcomes.done()  # answers are about the active one's vectors
        at_work.encoders.activate(new)
        assert {o.item: o.reason is None for o in outcomes.result(10)} == {2: True, 3: False}


def test_a_restart_goes_on_with_both_and_a_newer_one_takes_the_place_of_one_that_never_was_active(tmp_path, capfd):
    old = exported(tmp_path)
    with service(tmp_path) as at_work:
        taken(at_work, dict(enumerate(PICTURES)))
        second = exported(tmp_path, seed=5)
        until(lambda: beside(at_work))
    with service(tmp_path) as at_work:
        assert at_work.encoders.name == old and at_work.encoders.next.encoder.name == second
        third = exported(tmp_path, seed=6)
        until(lambda: beside(at_work) and at_work.encoders.next.encoder.name == third)
        assert names(tmp_path) == {old: True, third: False}
    assert f"'{second}' never was active" in capfd.readouterr().err


def test_encoders_that_do_not_belong_to_the_index(tmp_path):
    exported(tmp_path)
    create_index(str(tmp_path / "index"), "somebody else's", 12, "float32").close()
    with (
        pytest.raises(InputError, match=r"of encoder .somebody else's., of which .* has no version"),
        service(tmp_path),
    ):
        pass
    (tmp_path / "new").mkdir()
    exported(tmp_path / "new", "image")
    with service(tmp_path / "new") as at_work:
        taken(at_work, {1: PICTURES[0]})
        exported(tmp_path / "new", "text")
        at_work.encoders.look()
        assert at_work.encoders.next is None  # texts, and the content is pictures
        assert taken(at_work, {2: PICTURES[0]})[2].reason is None


def test_a_damaged_version_leaves_the_one_before(tmp_path, monkeypatch):
    said: list[str] = []
    monkeypatch.setattr(encoders, "say", said.append)
    monkeypatch.setattr(encoders, "FIRST_WAIT_S", 0.001)
    exported(tmp_path)
    with service(tmp_path) as at_work:
        (tmp_path / "encoder" / "000002").mkdir()
        write_json(tmp_path / "encoder" / "current.json", {"version": "000002", "step": 0, "published": ""})
        until(lambda: any("has no READY" in line for line in said))
        time.sleep(0.01)
        at_work.encoders.look()
        assert taken(at_work, {2: PICTURES[0]})[2].reason is None
    assert sum("has no READY" in line for line in said) == 1
