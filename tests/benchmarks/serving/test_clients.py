"""Clients of a scorer: errors of the one that compares answers are counted, and do not end it."""

import time

from benchmarks.serving import clients
from benchmarks.serving.clients import Asking


def test_asking_counts_errors_and_mixed_answers(monkeypatch):
    first, other = ({"version": "000001", "logits": [logit]} for logit in (1.0, 2.0))
    answers = [first, ConnectionResetError("gone"), other]
    sent = iter(answers)

    def post(port, body):
        answer = next(sent, answers[0])
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(clients, "post", post)
    with Asking(0, {}) as asking:
        while asking.asked < 5:
            time.sleep(0.01)
    assert asking.errors == ["ConnectionResetError gone"] and asking.mixed == 1 and asking.asked >= 5
