"""How frozen vectors enter the model: vector, simscore, simtier or make, side by side, for each modality."""

import torch
from torch import nn

from embeddings.frozen.row_wise_table import RowWiseTable
from embeddings.frozen.table import FrozenTable
from recsys.batch import FrozenRows
from recsys.models.config import MultimodalConfig
from recsys.models.make import MAKEFeatures
from recsys.models.target_attention import bag_of


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

    @torch.no_grad()
    def with_cosines(self, rows: FrozenRows) -> tuple[torch.Tensor, torch.Tensor]:
        """The same and, of the same pass, ``FrozenTable.cosines``."""
        assert isinstance(self.table, FrozenTable), "refused where the plan is made"
        counts, cosines = self.table.tier_counts_and_cosines(rows, self.width)
        return counts.log1p(), cosines


class ModalityFeatures(nn.Module):
    """Features of one modality and, where the ID attention takes them, its behaviours' cosines.

    SimTier computes those cosines anyway. So where both are wanted, the vectors are read once.

    Args:
        cosines: whether the attention takes them: side information of each behaviour (SimScore), or SA-TA.
    """

    def __init__(self, table: FrozenTable | RowWiseTable, parts: list[nn.Module], cosines: bool) -> None:
        super().__init__()
        self.table = table
        self.parts = nn.ModuleList(parts)
        self.cosines = cosines
        self.width = sum(part.width for part in parts)

    def forward(self, rows: FrozenRows) -> tuple[list[torch.Tensor], torch.Tensor | None]:
        """Rows to each part's features, together [B, width], and to cosines [P, 1] or None."""
        features, cosines = [], None
        for part in self.parts:
            if self.cosines and isinstance(part, TierFeatures):
                found, cosines = part.with_cosines(rows)
            else:
                found = part(rows)
            features.append(found)
        if self.cosines and cosines is None:
            with torch.no_grad():
                cosines = self.table.cosines(rows)
        return features, cosines


def multimodal_features(table: FrozenTable | RowWiseTable, config: MultimodalConfig) -> ModalityFeatures | None:
    """What turns one modality's rows into features and cosines, or None where nothing is made of them."""
    makers = {
        "vector": lambda: VectorFeatures(table),
        "simtier": lambda: TierFeatures(table, config.num_tiers),
        "make": lambda: MAKEFeatures(table, config.make),
    }
    # Over ranks only sums travel back; a cosine for each behaviour is as many bytes as the row number that went there.
    assert not (config.per_behaviour and isinstance(table, RowWiseTable)), "refused where the plan is made"
    parts = [makers[part]() for part in config.parts if part in makers]
    return ModalityFeatures(table, parts, config.takes_cosines) if parts or config.takes_cosines else None


class FrozenExchanges(nn.Module):
    """Begins the exchanges of row-wise tables. Called before the ID tables' exchange, so that both are under way."""

    def __init__(self, tables: dict[str, FrozenTable | RowWiseTable]) -> None:
        super().__init__()
        self.tables = {name: table for name, table in tables.items() if isinstance(table, RowWiseTable)}

    def forward(self, rows: dict[str, FrozenRows]) -> None:
        started = [table.start(rows[name]) for name, table in self.tables.items()]
        for exchange in started:  # their sizes are here at once; the rows themselves travel while IDs are looked up
            exchange.advance()
