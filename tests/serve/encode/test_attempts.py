"""Attempts: content at which the process died is taken alone after the next start, and given up after some."""

import pytest

from serve.encode.attempts import MOST, Attempts


@pytest.fixture
def file(tmp_path):
    return tmp_path / "attempts.json"


def test_content_that_ends_the_process_is_given_up(file):
    Attempts(file).begin(70, alone=False)  # and dies of it
    attempts = Attempts(file)
    assert attempts.careful_until == 70
    attempts.begin(68, alone=True)
    attempts.end()
    for _ in range(MOST):
        attempts = Attempts(file)
        assert not attempts.hopeless(69)
        attempts.begin(69, alone=True)  # and dies of it
    attempts = Attempts(file)
    assert attempts.careful_until == 69 and attempts.hopeless(69) and not attempts.hopeless(68)


def test_one_that_ended_well_leaves_nothing(file):
    attempts = Attempts(file)
    attempts.begin(5, alone=False)
    attempts.end()
    assert Attempts(file).careful_until == 0 and not file.exists()


def test_failures_of_a_process_that_goes_on(file):
    attempts = Attempts(file)
    attempts.failed(70, alone=False)
    assert attempts.careful_until == 70 and not attempts.hopeless(70)
    for _ in range(MOST):
        assert not attempts.hopeless(69)
        attempts.failed(69, alone=True)
    assert attempts.hopeless(69) and attempts.careful_until == 70


def test_a_file_that_the_machines_death_left_half_written(file):
    file.write_text('{"revision": 7')
    assert Attempts(file).careful_until == 0
