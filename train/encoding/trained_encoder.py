"""An encoder that ``train scl`` wrote, from its folder."""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch.nn.utils.rnn import pad_sequence

from recsys.scl.encoders.encoder_folder import load_encoder
from recsys.scl.encoders.tokenizer import PADDING
from train.encoding.item_files import ItemFiles


class TrainedEncoder:
    """The encoder in a folder; see ``open_encoder.ItemEncoder``. Raises InputError where there is none."""

    def __init__(self, folder: Path, device: torch.device) -> None:
        encoder = load_encoder(folder)
        digest = hashlib.sha256()
        for value in encoder.state_dict().values():
            digest.update(value.contiguous().reshape(-1).view(torch.uint8).numpy())
        self.identity = digest.hexdigest()
        self.name = f"{folder} ({self.identity[:12]})"
        self.kind = encoder.kind
        self._encoder, self._device = encoder.to(device), device

    def fit(self, items: ItemFiles) -> None:
        """Nothing: it is trained already."""

    def decode(self, content: Any) -> torch.Tensor:
        """One picture uint8 [3, S, S], or the token ids int64 [L] of one text. Raises Undecodable."""
        return self._encoder.decoder([content])[0]

    @torch.no_grad()
    def vectors(self, decoded: Sequence[torch.Tensor]) -> np.ndarray:
        """[n, M] float32, not normalised."""
        texts, contents = self.kind == "text", list(decoded)
        batch = pad_sequence(contents, batch_first=True, padding_value=PADDING) if texts else torch.stack(contents)
        return self._encoder.project(self._encoder.backbone(batch.to(self._device))).float().cpu().numpy()
