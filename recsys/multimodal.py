"""How frozen vectors enter the model: vector, simscore, simtier or make, side by side, for each modality."""

import torch
from torch import nn

from embeddings.frozen.row_wise import RowWiseTable
from embeddings.frozen.table import FrozenTable
from embeddings.kernels.pairs import pairs
from recsys.batch import FrozenRows
from recsys.config import MultimodalConfig
from recsys.din import bag_of
from recsys.make import MAKEFeatures


class VectorFeatures(nn.Module):
    """The target's raw vector and the mean of the behaviours' (paper, table 2, row Vector)."""

    def __init__(self, table: FrozenTable) -> None:
        super().__init__()
        self.table = table
        self.width = 2 * table.width

    @torch.no_grad()
    def forward(self, rows: FrozenRows) -> torch.Tensor:
        """Rows to [B, 2M]; zeros where the target, or every behaviour, has no vector."""
        lengths = rows.offsets.diff()
        bags = bag_of(lengths, rows.history.numel())
        known = (rows.history >= 0).float()
        total = torch.zeros(lengths.numel(), self.table.width, device=known.device)
        total.index_add_(0, bags, self.table.gather(rows.history))
        count = torch.zeros(lengths.numel(), device=known.device).index_add_(0, bags, known)
        means = total / count.clamp(min=1).unsqueeze(1)
        means = means if rows.bag_index is None else means.index_select(0, rows.bag_index)
        return torch.cat([self.table.gather(rows.target), means], dim=1)


class TierFeatures(nn.Module):
    """SimTier: log(1 + count) of behaviours per similarity tier (paper, section 3; the log is MUSE's)."""

    def __init__(self, table: FrozenTable | RowWiseTable, num_tiers: int) -> None:
        super().__init__()
        self.table = table
        self.width = num_tiers

    @torch.no_grad()
    def forward(self, rows: FrozenRows) -> torch.Tensor:
        """Rows to [B, N]; zeros where the target has no vector."""
        return self.table.tier_counts(rows, self.width).log1p()


class SimilarityScores(nn.Module):
    """SimScore: the cosine of target and behaviour, as side information of each behaviour."""

    def __init__(self, table: FrozenTable) -> None:
        super().__init__()
        self.table = table

    @torch.no_grad()
    def forward(self, rows: FrozenRows) -> torch.Tensor:
        """Rows to [P, 1], P the behaviours of all impressions, one after the other; 0 where a side has no vector."""
        if rows.bag_index is None:
            target_of, history = bag_of(rows.offsets.diff(), rows.history.numel()), rows.history
        else:
            target_of, history = pairs(rows.target.numel(), rows.history, rows.offsets, rows.bag_index)
        targets = self.table.gather(rows.target).index_select(0, target_of)
        return (targets * self.table.gather(history)).sum(dim=1, keepdim=True)


class JoinedFeatures(nn.Module):
    """Several modules' features side by side."""

    def __init__(self, parts: list[nn.Module]) -> None:
        super().__init__()
        self.parts = nn.ModuleList(parts)
        self.width = sum(part.width for part in parts)

    def forward(self, rows: FrozenRows) -> torch.Tensor:
        """Rows to [B, width]."""
        return torch.cat([part(rows) for part in self.parts], dim=1)


def multimodal_features(table: FrozenTable | RowWiseTable, config: MultimodalConfig) -> JoinedFeatures | None:
    """The module that turns one modality's rows into [B, width] features, or None where the mode has none."""
    makers = {
        "vector": lambda: VectorFeatures(table),
        "simtier": lambda: TierFeatures(table, config.num_tiers),
        "make": lambda: MAKEFeatures(table, config.make),
    }
    assert not (config.needs_vectors and isinstance(table, RowWiseTable)), "refused where the plan is made"
    parts = [makers[part]() for part in config.parts if part in makers]
    return JoinedFeatures(parts) if parts else None


class FrozenExchanges(nn.Module):
    """Begins the exchanges of row-wise tables. Called before the ID tables' exchange, so that both are under way."""

    def __init__(self, tables: dict[str, FrozenTable | RowWiseTable]) -> None:
        super().__init__()
        self.tables = {name: table for name, table in tables.items() if isinstance(table, RowWiseTable)}

    def forward(self, rows: dict[str, FrozenRows]) -> None:
        started = [table.start(rows[name]) for name, table in self.tables.items()]
        for exchange in started:  # their sizes are here at once; the rows themselves travel while IDs are looked up
            exchange.advance()
