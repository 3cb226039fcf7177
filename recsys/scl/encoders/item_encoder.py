"""Item encoder: a trained encoder with a name, decoding one content at a time, for stores and for the live index."""

import hashlib
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch.nn.utils.rnn import pad_sequence

from recsys.scl.encoders.encoder_folder import load_encoder
from recsys.scl.encoders.tokenizer import PADDING


class ItemEncoder:
    """The encoder in ``folder``. Raises InputError where there is none.

    name      what stores and indexes of its vectors say made them: given, or of the folder and the weights
    kind      image or text
    identity  SHA-256 of the weights
    """

    def __init__(self, folder: Path, device: torch.device, name: str | None = None) -> None:
        encoder = load_encoder(folder)
        digest = hashlib.sha256()
        for value in encoder.state_dict().values():
            digest.update(value.contiguous().reshape(-1).view(torch.uint8).numpy())
        self.identity = digest.hexdigest()
        self.name = name or f"{folder} ({self.identity[:12]})"
        self.kind, self.width = encoder.kind, encoder.width
        self._encoder, self._device = encoder.to(device), device

    def decode(self, content: Any) -> torch.Tensor:
        """One picture uint8 [3, S, S], or the token ids int64 [L] of one text. Raises Undecodable."""
        return self._encoder.decoder([content])[0]

    def warm_up(self) -> None:
        """Encode something of no meaning: what libraries do once, they do now."""
        content: Any = "a"
        if self.kind == "image":
            file = io.BytesIO()
            Image.new("RGB", (8, 8)).save(file, "PNG")
            content = file.getvalue()
        self.vectors([self.decode(content)])

    @torch.no_grad()
    def vectors(self, decoded: Sequence[torch.Tensor]) -> np.ndarray:
        """[n, M] float32, not normalised."""
        texts, contents = self.kind == "text", list(decoded)
        batch = pad_sequence(contents, batch_first=True, padding_value=PADDING) if texts else torch.stack(contents)
        return self._encoder.project(self._encoder.backbone(batch.to(self._device))).float().cpu().numpy()
