"""Why an item has no vector: content that cannot be decoded, a vector without a direction."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np

from embeddings.errors import first_line


def decoded_or_reason(decode: Callable[[Any], Any], content: Any) -> tuple[Any, str | None]:
    """What ``decode`` gives of ``content``, or why it gives nothing."""
    if content is None:
        return None, "it is null"
    try:
        return decode(content), None
    except MemoryError:
        raise
    except Exception as error:  # image libraries raise many kinds for a broken file
        return None, re.sub(r" <_io\.BytesIO.*?>", "", first_line(error))  # the address in memory means nothing


def vector_faults(vectors: np.ndarray) -> list[str | None]:
    """Why each of ``vectors`` [n, M] has no place in a store; None where it has a direction."""
    finite = np.isfinite(vectors).all(axis=1)
    zero = (vectors == 0).all(axis=1)
    faults = np.where(~finite, "its vector is not finite", np.where(zero, "its vector is zero", ""))
    return [fault or None for fault in faults.tolist()]
