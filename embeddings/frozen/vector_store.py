"""What a model asks of its items' vectors, whether they lie in a frozen store or in a live index."""

from typing import Protocol

import numpy as np

from embeddings.frozen.quantise import StoredDtype


class VectorStore(Protocol):
    """Item id -> unit vector.

    path      the folder
    vectors   [N, M]  float32, float16 or int8; rows that ``rows`` gave are to be read, and no others of a live index
    scale     [N]     float32, or None unless int8; a dequantised row has norm 1
    encoder   names what made the vectors
    checksum  stands for the content; of a live index, for it and its encoder
    live      whether ids come and go while it is open: a live index
    """

    path: str
    vectors: np.ndarray
    scale: np.ndarray | None
    width: int
    dtype: StoredDtype
    encoder: str
    checksum: str
    live: bool

    @property
    def count(self) -> int:
        """Ids that have a vector; of a live index, as of the last look-up."""

    @property
    def nbytes(self) -> int:
        """Bytes of all vectors."""

    def rows(self, ids: np.ndarray) -> np.ndarray:
        """Row of each raw id, -1 for an id that has no vector.

        ids      [...]  int64, any value
        returns  [...]  int64
        """
