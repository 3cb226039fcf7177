"""New versions of an exported model for trials: whole, with answers of their own, damaged, half written."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np

from embeddings.files.file_entry import FileEntry
from embeddings.files.json_file import write_json
from recsys.exported.manifest import Manifest, read_manifest
from recsys.exported.version_manifest import write_manifest
from recsys.exported.versions import CURRENT, Current, Versions

KEPT = 3
_TABLE = "tables/item.npy"


def copied(model: Path, to: Path) -> Versions:
    """A copy of an exported model to publish in."""
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(model, to)
    return Versions(to)


def publish(source: Path, versions: Versions) -> str:
    """The next version, a copy of ``source`` whose item table is times a number of its own; its number."""
    manifest = read_manifest(source)
    with versions.writing(manifest.source.step, KEPT) as (version, folder):
        shutil.copytree(source, folder, dirs_exist_ok=True)
        table = np.load(folder / _TABLE)
        np.save(folder / _TABLE, table * np.float32(1 + int(version) / 100))
        facts = manifest.model_dump(mode="json") | {"version": version}
        facts["files"][_TABLE] = FileEntry.of(folder / _TABLE).model_dump()
        write_manifest(folder, Manifest.model_validate(facts))
    return version


def publish_spoilt(source: Path, versions: Versions, spoil: Callable[[Path], None]) -> str:
    """The next version, a copy of ``source`` that ``spoil`` spoils, named by current.json as if it were whole."""
    version = f"{int(versions.current()) + 1:06d}"
    folder = versions.folder(version)
    shutil.copytree(source, folder)
    write_manifest(folder, read_manifest(source).model_copy(update={"version": version}))
    spoil(folder)
    current = Current(version=version, step=read_manifest(source).source.step, published="now")
    write_json(versions.root / CURRENT, current.model_dump())
    return version


def damage(folder: Path) -> None:
    """Another byte in the midst of a table."""
    with open(folder / _TABLE, "r+b") as file:
        file.seek((folder / _TABLE).stat().st_size // 2)
        byte = file.read(1)
        file.seek(-1, 1)
        file.write(bytes([byte[0] ^ 1]))


def cut(folder: Path) -> None:
    """A table that was not written to its end, as where a copy was stopped."""
    with open(folder / _TABLE, "r+b") as file:
        file.truncate((folder / _TABLE).stat().st_size // 2)
