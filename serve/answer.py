"""What a scorer answers to a request, and how it fails at one."""

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from serve.unknown import Unknown


@dataclass(frozen=True)
class Answer:
    """Scores of a request's candidates.

    logits   [N]  float32
    scores   [N]  float32, probabilities of a click
    version  of the model
    stores   modality -> checksum of its frozen store
    unknown  what the model did not know
    truncated  feature -> lists that were cut to max_length
    """

    logits: np.ndarray
    scores: np.ndarray
    version: str
    stores: Mapping[str, str]
    unknown: Unknown
    truncated: Mapping[str, int] = field(default_factory=dict)


class NotFinite(ArithmeticError):
    """A model whose logits of a request are not all finite: its weights are spoilt, or too large for float32."""
