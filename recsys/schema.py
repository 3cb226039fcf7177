"""The data schema: how the columns of parquet rows become features, tables and modalities."""

import re
from pathlib import Path
from typing import Literal

from pydantic import Field, model_validator

from embeddings.errors import InputError, shown
from embeddings.files.file_name import file_name
from embeddings.files.yaml_file import read_yaml, write_yaml
from embeddings.planner.table_constraint import MOST_COLUMNS, MOST_TABLE_ROWS
from embeddings.validation import StorePath, Strict, validated

SCHEMA_FILE = "schema.yaml"  # of a data folder, and of a run
_NAME = re.compile(r"[^\W_][\w-]*")


class TableSchema(Strict):
    """One embedding table, shared by every feature that names it."""

    RENAMED_VALUES = {"ids": {"managed": "zch"}}

    num_embeddings: int = Field(ge=1, le=MOST_TABLE_ROWS, description="rows of the table")
    embedding_dim: int | None = Field(None, ge=1, le=MOST_COLUMNS, description="width; null takes model.embedding_dim")
    ids: Literal["modulo", "hash", "identity", "zch"] = Field(
        "modulo",
        description="modulo: any int64, id mod rows; hash: any int64, mixed first, so that no pattern of ids "
        "makes them share rows; identity: ids are rows, others are an error; zch: any int64, each gets a row of "
        "its own while there are free ones (zero-collision hashing, TorchRec's MPZCH, CUDA only)",
    )


class Feature(Strict):
    """One model input, read from one column."""

    name: str
    column: str | None = Field(None, description="parquet column; null takes the feature's name")
    kind: Literal["id", "bag", "sequence", "dense"] = Field(
        description="id: one int64; bag: list<int64>, pooled; sequence: list<int64>, oldest first, "
        "attended by its target; dense: one float"
    )
    table: str | None = Field(None, description="embedding table of an id, bag or sequence")
    target: str | None = Field(None, description="sequence only: the id feature that attends to it, on the same table")
    max_length: int | None = Field(
        None, ge=1, le=10**6, description="bag and sequence: keep the newest; the rest is cut and counted"
    )
    pooling: Literal["sum", "mean"] = Field("mean", description="bag only")

    @property
    def source(self) -> str:
        """The parquet column that it is read from."""
        return self.column or self.name


class Modality(Strict):
    """Frozen vectors of one kind: which store, and which raw ids they are looked up by."""

    store: StorePath = Field(description="folder of the frozen store; relative paths start at the schema's folder")
    target: str = Field(description="id feature whose raw ids name the target items")
    history: str = Field(description="sequence feature whose raw ids name the behaviours")
    max_missing: float = Field(
        0.5, ge=0, le=1, description="largest share of lookups without a vector before reading stops with an error"
    )

    def store_path(self, folder: str | Path) -> str:
        """Path or URI of the frozen store; ``folder`` is the schema's, where relative paths start."""
        return self.store if "://" in self.store else str(Path(folder) / self.store)


