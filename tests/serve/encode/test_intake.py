"""Intake: what comes from several threads is kept together, once, and what cannot be kept is told to all."""

import pytest

from serve.encode.content_log import Change, ContentLog, NotStored
from serve.encode.intake import Intake
from serve.encode.waiting import Outcome, Waiting


@pytest.fixture
def log(tmp_path):
    log = ContentLog(str(tmp_path / "log"), "text")
    yield log
    log.close()


def test_what_waits_is_appended_together_and_each_has_its_own_outcomes(log, monkeypatch):
    waiting, appended = Waiting(), []
    append = log.append
    monkeypatch.setattr(log, "append", lambda changes: appended.append(len(changes)) or append(changes))
    intake = Intake(log, waiting)
    with waiting.lock:  # the first is held up, and the others gather
        futures = [intake.accept([Change(item, b"a"), Change(item, b"b")]) for item in range(4)]
    accepted = [future.result(10) for future in futures]
    intake.close()
    assert sum(appended) == 4 and len(appended) <= 3
    assert sorted((e.item, e.content) for e in log.read(0, 10, 100)) == [(item, b"b") for item in range(4)]
    waiting.tell([Outcome(item, 10, 1) for item in range(4)])
    assert [[o.item for o in outcomes.result(0)] for outcomes in accepted] == [[0], [1], [2], [3]]


def test_whoever_has_gone_keeps_nobody_waiting(log):
    waiting = Waiting()
    intake = Intake(log, waiting)
    with waiting.lock:
        futures = [intake.accept([Change(item, b"a")]) for item in range(4)]
        assert futures[2].cancel()
    for item in (0, 1, 3):
        futures[item].result(10)
    intake.close()
    assert log.entries == 4  # what came is kept


def test_a_log_that_takes_nothing_is_told_to_all(log, monkeypatch):
    def full(_: object) -> None:
        raise NotStored("no space left")

    monkeypatch.setattr(log, "append", full)
    intake = Intake(log, Waiting())
    for future in [intake.accept([Change(item, b"")]) for item in range(3)]:
        with pytest.raises(NotStored, match="no space"):
            future.result(10)
    intake.close()
