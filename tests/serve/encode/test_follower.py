"""The follower: what cannot be decoded is dead and keeps the vector before; what cannot be written is tried again."""

import threading

import numpy as np
import pytest

from embeddings.errors import InputError
from embeddings.index.index_writer import IndexWriter
from serve.encode import follower
from serve.encode.content_log import Change
from tests.serve.encode.services import PICTURES, exported, service, taken, vector


@pytest.fixture
def quick(monkeypatch):
    monkeypatch.setattr(follower, "_FIRST_WAIT_S", 0.001)
    monkeypatch.setattr(follower, "_LONGEST_WAIT_S", 0.01)


def test_what_has_no_vector_and_what_is_deleted(tmp_path, monkeypatch):
    name = exported(tmp_path)
    with service(tmp_path) as at_work:
        first = taken(at_work, {7: PICTURES[0], 8: PICTURES[1], 9: b"no picture"})
        assert [first[item].reason is None for item in (7, 8, 9)] == [True, True, False]
        before = vector(tmp_path, 7)
        assert taken(at_work, {7: b"broken"})[7].reason == at_work.log.reason(7) and vector(tmp_path, 7) is not None
        assert at_work.log.dead(9)[0] == 2 and at_work.log.dead(9)[1][9].encoder == name
        assert taken(at_work, {8: None})[8].reason is None and vector(tmp_path, 8) is None
        encode = at_work.encoders.active.encoder.vectors

        def faulty(decoded):
            vectors = encode(decoded)
            vectors[0], vectors[1:2] = 0.0, np.nan
            return vectors

        monkeypatch.setattr(at_work.encoders.active.encoder, "vectors", faulty)
        told = taken(at_work, {1: PICTURES[0], 2: PICTURES[1], 3: PICTURES[0]})
        assert {told[1].reason, told[2].reason} == {"its vector is zero", "its vector is not finite"}
        assert told[3].reason is None and vector(tmp_path, 3).tobytes() == before.tobytes()
        assert taken(at_work, {9: PICTURES[0]})[9].sequence == 0  # alone: its vector is zero, too
    assert vector(tmp_path, 9) is None


def test_a_full_disk_is_tried_until_it_takes_what_came(tmp_path, monkeypatch, capfd, quick):
    exported(tmp_path)
    put, tries = IndexWriter.put, []

    def full(self, *arguments):
        tries.append(len(tries))
        if len(tries) < 4:
            raise InputError("no space left on the disk")
        return put(self, *arguments)

    monkeypatch.setattr(IndexWriter, "put", full)
    with service(tmp_path) as at_work:
        assert taken(at_work, {7: PICTURES[0]})[7].reason is None and len(tries) == 4
        assert b"tierwise_index_retries_total 3.0" in at_work.application._metrics.text()
    assert capfd.readouterr().err.count("no space left on the disk") == 1


def test_what_was_kept_and_not_written_comes_with_the_next_start(tmp_path, monkeypatch, quick):
    exported(tmp_path)
    trying = threading.Event()

    def full(*_: object) -> None:
        trying.set()
        raise InputError("no space left on the disk")

    with monkeypatch.context() as disk, service(tmp_path) as at_work:
        disk.setattr(IndexWriter, "put", full)
        outcomes = at_work.intake.accept([Change(7, PICTURES[0])]).result(10)
        assert trying.wait(10)
    assert not outcomes.done() and vector(tmp_path, 7) is None
    with service(tmp_path) as at_work:
        assert taken(at_work, {8: PICTURES[1]})[8].reason is None
    assert vector(tmp_path, 7) is not None


def test_what_always_fails_is_given_up_and_all_others_go_on(tmp_path, monkeypatch, capfd, quick):
    exported(tmp_path)
    with service(tmp_path) as at_work:
        encoder, sizes = at_work.encoders.active.encoder, []
        decode, encode = encoder.decode, encoder.vectors

        def fails(content):
            if content == b"worst":
                raise MemoryError("no memory for that")
            return decode(content)

        monkeypatch.setattr(encoder, "decode", fails)
        monkeypatch.setattr(encoder, "vectors", lambda decoded: sizes.append(len(decoded)) or encode(decoded))
        told = taken(at_work, {1: PICTURES[0], 2: b"worst", 3: PICTURES[1], 4: PICTURES[2]})
        assert told[2].reason == "3 attempts to decode and encode it failed" and sizes == [1, 1, 1]
        assert [told[item].reason for item in (1, 3, 4)] == [None] * 3
        taken(at_work, {5: PICTURES[0], 6: PICTURES[1]})
        assert sizes == [1, 1, 1, 2]
    assert 1 <= capfd.readouterr().err.count("MemoryError: no memory for that") <= 2


def test_a_defect_is_logged_and_the_batch_is_tried_again(tmp_path, monkeypatch, capfd, quick):
    exported(tmp_path)
    with service(tmp_path) as at_work:
        encoder, tries = at_work.encoders.active.encoder, []
        encode = encoder.vectors

        def once(decoded):
            tries.append(1)
            if len(tries) == 1:
                raise RuntimeError("a defect of the moment")
            return encode(decoded)

        monkeypatch.setattr(encoder, "vectors", once)
        assert taken(at_work, {7: PICTURES[0]})[7].reason is None
    assert "a defect of the moment" in capfd.readouterr().err
