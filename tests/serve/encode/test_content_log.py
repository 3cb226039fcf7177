"""The content log: order, newest content, positions, dead letters; what is appended outlives the process."""

import lmdb
import pytest

from embeddings.errors import InputError
from serve.encode.content_log import Change, ContentLog, Dead, NotStored


@pytest.fixture
def log(tmp_path):
    log = ContentLog(str(tmp_path / "log"), "image")
    yield log
    log.close()


def items(log: ContentLog, position: int = 0, most: int = 100, most_bytes: int = 1 << 20) -> list[tuple]:
    return [(e.revision, e.item, e.content) for e in log.read(position, most, most_bytes)]


def test_the_newest_content_of_each_item_in_the_order_that_it_came(log):
    assert log.append([Change(7, b"a"), Change(-8, b"b")]) == [1, 2] and log.head == 2
    assert log.append([Change(7, b"c"), Change(9, None)]) == [3, 4]
    assert items(log) == [(2, -8, b"b"), (3, 7, b"c"), (4, 9, None)] and log.entries == 3
    assert items(log, 2) == [(3, 7, b"c"), (4, 9, None)] and items(log, 4) == []
    assert log.content(7).content == b"c" and log.content(9).content is None and log.content(1) is None


def test_a_read_is_bounded_and_gives_one_at_least(log):
    log.append([Change(item, bytes(100)) for item in range(5)])
    assert len(items(log, most=3)) == 3 and len(items(log, most_bytes=250)) == 2 and len(items(log, most_bytes=1)) == 1


def test_all_is_there_after_it_was_closed(tmp_path):
    log = ContentLog(str(tmp_path / "log"), "image")
    log.append([Change(7, b"a"), Change(7, b"b")])
    log.set_position("me", 1)
    log.set_dead({7: Dead(revision=2, encoder="e", reason="why")})
    log.close()
    again = ContentLog(str(tmp_path / "log"), "image")
    assert (again.head, again.position("me"), again.position("you"), items(again)) == (2, 1, 0, [(2, 7, b"b")])
    assert again.reason(7) == "why" and again.append([Change(8, b"")]) == [3]
    again.set_position("me", None)
    assert again.position("me") == 0
    again.close()
    with pytest.raises(InputError, match="of kind 'image', not text"):
        ContentLog(str(tmp_path / "log"), "text")


def test_dead_letters_go_with_newer_content(log):
    log.append([Change(7, b"a"), Change(8, b"b")])
    log.set_dead({7: Dead(revision=1, encoder="e", reason="no picture"), 8: Dead(revision=2, encoder="e", reason="no")})
    assert log.dead(1)[0] == 2 and log.dead(10)[1][7].reason == log.reason(7) == "no picture"
    log.append([Change(7, b"c")])
    log.set_dead({7: Dead(revision=1, encoder="e", reason="of the content before")})
    assert log.reason(7) is None and list(log.dead(10)[1]) == [8]


def test_damaged_content_is_told(log):
    log.append([Change(7, b"whole"), Change(8, b"whole")])
    with log._environment.begin(write=True, db=log._log) as txn:
        key, value = next(iter(txn.cursor()))
        txn.put(bytes(key), bytes(value)[:-1] + b"X")
    assert [(e.item, e.damaged) for e in log.read(0, 10, 1000)] == [(7, True), (8, False)]


def test_a_full_disk_takes_nothing_and_then_goes_on(log, monkeypatch):
    def full(**_: object) -> None:
        raise lmdb.DiskError("No space left on device")

    log.append([Change(7, b"a")])
    environment = log._environment
    monkeypatch.setattr(log, "_environment", type("Full", (), {"begin": staticmethod(full)}))
    with pytest.raises(NotStored, match="nothing of this was taken"):
        log.append([Change(8, b"b")])
    monkeypatch.setattr(log, "_environment", environment)
    assert log.head == 1 and log.append([Change(8, b"b")]) == [2]
