"""Encoders of ours, saved and loaded as they were; folders that are none or damaged."""

import json
import os
from pathlib import Path

import pytest
import torch

from embeddings.errors import InputError
from recsys.scl.encoders.encoder_folder import load_encoder, save_encoder
from tests.recsys.scl.encoders.small_encoders import assert_saved_and_loaded, contents, small
from tests.train.checkpoint.earlier import harmful


@pytest.mark.parametrize("kind", ["image", "text"])
def test_ours_are_what_was_saved(kind: str, tmp_path):
    assert_saved_and_loaded(small(kind), tmp_path / "encoder", contents(kind))


def test_saving_again_replaces(tmp_path):
    encoder = small("image")
    for _ in range(2):
        encoder.project.weight.data.add_(1)
        save_encoder(encoder, tmp_path / "encoder")
    assert torch.equal(load_encoder(tmp_path / "encoder").project.weight, encoder.project.weight)


def test_an_encoder_that_is_none_or_damaged_is_refused(tmp_path):
    with pytest.raises(InputError, match=r"no encoder: it has no encoder\.json"):
        load_encoder(tmp_path)
    save_encoder(small("image"), tmp_path / "encoder")
    weights = tmp_path / "encoder" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(InputError, match="damaged"):
        load_encoder(tmp_path / "encoder")


def spoilt(folder: Path, kind: str) -> Path:
    save_encoder(small(kind), folder)
    return folder


def edited(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def refused(folder: Path, words: str = "") -> None:
    with pytest.raises(InputError, match=rf"encoder '.*' is damaged \(.*{words}.*\); copy it again") as error:
        load_encoder(folder)
    assert len(str(error.value)) < 1000 and "\n" not in str(error.value)


def test_settings_larger_than_the_weights_take_no_memory(tmp_path):
    edited(spoilt(tmp_path / "image", "image") / "encoder.json", channels=[1 << 16] * 64, blocks=1000)
    refused(tmp_path / "image", "its settings make a network of more than")
    edited(spoilt(tmp_path / "text", "text") / "encoder.json", hidden=1 << 16, layers=1000, heads=1)
    refused(tmp_path / "text", "its settings make a network of more than")


PARTS = [
    {"model": {"type": "WordPiece", "vocab": {"a": 0}}},
    {"normalizer": {"type": "Replace", "pattern": {"Regex": "(a*)*b"}, "content": ""}},  # may take for ever
    {"pre_tokenizer": {"type": "Split", "pattern": {"Regex": "(a*)*b"}, "behavior": "Removed", "invert": False}},
    {"padding": {"strategy": {"Fixed": 10**12}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 0,
                 "pad_type_id": 0, "pad_token": "[PAD]"}},
    {"truncation": {"max_length": 1, "strategy": "LongestFirst", "stride": 0, "direction": "Right"}},
    {"model": {"type": "BPE", "vocab": {"a": 10**9}, "merges": []}},
    {"model": {"type": "BPE", "vocab": 7, "merges": []}},
    {"model": 7},
    {"post_processor": {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": "[CLS]", "type_id": 0}}],
                        "pair": [], "special_tokens": {"[CLS]": {"id": "[CLS]", "ids": [10**6], "tokens": ["x"]}}}},
]  # fmt: skip


@pytest.mark.parametrize("change", PARTS)
def test_a_vocabulary_of_other_parts_is_refused(tmp_path, change):
    edited(spoilt(tmp_path / "text", "text") / "tokenizer.json", **change)
    refused(tmp_path / "text", "its vocabulary")


@pytest.mark.parametrize("text", ["", "[", "null", "[]", "{}", "[" * 100_000, "\x80"])
def test_a_vocabulary_that_is_none_is_refused(tmp_path, text):
    (spoilt(tmp_path / "text", "text") / "tokenizer.json").write_bytes(text.encode("latin1"))
    refused(tmp_path / "text")


@pytest.mark.parametrize("file", ["encoder.json", "weights.safetensors", "tokenizer.json"])
def test_a_pipe_is_not_waited_for(tmp_path, file):
    path = spoilt(tmp_path / "text", "text") / file
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(InputError):
        load_encoder(tmp_path / "text")


def test_weights_of_another_kind_are_refused(tmp_path):
    folder = spoilt(tmp_path / "image", "image")
    (folder / "weights.safetensors").write_bytes(harmful(tmp_path / "mark"))
    refused(folder)
    assert not (tmp_path / "mark").exists()
