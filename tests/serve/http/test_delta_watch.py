"""New deltas are merged once for all workers; damaged ones are refused in words, counted, taken once they are whole."""

import multiprocessing
import shutil

import pytest

from recsys.exported.merged_deltas import MergedDeltas
from recsys.exported.versions import Versions
from serve.http import delta_watch
from serve.http.delta_watch import DeltaWatch
from serve.http.versions_shared import SharedVersions
from serve.scorer import Scorer
from tests.recsys.exported.deltas import chain_of, write_delta
from tests.serve.tiny_model import REQUEST, write_version


class Counted:
    def __init__(self) -> None:
        self.count = 0

    def delta_refusal(self) -> None:
        self.count += 1


@pytest.fixture
def watched(own_model, monkeypatch):
    shared, refusals = SharedVersions(multiprocessing.get_context("spawn"), "000001"), Counted()
    monkeypatch.setattr(delta_watch, "FIRST_WAIT_S", 0.0)
    with shared.folder_of_deltas():
        yield DeltaWatch(Versions(own_model), shared, refusals), shared, refusals


def test_deltas_are_merged_as_they_come(own_model, watched):
    watch, shared, refusals = watched
    watch.look()
    assert shared.wanted_deltas == ("000001", 0)
    for number in (1, 2, 3, 4):
        write_delta(own_model, number)
        watch.look()
        assert shared.wanted_deltas == ("000001", number)
    scorer = Scorer(own_model, deltas=False)
    before = scorer.score(**REQUEST).scores
    scorer.take_deltas(MergedDeltas.open(shared.merged("000001", 4), scorer.model.manifest))
    after = scorer.score(**REQUEST)
    assert after.version == "000001+4" and not (after.scores == before).any()
    assert (after.scores == Scorer(own_model).score(**REQUEST).scores).all()
    assert sorted(p.name for p in shared.merged("000001", 4).parent.iterdir()) == ["000001+3", "000001+4"]
    assert refusals.count == 0


def test_a_damaged_delta_is_refused_once_and_taken_once_it_is_whole(own_model, watched, capsys):
    watch, shared, refusals = watched
    write_delta(own_model, 1)
    write_delta(own_model, 2)
    write_delta(own_model, 3)
    file = chain_of(own_model).folder(2) / "dense.safetensors"
    whole = file.read_bytes()
    file.write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
    for _ in range(3):
        watch.look()
    said = capsys.readouterr().err
    assert shared.wanted_deltas == ("000001", 1) and refusals.count == 1 and said.count("\n") == 1
    assert said.startswith("version 000001+1 goes on: '") and "dense.safetensors' has changed" in said
    file.write_bytes(whole)
    watch.look()
    assert shared.wanted_deltas == ("000001", 3)


def test_a_missed_delta_means_the_next_version(own_model, data, watched):
    watch, shared, refusals = watched
    write_delta(own_model, 1)
    write_delta(own_model, 2)
    shutil.rmtree(chain_of(own_model).folder(1))
    watch.look()
    assert shared.wanted_deltas == ("000001", 0) and refusals.count == 1
    shared.wanted = write_version(own_model, data, seed=2)
    write_delta(own_model, 1)
    watch.look()
    assert shared.wanted_deltas == ("000002", 1)


def test_a_full_disk_ends_nothing(own_model, watched, monkeypatch, capsys):
    watch, shared, refusals = watched

    def full(*_):
        raise OSError(28, "No space left on device")

    write_delta(own_model, 1)
    with monkeypatch.context() as patch:
        patch.setattr(MergedDeltas, "save", full)
        watch.look()
    assert shared.wanted_deltas == ("000001", 0) and refusals.count == 1
    assert "No space left on device" in capsys.readouterr().err
    watch.look()
    assert shared.wanted_deltas == ("000001", 1)
