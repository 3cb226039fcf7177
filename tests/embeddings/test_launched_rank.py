"""The rank of the environment, for words that one rank says for all."""

import pytest

from embeddings.launched_rank import below_torchrun, launched_rank, rank_prefix


@pytest.mark.parametrize(
    ("text", "rank"),
    [("0", 0), ("12", 12), ("", None), ("abc", None), ("\u0663", None), ("9" * 5000, None)],
)
def test_what_is_no_rank_is_none(monkeypatch, text, rank):
    monkeypatch.setenv("RANK", text)
    assert launched_rank() == rank
    assert rank_prefix() == ("" if rank is None else f"[rank {rank}] ")


def test_torchrun_is_known_by_its_own_variable(monkeypatch):
    monkeypatch.setenv("RANK", "0")
    monkeypatch.delenv("TORCHELASTIC_RUN_ID", raising=False)
    assert not below_torchrun()
    monkeypatch.setenv("TORCHELASTIC_RUN_ID", "none")
    assert below_torchrun()
