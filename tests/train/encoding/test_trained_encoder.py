"""Encoders that scl wrote: a run's folder or its encoder, pictures and texts."""

from pathlib import Path

import numpy as np
import pytest
import torch

from embeddings.frozen.store import FrozenStore
from recsys.scl.config import SCLModelConfig
from recsys.scl.encoders.build import build_encoder
from recsys.scl.encoders.encoder import Encoder
from recsys.scl.encoders.encoder_folder import save_encoder
from recsys.scl.encoders.tokenizer import train_tokenizer
from tests.recsys.datasets.folders import digests
from tests.train.encoding.shelf import pixels, png, write_items
from tests.train.launch import cli, finished, one_line, start_bare_ranks

COUNT = 600  # three parts
TITLES = ["red shoe", "a much longer title of a blue shoe with many words", "hat"]
SMALL = SCLModelConfig.model_validate(
    {
        "width": 12,
        "image": {"size": 16, "channels": [4, 8]},
        "text": {"hidden": 16, "heads": 2, "layers": 1, "max_length": 8, "vocabulary": 200},
    }
)


def saved(run: Path, kind: str) -> Encoder:
    """An encoder with other weights than a new one, in a run's folder."""
    torch.manual_seed(4)
    encoder = build_encoder(kind, SMALL, train_tokenizer(TITLES, 200) if kind == "text" else None).eval()
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    run.mkdir()
    save_encoder(encoder, run / "encoder")
    return encoder


@pytest.fixture(scope="module")
def shelf(tmp_path_factory) -> tuple[Path, list[bytes]]:
    contents = [png(p) for p in pixels(COUNT)]
    return write_items(tmp_path_factory.mktemp("shelf") / "items", range(COUNT), contents), contents


@torch.no_grad()
def test_pictures(shelf, tmp_path):
    items, contents = shelf
    encoder = saved(tmp_path / "run", "image")
    words = ("--items", items, "--column", "picture", "--dtype", "float32", "--batch-size", "100")
    done = cli("encode", tmp_path / "run", *words, "--out", tmp_path / "store")
    assert done.status == 0, done.err
    store = FrozenStore.open(str(tmp_path / "store"))
    decoded = encoder.decoder(contents)
    np.testing.assert_allclose(store.vectors, encoder(decoded).numpy(), atol=1e-5)
    assert store.encoder.startswith(str(tmp_path / "run" / "encoder"))
    norms = encoder.project(encoder.backbone(decoded)).norm(dim=1)
    assert f"norms       {norms.min():.4g} to {norms.max():.4g}, median" in done.out
    assert cli("encode", tmp_path / "run" / "encoder", *words, "--out", tmp_path / "again").status == 0
    assert FrozenStore.open(str(tmp_path / "again")).checksum == store.checksum


@torch.no_grad()
def test_texts_of_different_lengths(tmp_path):
    encoder = saved(tmp_path / "run", "text")
    items = write_items(tmp_path / "items", [7, 8, 9, 10], [*TITLES, None], "title")
    words = ("--items", items, "--column", "title", "--dtype", "float32", "--out", tmp_path / "store")
    done = cli("encode", tmp_path / "run", *words)
    assert done.status == 0 and "item 10: it is null" in done.out, done
    expected = torch.cat([encoder(encoder.decoder([title])) for title in TITLES])
    np.testing.assert_allclose(FrozenStore.open(str(tmp_path / "store")).vectors, expected.numpy(), atol=1e-5)


def test_other_weights_do_not_go_on_with_the_same_parts(shelf, tmp_path, monkeypatch):
    from train.encoding import encode_items as work

    encoder = saved(tmp_path / "run", "image")
    words = ("--items", shelf[0], "--column", "picture", "--out", tmp_path / "store")
    monkeypatch.setattr(work, "_store", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
    assert cli("encode", tmp_path / "run", *words).status == 130
    monkeypatch.undo()
    with torch.no_grad():
        encoder.project.bias += 1
    save_encoder(encoder, tmp_path / "run" / "encoder")
    one_line(cli("encode", tmp_path / "run", *words), "holds parts of another encoding (other: encoder)")


def test_folders_that_are_no_encoder(shelf, tmp_path):
    words = ("--items", shelf[0], "--column", "picture", "--out", tmp_path / "store")
    one_line(cli("encode", tmp_path, *words), "is no encoder")
    one_line(cli("encode", tmp_path / "nowhere", *words), "does not exist", "raw-pixels")
    saved(tmp_path / "text", "text")
    one_line(cli("encode", tmp_path / "text", *words), "the encoder reads texts")


@pytest.mark.slow
def test_two_ranks_write_the_same_bytes(shelf, tmp_path):
    saved(tmp_path / "run", "image")
    command = ("encode", tmp_path / "run", "--items", shelf[0], "--column", "picture", "--out")
    assert cli(*command, tmp_path / "one").status == 0
    done = [finished(p) for p in start_bare_ranks(2, *command, tmp_path / "two")]
    assert [d.status for d in done] == [0, 0], done
    assert digests(tmp_path / "one") == digests(tmp_path / "two")
