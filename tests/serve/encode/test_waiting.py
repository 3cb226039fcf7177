"""Who waits for outcomes: told of his revision or a later one, once, with all items together."""

from serve.encode.waiting import Outcome, Waiting


def test_told_once_all_are_there():
    waiting = Waiting()
    both = waiting.add({7: 1, 8: 2})
    waiting.tell([Outcome(7, 1, 5), Outcome(9, 3, 5)])
    assert not both.done()
    waiting.tell([Outcome(8, 2, 6, "why")])
    assert both.result(0) == [Outcome(7, 1, 5), Outcome(8, 2, 6, "why")] and waiting.add({}).result(0) == []


def test_an_earlier_content_is_not_what_is_waited_for():
    waiting = Waiting()
    first, second = waiting.add({7: 1}), waiting.add({7: 2})
    waiting.tell([Outcome(7, 1, 5)])
    assert first.done() and not second.done()
    waiting.tell([Outcome(7, 4, 6)])  # newer content took its place
    assert second.result(0) == [Outcome(7, 4, 6)]


def test_what_another_encoder_has_passed():
    waiting = Waiting()
    early, late = waiting.add({7: 1, 8: 2}), waiting.add({8: 9})
    waiting.passed(5, {7: None, 8: "no picture"}.get)
    assert [(o.item, o.reason) for o in early.result(0)] == [(7, None), (8, "no picture")] and not late.done()


def test_somebody_who_has_gone_is_no_error():
    waiting = Waiting()
    gone = waiting.add({7: 1})
    gone.cancel()
    waiting.tell([Outcome(7, 1, 5)])
