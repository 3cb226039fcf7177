"""Tokenizer: texts into token ids, by a byte-pair vocabulary that is trained on the train split."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors, trainers

from embeddings.errors import InputError
from embeddings.files.json_file import parse_json
from recsys.scl.encoders.encoder import Undecodable

PADDING = -1
_FIXED = ("normalizer", "pre_tokenizer", "truncation", "padding")  # parts of a tokenizer that are the same in all
_MOST_CHARACTERS = 10_000
_CHARACTERS_A_TOKEN = 100
_UNKNOWN, _START = "[UNK]", "[CLS]"


@dataclass(frozen=True)
class WordDecoder:
    """Token ids int64 [B, L], -1 behind a text's end; L is the longest text's, at most ``max_length``."""

    tokenizer: Tokenizer
    max_length: int

    def __call__(self, contents: Sequence[Any]) -> torch.Tensor:
        for index, content in enumerate(contents):
            if not isinstance(content, str):
                wrong = "bytes that are no UTF-8" if isinstance(content, bytes) else type(content).__name__
                raise Undecodable(index, f"{wrong} instead of text")
        most = _CHARACTERS_A_TOKEN * self.max_length  # what stands behind would be cut anyway
        texts = [content[:most] for content in contents]
        return padded([e.ids[: self.max_length] for e in self.tokenizer.encode_batch_fast(texts)])


def padded(ids: Sequence[Sequence[int]]) -> torch.Tensor:
    """Rows of different lengths as one int64 [B, L], at least one column, with -1 behind their ends."""
    out = torch.full((len(ids), max([1, *map(len, ids)])), PADDING)
    for row, tokens in enumerate(ids):
        out[row, : len(tokens)] = torch.tensor(tokens, dtype=torch.int64)
    return out


def train_tokenizer(texts: Iterable[str], vocabulary: int) -> Tokenizer:
    """Pieces of the words of ``texts``, lower case, no accents, at most ``vocabulary``; the same for the same texts.

    Byte-pair encoding over letters: WordPiece numbers the pieces inside words in the order of a hash, which differs. Of
    a text its first 10,000 characters count: the time that a word takes grows with the square of its length.

    Raises InputError where there are no words.
    """
    tokenizer = Tokenizer(models.BPE(unk_token=_UNKNOWN, fuse_unk=True))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary, special_tokens=[_UNKNOWN, _START], show_progress=False, limit_alphabet=1000
    )
    tokenizer.train_from_iterator((text[:_MOST_CHARACTERS] for text in texts), trainer)
    if tokenizer.get_vocab_size() <= 2:
        raise InputError("the train split has no words to make a vocabulary of; look at its text column")
    start = tokenizer.token_to_id(_START)
    tokenizer.post_processor = processors.TemplateProcessing(single=f"{_START} $A", special_tokens=[(_START, start)])
    return tokenizer


def read_tokenizer(text: str) -> Tokenizer:
    """The tokenizer that ``train_tokenizer`` made and ``to_str`` wrote. Raises ValueError where it is another.

    One of other parts may hold regular expressions, which may take for ever.
    """
    made, given = json.loads(train_tokenizer(["a"], 100).to_str()), parse_json(text, "its vocabulary")
    model = given.get("model") if isinstance(given, dict) else None
    if not isinstance(model, dict) or model.get("type") != "BPE" or any(given.get(k) != made[k] for k in _FIXED):
        raise ValueError("its vocabulary is not one of this project's")
    try:
        tokenizer = Tokenizer.from_str(text)
    except Exception as error:  # the library raises nothing more precise
        raise ValueError(f"its vocabulary is not readable: {error}") from None
    most = max([*tokenizer.get_vocab().values(), *tokenizer.encode("a").ids], default=0)
    if most >= tokenizer.get_vocab_size():
        raise ValueError(f"its vocabulary has a token {most}, and {tokenizer.get_vocab_size()} in all")
    return tokenizer
