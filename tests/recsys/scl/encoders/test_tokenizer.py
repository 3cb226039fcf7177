"""Texts into token ids, and what is no text."""

import pytest

from embeddings.errors import InputError
from recsys.scl.encoders.encoder import Undecodable, joined
from recsys.scl.encoders.tokenizer import train_tokenizer
from tests.recsys.scl.encoders.small_encoders import TEXTS, small


def test_what_is_no_text_is_named():
    with pytest.raises(Undecodable) as error:
        small("text").decoder(["a", None])
    assert error.value.index == 1


def test_texts_are_cut_and_padded():
    decoder = small("text").decoder
    ids = decoder(["apple " * 30, ""])
    assert ids.shape == (2, 6) and (ids[1, 1:] == -1).all() and (ids[:, 0] >= 0).all()
    assert joined([ids[:, :2], ids]).shape == (4, 6)


def test_what_stands_far_behind_the_last_token_is_not_looked_at():
    decoder = small("text").decoder
    assert decoder(["apple " * 1_000_000]).tolist() == decoder(["apple " * 90]).tolist()
    assert decoder([" " * 700 + "apple"]).shape == (1, 1), "700 characters for at most 6 tokens"


def test_the_same_texts_give_the_same_vocabulary():
    vocabularies = {train_tokenizer(iter(TEXTS), 60).to_str() for _ in range(5)}
    assert len(vocabularies) == 1
    with pytest.raises(InputError, match="no words"):
        train_tokenizer(["", " "], 200)


def test_of_a_long_text_its_beginning_makes_the_vocabulary():
    begins = "red " * 2_500
    assert train_tokenizer([begins + "z" * 1_000_000], 100).to_str() == train_tokenizer([begins], 100).to_str()
