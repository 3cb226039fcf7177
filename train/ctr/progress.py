"""What progress.json of a CTR run's checkpoint holds for those who read it."""

from pydantic import BaseModel

from embeddings.validation import Count
from train.data.read_position import SavedPosition
from train.run.trainer_state import RunProgress


class _Named(BaseModel, extra="allow"):
    name: str


class _Data(BaseModel, extra="allow"):
    path: str


class _Train(BaseModel, extra="allow"):
    select: str = "gauc"  # the defaults, in configs of old
    seed: int = 0
    reset_tables: str = "never"


class _SavedConfig(BaseModel, extra="allow"):
    data: _Data
    train: _Train = _Train()
    sparse_optimizer: _Named


class CTRProgress(RunProgress):
    """``columns``: table -> where its column shards began, and its width; ``stores``: modality -> checksum."""

    reader: SavedPosition
    stores: dict[str, str]
    columns: dict[str, list[Count]]
    config: _SavedConfig
