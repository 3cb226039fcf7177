"""An encoder that ``train scl`` wrote, from its folder or from a version that was exported."""

from pathlib import Path

import torch

from recsys.exported.encoder import open_exported_encoder
from recsys.exported.versions import Versions
from recsys.scl.encoders.item_encoder import ItemEncoder
from train.encoding.item_files import ItemFiles


class TrainedEncoder(ItemEncoder):
    """See ``open_encoder.ItemEncoder``."""

    def fit(self, items: ItemFiles) -> None:
        """Nothing: it is trained already."""


def open_current(root: Path, device: torch.device) -> TrainedEncoder:
    """The current version of the exported encoder in folder ``root``. Raises InputError."""
    versions = Versions(root)
    return open_exported_encoder(versions.folder(versions.current()), device, TrainedEncoder)
