"""pairs.yaml: what a folder of contrastive pairs holds, and in which columns.

FOLDER/pairs.yaml
FOLDER/train/*.parquet, FOLDER/validation/*.parquet, FOLDER/test/*.parquet    one row a pair
FOLDER/items/*.parquet                                                        one row an item, with its content
"""

from pathlib import Path
from typing import Literal

from pydantic import Field

from embeddings.errors import InputError
from embeddings.files.yaml_file import read_yaml, write_yaml
from embeddings.validation import LocalPath, Strict, validated

Kind = Literal["image", "text"]
PAIRS_FILE = "pairs.yaml"


class Query(Strict):
    """What the user gave: a picture or words."""

    column: str = Field("query", description="bytes of a JPEG or PNG, or a string; never null")
    kind: Kind


class Reference(Strict):
    """A column that names an item."""

    column: str = Field(description="int64 id of an item")


class Items(Strict):
    """The content of every item that a pair names."""

    path: LocalPath = Field("items", description="folder of parquet, below the data folder")
    id: str = Field("item", description="column of int64 ids, each once")
    column: str = Field(description="bytes of a JPEG or PNG, or a string; never null")
    kind: Kind


class Pairs(Strict):
    """Positive pairs of a query and the item that was then bought."""

    query: Query
    positive: Reference
    negative: Reference | None = Field(
        None, description="an item that was looked at and not bought, a hard negative; null where there is none"
    )
    items: Items

    @property
    def joint(self) -> bool:
        """Whether queries and items are of different kinds, and so have an encoder each."""
        return self.query.kind != self.items.kind


def load_pairs(folder: str | Path) -> Pairs:
    """Read ``folder/pairs.yaml``. Raises InputError."""
    path = Path(folder) / PAIRS_FILE
    if not path.is_file():
        raise InputError(f"'{path}' does not exist; make the folder with python -m train prepare, or see docs/data.md")
    return validated(Pairs, read_yaml(path, "pairs file"), where=f"'{path}'")


def save_pairs(pairs: Pairs, folder: str | Path) -> None:
    """Write ``folder/pairs.yaml``."""
    write_yaml(Path(folder) / PAIRS_FILE, pairs.model_dump())
