"""What a scorer does about what its model does not know, and the bounds of one request."""

from dataclasses import dataclass
from typing import Literal

from embeddings.errors import InputError, shown

OfIds = Literal["score", "zero", "refuse"]
OfVectors = Literal["score", "refuse"]


@dataclass(frozen=True)
class Policy:
    """What is done about what the model does not know.

    score: as the trainer would; zero: with zeros for an embedding that training never changed; refuse: the request is.

    item    a candidate whose embedding training never changed, or whose id is outside of its table
    user    the same of the user
    vector  a candidate without a vector in a modality
    """

    item: OfIds = "score"
    user: OfIds = "score"
    vector: OfVectors = "score"


@dataclass(frozen=True)
class Limits:
    """Bounds of one request.

    candidates   of them
    list_values  of one column's lists, before they are cut to max_length
    pairs        of a candidate and a value of its lists, as they are cut: what time and memory of scoring grow with
    """

    candidates: int = 10_000
    list_values: int = 100_000
    pairs: int = 10_000_000

    def check_rows(self, column: object, rows: int) -> None:
        """Raise InputError where a column has more rows than candidates may be."""
        if rows > self.candidates:
            raise InputError(
                f"candidates: column {shown(column)} has {rows:,} rows; allowed: at most {self.candidates:,}; send "
                f"several requests"
            )

    def check_lists(self, column: object, values: int) -> None:
        """Raise InputError where a column's lists have too many values."""
        if values > self.list_values:
            raise InputError(
                f"column {shown(column)} has {values:,} values in lists; allowed: at most {self.list_values:,}; send "
                f"the newest"
            )

    def check_pairs(self, candidates: int, pairs: int) -> None:
        """Raise InputError where a request is too much work."""
        if pairs > self.pairs:
            raise InputError(
                f"{candidates:,} candidates and their lists make {pairs:,} pairs; allowed: at most {self.pairs:,}; "
                f"send several requests"
            )


DEFAULT_POLICY, DEFAULT_LIMITS = Policy(), Limits()
