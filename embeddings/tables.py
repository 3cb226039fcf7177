"""Embedding tables as TorchRec collections, on the meta device until they are sharded."""

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import nn
from torchrec.modules.embedding_configs import EmbeddingBagConfig, EmbeddingConfig, PoolingType
from torchrec.modules.embedding_modules import EmbeddingBagCollection, EmbeddingCollection

_PREFIX = "_schema_"  # no name of a schema begins with an underscore, and no attribute of torch's with this
_TAKEN = nn.ModuleDict()


def module_name(name: str) -> str:
    """The key in an ``nn.ModuleDict`` of what the schema calls ``name``: ``name``, unless torch has taken that.

    A ModuleDict refuses the names of its own attributes, such as items, type and values; those get a prefix.
    """
    return f"{_PREFIX}{name}" if hasattr(_TAKEN, name) else name


def schema_name(module_name: str) -> str:
    """What the schema calls the module that ``module_name`` gave a key."""
    return module_name.removeprefix(_PREFIX)


@dataclass(frozen=True, kw_only=True)
class TableConfig:
    """One table and the features that look up in it.

    num_embeddings  rows
    embedding_dim   D, columns
    features        names of the KeyedJaggedTensor's keys that read it
    pooled          held by the EmbeddingBagCollection, else by the EmbeddingCollection of the sequences
    mean_length     mean ids per feature and example; the planner's pooling factor
    zch             rows are given to ids as they come (embeddings/zch.py)
    """

    name: str
    num_embeddings: int
    embedding_dim: int
    features: tuple[str, ...]
    pooled: bool
    mean_length: tuple[float, ...]
    zch: bool = False


def bag_collection(tables: Iterable[TableConfig]) -> EmbeddingBagCollection:
    """Pooled tables: ``KeyedJaggedTensor -> KeyedTensor`` with one [B, D] sum per feature.

    Always sums: TorchRec 1.8 gives wrong means for grid_shard, and where row-wise and other tables mix, so the model
    divides by the bag's length itself.
    """
    return EmbeddingBagCollection(
        device=torch.device("meta"),
        tables=[
            EmbeddingBagConfig(
                name=module_name(t.name),
                num_embeddings=t.num_embeddings,
                embedding_dim=t.embedding_dim,
                feature_names=list(t.features),
                pooling=PoolingType.SUM,
            )
            for t in tables
        ],
    )


def sequence_collection(tables: Iterable[TableConfig]) -> EmbeddingCollection:
    """Sequence tables: ``KeyedJaggedTensor -> dict of JaggedTensor`` with values [T, D]."""
    return EmbeddingCollection(
        device=torch.device("meta"),
        tables=[
            EmbeddingConfig(
                name=module_name(t.name),
                num_embeddings=t.num_embeddings,
                embedding_dim=t.embedding_dim,
                feature_names=list(t.features),
            )
            for t in tables
        ],
    )
