"""Ranks of a benchmark: what they are told, what rank 0 answers, and what a failure says."""

import pytest

from benchmarks.ranks import launch_command, measure_on_ranks, run_on_ranks
from embeddings.errors import InputError

WORKER = "tests.benchmarks.answering_rank"


def test_ranks_read_the_job_and_the_first_one_answers():
    answer = measure_on_ranks(2, WORKER, {"number": 3})
    assert answer == {"number": 3, "world_size": "2", "threads": "1"}


def test_a_rank_that_fails_is_an_input_error_behind_its_words(capsys):
    with pytest.raises(InputError, match="the run on 2 ranks ended with status 1; see its words above"):
        measure_on_ranks(2, WORKER, {"number": None})
    assert "no number" in capsys.readouterr().err


def test_words_go_to_the_module():
    assert launch_command(3, "train", "ctr", 4)[-5:] == ["--nproc-per-node=3", "-m", "train", "ctr", "4"]
    with pytest.raises(InputError, match="ended with status"):
        run_on_ranks(1, "tests.benchmarks.no_such_module")
