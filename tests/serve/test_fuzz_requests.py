"""The fuzzer of requests: its short form, and that it notices what it is to notice."""

from pathlib import Path

import numpy as np
import pytest

from serve.answer import Answer
from serve.http import application
from serve.scorer import Scorer
from tests.serve import fuzz_requests
from tests.serve.fuzz_requests import FORMATS, case, run


def test_several_hundred_hostile_requests_have_no_answer_of_ours_to_blame(tmp_path: Path):
    outcome = run(tmp_path, 1, range(300))
    assert not outcome.failed and sum(outcome.statuses.values()) == 300
    assert outcome.statuses["arrow_types", "200"] and outcome.statuses["json_values", "400"]


@pytest.mark.parametrize("number", range(len(FORMATS)))
def test_a_number_makes_the_same_case(number):
    assert case(1, number) == case(1, number) != case(2, number)


def test_a_defect_is_noticed(tmp_path: Path, monkeypatch):
    def broken(body):
        if b"tags" not in body:
            raise RuntimeError("a defect")
        return parse(body)

    parse = application.parse_request
    monkeypatch.setattr(application, "parse_request", broken)
    failed = run(tmp_path, 1, range(1, 120, len(FORMATS))).failed
    assert "HTTP/1.1 500" in failed[0] and "RuntimeError: a defect" in failed[-1]


def test_a_wrong_score_is_noticed(tmp_path: Path, monkeypatch):
    answer = application.json_answer
    monkeypatch.setattr(application, "json_answer", lambda one: answer(one).replace(b'"logits":[0', b'"logits":[1'))
    assert "a right request got 200" in run(tmp_path, 1, range(1)).failed[0]


def test_a_score_that_is_another_one_beside_others_is_noticed(tmp_path: Path, monkeypatch):
    def together(self, requests):
        answers = score(self, requests)
        for answer in answers if len(requests) > 1 else []:
            if isinstance(answer, Answer):
                answer.logits[:] = np.nextafter(answer.logits, np.float32(np.inf))  # the last bit
        return answers

    score = Scorer.score_together
    monkeypatch.setattr(Scorer, "score_together", together)
    failed = run(tmp_path, 1, range(300)).failed
    assert failed and all(line.startswith("beside case ") for line in failed)


@pytest.mark.parametrize("leaked_bytes", [0, 1 << 20])
def test_memory_that_grows_is_noticed(tmp_path: Path, monkeypatch, leaked_bytes):
    def leaking(body):
        kept.append(b"x" * leaked_bytes)
        return parse(body)

    parse, kept = application.parse_request, []
    monkeypatch.setattr(application, "parse_request", leaking)
    monkeypatch.setattr(fuzz_requests, "EVERY", 10)
    failed = run(tmp_path, 1, range(1, 1 + 60 * len(FORMATS), len(FORMATS))).failed
    assert [line.partition(" by ")[0] for line in failed] == ["memory grew"] * bool(leaked_bytes)
