"""Manifests that are damaged, half-written or somebody else's: one line each; files are what their digests say."""

import json
import os
import shutil
from pathlib import Path
from typing import Any

import pytest

from embeddings.errors import InputError
from recsys.exported.manifest import read_manifest, table_files
from recsys.exported.version_manifest import check_content
from tests.recsys.exported.artefacts import export, make_ready


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory) -> Path:
    settings = {"over_arch": [4], "multimodal": {"mode": "simtier", "num_tiers": 4}}
    return export(tmp_path_factory.mktemp("manifests") / "m", data, settings, dtype="int8").folder


@pytest.fixture
def version(whole, tmp_path) -> Path:
    """A version that a test may spoil."""
    return Path(shutil.copytree(whole, tmp_path / whole.name))


def refused(folder: Path) -> str:
    with pytest.raises(InputError) as caught:
        check_content(folder, read_manifest(folder))
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 1000
    return str(caught.value)


def test_what_was_written_is_read(version):
    manifest = read_manifest(version)
    assert manifest.version == "000001" and {t.dtype for t in manifest.tables.values()} == {"int8"}
    assert manifest.model.over_arch == [4], "an architecture's own keys are kept"
    check_content(version, manifest)
    on_disk = {str(p.relative_to(version)) for p in version.rglob("*") if p.is_file()}
    assert on_disk == {*manifest.files, "manifest.json", "READY"}


def test_a_version_without_ready_was_not_written_to_the_end(version):
    (version / "READY").unlink()
    assert "has no READY: it is no version of a model, or was not written to the end; copy" in refused(version)
    (version / "READY").mkdir()
    assert "has no READY" in refused(version)


@pytest.mark.parametrize("ready", ["", "x", "0" * 64, "0" * 10_000, "\n"])
def test_ready_is_the_digest_of_the_manifest(version, ready):
    (version / "READY").write_text(ready)
    assert "manifest.json' has changed since it was written; copy that version again, or" in refused(version)


def test_a_changed_manifest_is_refused(version):
    path = version / "manifest.json"
    path.write_text(path.read_text().replace('"epoch": 1', '"epoch": 2'))
    assert "manifest.json' has changed since it was written" in refused(version)


@pytest.mark.parametrize("spoil", [Path.unlink, lambda p: p.write_bytes(b""), lambda p: p.write_bytes(b"{" * 100_000)])
def test_no_manifest(version, spoil):
    spoil(version / "manifest.json")
    assert "manifest.json'" in refused(version)


def test_pipes_and_folders_are_no_manifest_and_huge_ones_are_not_read(version):
    path = version / "manifest.json"
    path.unlink()
    os.mkfifo(path)
    assert "is no file" in refused(version)
    path.unlink()
    path.mkdir()
    assert "is a folder" in refused(version)
    path.rmdir()
    path.touch()
    os.truncate(path, 1 << 40)
    assert "has more than 16,384 KiB" in refused(version)


EDITS: dict[str, Any] = {
    "version": (
        lambda m: m.update(version="000002"),
        "is called 000001, but its manifest.json says 000002",
    ),
    "format": (lambda m: m.update(format=2), "format: Input should be 1, got 2"),
    "key": (lambda m: m.update(modle=1), "unknown key 'modle'; did you mean 'model'?"),
    "gone": (lambda m: m.pop("stores"), "stores: Field required"),
    "rows": (lambda m: m["tables"]["user"].update(rows=0), "tables.user.rows: "),
    "huge": (lambda m: m["tables"]["user"].update(rows=10**13), "tables.user.rows: "),
    "dtype": (lambda m: m["tables"]["user"].update(dtype="int4"), "tables.user.dtype: "),
    "other dtype": (lambda m: m["tables"]["user"].update(dtype="float32"), "but these tables need"),
    "more files": (lambda m: m["files"].update({"x": m["files"]["warmup.json"]}), "but these tables need"),
    "fewer files": (lambda m: m["files"].pop("warmup.json"), "but these tables need"),
    "a path": (lambda m: m["files"].update({"../x": m["files"].pop("warmup.json")}), "but these tables need"),
    "table's path": (lambda m: m["tables"].update({"../../user": m["tables"].pop("user")}), "it is a path"),
    "modality's path": (lambda m: m["stores"].update({"a/b": m["stores"].pop("text")}), "it is a path"),
    "digest": (lambda m: m["files"]["warmup.json"].update(sha256="0"), "files.warmup.json.sha256: "),
    "checksum": (lambda m: m["stores"]["text"].update(checksum=7), "stores.text.checksum: "),
    "arch": (lambda m: m["model"].update(arch=3), "arch '3' is none of din, make"),
    "setting": (lambda m: m["model"].update(over_arch=[-1]), "model.over_arch.0: "),
}


@pytest.mark.parametrize("name", EDITS)
def test_a_manifest_of_odd_content_is_one_line(version, name):
    edit, words = EDITS[name]
    raw = json.loads((version / "manifest.json").read_text())
    edit(raw)
    (version / "manifest.json").write_text(json.dumps(raw))
    make_ready(version)
    assert words in refused(version)


def test_every_file_is_checked(version):
    manifest = read_manifest(version)
    for name in manifest.files:
        path = version / name
        content = path.read_bytes()
        path.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        check_content(version, manifest, digests=False)
        assert f"{name}' has changed since it was written; copy that version again" in refused(version)
        path.write_bytes(content + b"\0")
        with pytest.raises(InputError, match="bytes instead of"):
            check_content(version, manifest, digests=False)
        path.unlink()
        assert f"{name}' is missing, or no file" in refused(version)
        path.write_bytes(content)
    check_content(version, manifest)


def test_names_of_a_tables_files():
    assert table_files("a", "float32") == table_files("a", "float16") == ["tables/a.npy", "tables/a.trained.npy"]
    assert table_files("a", "int8") == ["tables/a.npy", "tables/a.trained.npy", "tables/a.scale.npy"]