class Schema(Strict):
    """What each column of a data set means: features, tables, modalities.

    docs/data.md documents every field of its file, schema.yaml.
    """

    version: Literal[1] = 1
    label: str = Field("label", description="column with 0 or 1")
    user: str = Field("user", description="int64 column that groups impressions for GAUC")
    target: str = Field(
        "item", description="id feature of the impression's item: frequency groups and new items go by it"
    )
    timestamp: str | None = Field(None, description="int64 column, seconds; kept in predictions")
    frequency: Literal["rows", "clicks"] = Field(
        "rows",
        description="what counts as one occurrence of an item in training, for frequency groups and new items; clicks "
        "where negatives are sampled and were never shown",
    )
    tables: dict[str, TableSchema]
    features: list[Feature] = Field(min_length=1, max_length=10_000)
    modalities: dict[str, Modality] = {}

    @model_validator(mode="after")
    def _consistent(self) -> "Schema":
        for kind, names in (
            ("table", self.tables),
            ("modality", self.modalities),
            ("feature", [f.name for f in self.features]),
        ):
            for name in names:
                if not _NAME.fullmatch(name):
                    raise ValueError(
                        f"{kind} name {shown(name)} cannot name a part of the model; use letters, digits, '_' and '-', "
                        f"a letter or digit first; a feature's 'column' may be anything"
                    )
                file_name(name)  # that of a modality is a folder's
        by_name = {f.name: f for f in self.features}
        if len(by_name) != len(self.features):
            raise ValueError("feature names repeat; give each feature a name of its own")
        for f in self.features:
            self._check_feature(f, by_name)
        if (t := by_name.get(self.target)) is None or t.kind != "id":
            raise ValueError(f"target '{self.target}' is no feature of kind id; allowed: {self._names('id')}")
        for name, m in self.modalities.items():
            for role, kind in (("target", "id"), ("history", "sequence")):
                if getattr(m, role) not in self._names(kind):
                    raise ValueError(
                        f"modality '{name}': {role} '{getattr(m, role)}' is no feature of kind {kind}; "
                        f"allowed: {self._names(kind)}"
                    )
        unused = set(self.tables) - {f.table for f in self.features}
        if unused:
            raise ValueError(f"tables {sorted(unused)} are used by no feature; remove them")
        return self

    def _check_feature(self, f: Feature, by_name: dict[str, Feature]) -> None:
        for key, given, kinds in (
            ("max_length", f.max_length is not None, ("bag", "sequence")),
            ("target", f.target is not None, ("sequence",)),
            ("pooling", f.pooling != "mean", ("bag",)),
        ):
            if given and f.kind not in kinds:
                raise ValueError(
                    f"feature '{f.name}': '{key}' is for kind {' and '.join(kinds)}, this is {f.kind}; remove it"
                )
        if f.kind == "dense":
            if f.table:
                raise ValueError(f"feature '{f.name}' is dense and cannot have a table; remove 'table'")
            return
        if f.table not in self.tables:
            raise ValueError(f"feature '{f.name}': table '{f.table}' is not in tables; allowed: {sorted(self.tables)}")
        if f.kind == "sequence":
            target = by_name.get(f.target or "")
            if target is None or target.kind != "id" or target.table != f.table:
                allowed = [g.name for g in self.features if g.kind == "id" and g.table == f.table]
                raise ValueError(
                    f"sequence '{f.name}': target '{f.target}' must be an id feature on table '{f.table}'; "
                    f"allowed: {allowed}"
                )
        if f.kind == "bag" and f.table in self.sequence_tables:
            raise ValueError(
                f"bag '{f.name}' shares table '{f.table}' with a sequence; give the bag a table of its own"
            )

    def _names(self, kind: str) -> list[str]:
        return [f.name for f in self.features if f.kind == kind]

    @property
    def sequence_tables(self) -> set[str]:
        """Tables held by the EmbeddingCollection, because a sequence reads them."""
        return {f.table for f in self.features if f.kind == "sequence" and f.table is not None}

    def table_of(self, feature: Feature) -> TableSchema:
        """The table of an id, bag or sequence."""
        assert feature.table is not None, "dense features have none"
        return self.tables[feature.table]

    def feature(self, name: str) -> Feature:
        """The feature called ``name``, which there is."""
        return next(f for f in self.features if f.name == name)

    @property
    def pooled(self) -> list[Feature]:
        """Features of the EmbeddingBagCollection: ids and bags on tables that no sequence reads."""
        return [f for f in self.features if f.kind in ("id", "bag") and f.table not in self.sequence_tables]

    @property
    def sequential(self) -> list[Feature]:
        """Features of the EmbeddingCollection: sequences and the ids that share their tables."""
        return [f for f in self.features if f.table in self.sequence_tables]

    @property
    def dense(self) -> list[Feature]:
        """Features that are floats, in the order of the columns of ``Batch.dense``."""
        return [f for f in self.features if f.kind == "dense"]


def zch_tables(schema: Schema) -> dict[str, int]:
    """name -> rows of the tables with ids: zch, which give a row to each id as it first comes."""
    return {name: table.num_embeddings for name, table in schema.tables.items() if table.ids == "zch"}


def load_schema(folder: str) -> Schema:
    """Read ``folder/schema.yaml``. Raises InputError where it is missing or wrong."""
    path = Path(folder) / SCHEMA_FILE
    if not path.is_file():
        raise InputError(
            f"no schema.yaml in '{folder}'; make the folder with 'python -m train prepare', or write one: docs/data.md"
        )
    return validated(Schema, read_yaml(path, "schema"), where=str(path))


def save_schema(schema: Schema, folder: str) -> None:
    """Write ``folder/schema.yaml``."""
    raw = schema.model_dump(exclude_none=True, exclude_defaults=False)
    write_yaml(Path(folder) / SCHEMA_FILE, raw)
