"""Thread-safe LRU cache of decoded pictures, within a bound of memory; texts are decoded each time."""

import threading
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any

import torch

from embeddings.errors import InputError
from recsys.scl.encoders.encoder import Encoder, Undecodable


class DecodedContents:
    """Decoded contents of one table.

    Args:
        encoder: whose decoder it is.
        place: row -> what an error calls the content.
        cache_bytes: of decoded pictures to keep, the last used ones; texts are quicker to decode than to keep.
    """

    def __init__(self, encoder: Encoder, place: Callable[[int], str], cache_bytes: int) -> None:
        self._decode, self._place = encoder.decoder, place
        self._most = cache_bytes if encoder.kind == "image" else 0
        self._kept: OrderedDict[int, torch.Tensor] = OrderedDict()
        self._bytes = 0
        self._lock = threading.Lock()

    def decoded(self, rows: Sequence[int], content: Callable[[int], Any]) -> torch.Tensor:
        """The contents of ``rows`` as their encoder takes them. Raises InputError for one that cannot be decoded."""
        if not self._most:
            return self._decoded(rows, content)
        cached = self._known(rows)
        missing = sorted({row for row in rows if row not in cached})
        if missing or not rows:
            some = self._decoded(missing, content)
            if not rows:
                return some
            cached |= {row: some[i] for i, row in enumerate(missing)}
            self._keep({row: cached[row] for row in missing})
        return torch.stack([cached[row] for row in rows])

    def _decoded(self, rows: Sequence[int], content: Callable[[int], Any]) -> torch.Tensor:
        try:
            return self._decode([content(row) for row in rows])
        except Undecodable as error:
            raise InputError(
                f"{self._place(rows[error.index])} cannot be decoded ({error}); allowed: whole JPEG or PNG files, or "
                f"text; remove the row, or write it again"
            ) from error

    def _known(self, rows: Sequence[int]) -> dict[int, torch.Tensor]:
        with self._lock:
            cached = {row: self._kept[row] for row in rows if row in self._kept}
            for row in cached:
                self._kept.move_to_end(row)
        return cached

    def _keep(self, some: dict[int, torch.Tensor]) -> None:
        with self._lock:
            for row, value in some.items():
                if row not in self._kept:
                    self._kept[row] = value.clone()  # not a view, which would hold its whole batch
                    self._bytes += value.nbytes
            while self._bytes > self._most:
                self._bytes -= self._kept.popitem(last=False)[1].nbytes
