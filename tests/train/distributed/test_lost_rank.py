"""A broken connection as one line."""

import pytest

from embeddings.errors import LostRank
from train.config import ProcessConfig
from train.distributed.lost_rank import lost_rank_named
from train.distributed.process_group import process_group

SETTINGS = ProcessConfig(device="cpu", threads=1)


@pytest.mark.parametrize("text", ["[/pytorch/gloo/pair.cc] Connection closed by peer [127.0.0.1]:1", "Broken pipe"])
def test_a_lost_connection_is_bad_luck_only_with_other_ranks(monkeypatch, text):
    with pytest.raises(RuntimeError, match=r"closed by peer|pipe"), process_group(SETTINGS):
        raise RuntimeError(text)
    with pytest.raises(LostRank, match=r"^lost the connection to another rank \(.*\); .* one of them says why; start"):
        with lost_rank_named(2):
            raise RuntimeError(text + "\nmore lines")
    with pytest.raises(RuntimeError, match="shape mismatch"), lost_rank_named(2):
        raise RuntimeError("shape mismatch")


def test_the_missing_rank_is_named():
    class Heard:
        def missing(self) -> str:
            return "rank 1 gives no sign of life"

    with pytest.raises(LostRank, match=r"\(timed out\); rank 1 gives no sign of life; start the run again"):
        with lost_rank_named(2, Heard()):
            raise RuntimeError("timed out")
