"""SparseArch: ids to ID embeddings, through collections that TorchRec shards."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torchrec.sparse.jagged_tensor import JaggedTensor, KeyedJaggedTensor, KeyedTensor

from embeddings.tables import TableConfig, bag_collection, sequence_collection
from embeddings.zch import zch_bag_collection, zch_sequence_collection
from recsys.schema import Feature, Schema

# Sums of embeddings by feature; a dict where some tables are managed.
Pooled = KeyedTensor | dict[str, torch.Tensor]


def table_configs(schema: Schema, embedding_dim: int, mean_lengths: Mapping[str, float]) -> list[TableConfig]:
    """The schema's tables.

    Args:
        embedding_dim: width of tables that name none.
        mean_lengths: feature name -> mean ids per row, for the planner; 1 where absent.
    """
    configs = []
    for name, table in schema.tables.items():
        features = [f for f in schema.features if f.table == name]
        configs.append(
            TableConfig(
                name=name,
                num_embeddings=table.num_embeddings,
                embedding_dim=table.embedding_dim or embedding_dim,
                features=tuple(f.name for f in features),
                pooled=name not in schema.sequence_tables,
                mean_length=tuple(mean_lengths.get(f.name, 1.0) for f in features),
                zch=table.ids == "zch",
            )
        )
    return configs


def collection_name(pooled: bool, zch: bool) -> str:
    """The attribute of ``SparseArch`` that holds the tables of this sort."""
    return ("managed_" if zch else "") + ("bags" if pooled else "sequences")


class SparseArch(nn.Module):
    """Collections of plain and of ZCH tables, pooled and not. Each may be absent; each takes its features out of all.

    Traced by TorchRec's pipeline, so ``forward`` only calls them.
    """

    bags: nn.Module | None
    sequences: nn.Module | None
    managed_bags: nn.Module | None
    managed_sequences: nn.Module | None

    def __init__(self, tables: list[TableConfig]) -> None:
        super().__init__()
        for build_collection, pooled, zch in (
            (bag_collection, True, False),
            (sequence_collection, False, False),
            (zch_bag_collection, True, True),
            (zch_sequence_collection, False, True),
        ):
            members = [t for t in tables if (t.pooled, t.zch) == (pooled, zch)]
            setattr(self, collection_name(pooled, zch), build_collection(members) if members else None)

    def forward(
        self, pooled: KeyedJaggedTensor | None, sequence: KeyedJaggedTensor | None
    ) -> tuple[Pooled | None, dict[str, JaggedTensor] | None]:
        bags = self.bags(pooled) if self.bags is not None else None
        sequences = self.sequences(sequence) if self.sequences is not None else None
        if self.managed_bags is not None:
            bags = _joined(bags, self.managed_bags(pooled)[0])
        if self.managed_sequences is not None:
            sequences = _joined(sequences, self.managed_sequences(sequence)[0])
        return bags, sequences


@torch.fx.wrap
def _joined(plain: Any, zch: Any) -> dict[str, Any]:
    """Outputs of two collections by feature."""
    parts = [
        part.to_dict() if hasattr(part, "to_dict") else dict(part.items()) for part in (plain, zch) if part is not None
    ]
    return {name: value for part in parts for name, value in part.items()}


def pooled_embeddings(output: Pooled, ids: KeyedJaggedTensor | None, features: list[Feature]) -> list[torch.Tensor]:
    """[B, D] per feature in schema order, whatever order the sharding plan gave; means where the schema wants them.

    output  sums of embeddings per feature; a dict where some tables are ZCH tables
    ids     what was looked up; an empty bag gives zeros; None where means were taken already
    """
    sums = dict(output) if isinstance(output, dict) else output.to_dict()
    for f in features:
        if ids is not None and f.kind == "bag" and f.pooling == "mean":
            sums[f.name] = sums[f.name] / ids[f.name].lengths().clamp(min=1).unsqueeze(1)
    return [sums[f.name] for f in features]
