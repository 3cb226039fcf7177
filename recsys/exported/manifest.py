"""The manifest of an exported model: where it comes from, what it needs, and the digests of its files."""

from pathlib import Path
from typing import Any

from pydantic import Field, SerializeAsAny, model_validator

from embeddings.frozen.quantise import StoredDtype
from embeddings.planner.table_constraint import MOST_COLUMNS, MOST_TABLE_ROWS
from embeddings.validation import Count, FileName, Strict
from recsys.exported.version_manifest import VersionManifest, read_version
from recsys.models.arch_config import RegisteredArch
from recsys.schema import SCHEMA_FILE
from recsys.stream.position import StreamPosition

DENSE, WARMUP, TABLES = "dense.safetensors", "warmup.json", "tables"


class TableEntry(Strict):
    """One ID table."""

    rows: int = Field(ge=1, le=MOST_TABLE_ROWS)
    width: int = Field(ge=1, le=MOST_COLUMNS)
    dtype: StoredDtype


class StoreEntry(Strict):
    """The frozen store, or live index, that a modality was trained with. ``path`` is where it lay then."""

    checksum: str = Field(pattern="^[0-9a-f]{64}$")
    width: int = Field(ge=1)
    count: int = Field(ge=0)  # a live index may have been empty
    encoder: str
    path: str


class Source(Strict):
    """The run and the checkpoint that were exported. ``epoch`` counts from 1; ``stream`` is of near-line training."""

    run: str
    checkpoint: str
    step: Count
    epoch: Count
    stream: StreamPosition | None = None


class LogitsChange(Strict):
    """By how much tables of fewer bits change logits: of ``rows`` rows of a split, the absolute differences."""

    split: str
    rows: int = Field(ge=1)
    largest: float = Field(ge=0)
    mean: float = Field(ge=0)


class WarmupRequest(Strict):
    """A request as JSON has it."""

    context: dict[str, Any]
    candidates: dict[str, Any]


class Warmup(Strict):
    """warmup.json: requests to answer before traffic comes."""

    requests: list[WarmupRequest]


class Manifest(VersionManifest):
    """manifest.json."""

    source: Source
    model: SerializeAsAny[RegisteredArch]
    tables: dict[FileName, TableEntry]
    stores: dict[FileName, StoreEntry]
    # None of tables that are all float32, and where no split was there to measure it
    logits_change: LogitsChange | None = None

    @model_validator(mode="after")
    def _belong_together(self) -> "Manifest":
        wanted = {SCHEMA_FILE, DENSE, WARMUP}
        for name, table in self.tables.items():
            wanted |= set(table_files(name, table.dtype))
        if set(self.files) != wanted:
            raise ValueError(f"files are {sorted(self.files)}, but these tables need {sorted(wanted)}")
        return self


def table_files(name: str, dtype: str) -> list[str]:
    """Files of a table, relative to its version's folder: rows, trained bits and, for int8, scales."""
    kinds = ["", ".trained", *([".scale"] if dtype == "int8" else [])]
    return [f"{TABLES}/{name}{kind}.npy" for kind in kinds]


def read_manifest(folder: Path) -> Manifest:
    """The manifest of the version in ``folder``. Raises InputError where it is missing, half-written or damaged."""
    return read_version(folder, Manifest)
