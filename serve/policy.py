"""What a scorer does about what its model does not know, and the bounds of one request."""

from dataclasses import dataclass
from typing import Literal

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
    """Bounds of one request: its candidates, and the values of one column's lists before they are cut to max_length."""

    candidates: int = 10_000
    list_values: int = 100_000


DEFAULT_POLICY, DEFAULT_LIMITS = Policy(), Limits()
