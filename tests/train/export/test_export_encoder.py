"""Exporting an encoder: versions with the name that stores carry; what is damaged, or about models, is refused."""

import shutil

import pytest
import torch

from embeddings.errors import InputError
from recsys.exported.encoder import open_exported_encoder, read_encoder_manifest
from recsys.exported.versions import Versions
from recsys.scl.encoders.item_encoder import ItemEncoder
from tests.serve.encode.services import PICTURES, exported, trained
from tests.train.launch import cli, one_line


@pytest.mark.parametrize("kind", ["image", "text"])
def test_a_version_gives_the_vectors_of_the_run(kind, tmp_path):
    run = trained(tmp_path / "run", kind)
    for source in (run, run / "encoder"):
        done = cli("export", source, "--out", tmp_path / "encoder")
        assert done.status == 0, done.err
    versions = Versions(tmp_path / "encoder")
    assert versions.current() == "000002" and f"exported encoder '{run}/encoder (" in done.out
    opened = open_exported_encoder(versions.folder("000002"), torch.device("cpu"), ItemEncoder)
    plain = ItemEncoder(run / "encoder", torch.device("cpu"))
    assert opened.name == plain.name and opened.identity == plain.identity
    content = PICTURES[0] if kind == "image" else "a red hat"
    assert (opened.vectors([opened.decode(content)]) == plain.vectors([plain.decode(content)])).all()
    assert [p for p in versions.folder("000002").rglob("*") if p.suffix in (".pt", ".pkl", ".bin")] == []


def test_what_an_encoder_has_no_use_for_is_refused(tmp_path):
    run = trained(tmp_path / "run")
    words = ("export", run, "--out", tmp_path / "encoder")
    one_line(cli(*words, "--dtype", "int8"), "--dtype is about models")
    one_line(cli(*words, "--table", "user=int8"), "--table is about models")
    one_line(cli(*words, "train.seed=3"), "without overrides")
    (run / "encoder" / "weights.safetensors").write_bytes(b"damaged")
    one_line(cli(*words), "is damaged")
    assert not (tmp_path / "encoder").exists()


def test_a_version_that_is_damaged_or_is_none_of_an_encoder(tmp_path):
    exported(tmp_path)
    version = tmp_path / "encoder" / "000001"
    weights = version / "encoder" / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"X")
    with pytest.raises(InputError, match="has changed since it was written"):
        open_exported_encoder(version, torch.device("cpu"), ItemEncoder)
    one_line(
        cli("encode", tmp_path / "encoder", "--items", tmp_path, "--column", "x", "--out", tmp_path / "s"), "changed"
    )
    shutil.rmtree(version)
    with pytest.raises(InputError, match="has no READY"):
        read_encoder_manifest(version)
