"""The rank of the environment, for words that one rank says for all."""

import pytest

from embeddings.launched_rank import launched_rank


@pytest.mark.parametrize(
    ("text", "rank"),
    [("0", 0), ("12", 12), ("", None), ("abc", None), ("\u0663", None), ("9" * 5000, None)],
)
def test_what_is_no_rank_is_none(monkeypatch, text, rank):
    monkeypatch.setenv("RANK", text)
    assert launched_rank() == rank
