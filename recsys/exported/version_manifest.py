"""Manifest of an exported version, of whatever kind: digests of its files, and READY, which says that it is whole."""

from pathlib import Path
from typing import Literal, TypeVar

from pydantic import Field

from embeddings.errors import InputError, first_line
from embeddings.files.file_entry import FileEntry, sha256
from embeddings.files.json_file import read_json, write_json
from embeddings.validation import Strict, validated

MANIFEST, READY = "manifest.json", "READY"
EXPORT_AGAIN = "copy that version again, or export the run anew"
VERSION = r"^[0-9]{6,12}$"
_MOST_MANIFEST_BYTES, _MOST_READY_BYTES = 16 << 20, 128


class VersionManifest(Strict):
    """What the manifest.json of every kind of export says. ``files`` are all others but READY, relative to it."""

    format: Literal[1] = 1
    version: str = Field(pattern=VERSION)
    created: str
    tierwise: str
    files: dict[str, FileEntry]


Sealed = TypeVar("Sealed", bound=Strict)
OfKind = TypeVar("OfKind", bound=VersionManifest)


def read_sealed(folder: Path, kind: type[Sealed], what: str, next_step: str) -> Sealed:
    """The manifest in ``folder`` that READY is beside.

    Args:
        what: the folder is to be, such as "version of a model".
        next_step: what can be done about one that is not whole.

    Raises InputError where it is missing, half-written or damaged.
    """
    path = folder / MANIFEST
    try:
        if not (folder / READY).is_file():
            raise InputError(f"'{folder}' has no {READY}: it is no {what}, or was not written to the end")
        raw = read_json(path, "manifest", _MOST_MANIFEST_BYTES)  # which refuses pipes, and what is too large
        with open(folder / READY, "rb") as ready:
            if ready.read(_MOST_READY_BYTES).strip() != sha256(path).encode():
                raise InputError(f"'{path}' has changed since it was written")
        return validated(kind, raw, f"'{path}'")
    except (InputError, OSError) as error:
        raise InputError(f"{error if isinstance(error, InputError) else first_line(error)}; {next_step}") from None


def read_version(folder: Path, kind: type[OfKind]) -> OfKind:
    """The manifest of the version in ``folder``. Raises InputError where it is missing, half-written or damaged."""
    manifest = read_sealed(folder, kind, "version of a model", EXPORT_AGAIN)
    if manifest.version != folder.name:
        raise InputError(f"'{folder}' is called {folder.name}, but its {MANIFEST} says {manifest.version}; name it so")
    return manifest


def write_manifest(folder: Path, manifest: Strict) -> None:
    """Write manifest.json of a folder whose other files are there, then READY. Raises OSError."""
    write_json(folder / MANIFEST, manifest.model_dump(mode="json"))
    (folder / READY).write_text(sha256(folder / MANIFEST) + "\n")


def file_entries(folder: Path) -> dict[str, FileEntry]:
    """``files`` of all that is in ``folder``. Raises OSError."""
    return {str(path.relative_to(folder)): FileEntry.of(path) for path in sorted(folder.rglob("*")) if path.is_file()}


def check_content(folder: Path, manifest: VersionManifest, *, digests: bool = True) -> None:
    """Compare the sizes of a version's files with the manifest's and, where ``digests``, what they hold, read whole.

    Raises InputError.
    """
    for name, entry in manifest.files.items():
        entry.check(folder / name, digests, EXPORT_AGAIN)
