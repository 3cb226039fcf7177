"""Features of frozen multimodal vectors, for each modality: raw vectors, SimScore, SimTier or MAKE."""

from collections.abc import Callable, Mapping

import torch
from torch import nn

from embeddings.frozen.row_wise_table import RowWiseTable
from embeddings.frozen.table import FrozenTable
from embeddings.tables import module_name
from recsys.batch import FrozenRows
from recsys.models.config import ArchConfig, MultimodalConfig
from recsys.models.cost import Cost, held, one_by_one
from recsys.models.make import MAKE, MAKEFeatures
from recsys.models.module_types import FeaturesPart, modules_of
from recsys.models.row_blocks import first_rows, whole_blocks
from recsys.models.target_attention import segment_ids


class VectorFeatures(FeaturesPart):
    """The target's raw vector and the mean of the behaviours' (paper, table 2, row Vector)."""

    def __init__(self, table: FrozenTable) -> None:
        super().__init__()
        self.table = table
        self.width = 2 * table.width
        self.gathered = 2 * table.width  # numbers of each behaviour that it holds

    @torch.no_grad()
    def forward(self, rows: FrozenRows) -> torch.Tensor:
        """Rows to [B, 2M]; zeros where the target, or every behaviour, has no vector."""
        lengths = rows.offsets.diff()
        bags = segment_ids(lengths, rows.history.numel())
        known = (rows.history >= 0).float()
        total = torch.zeros(lengths.numel(), self.table.width, device=known.device)
        total.index_add_(0, bags, self.table.gather(rows.history))
        count = torch.zeros(lengths.numel(), device=known.device).index_add_(0, bags, known)
        means = total / count.clamp(min=1).unsqueeze(1)
        means = means if rows.bag_index is None else means.index_select(0, rows.bag_index)
        return torch.cat([self.table.gather(rows.target), means], dim=1)

    def cost(self, length: float) -> Cost:
        """No layers; what is ``gathered`` is counted by ModalityFeatures."""
        return Cost()


class TierFeatures(FeaturesPart):
    """SimTier: log(1 + count) of behaviours per similarity tier (paper, section 3; the log is MUSE's)."""

    gathered = 0  # numbers of each behaviour that it holds

    def __init__(self, table: FrozenTable | RowWiseTable, num_tiers: int) -> None:
        super().__init__()
        self.table = table
        self.width = num_tiers

    @torch.no_grad()
    def forward(self, rows: FrozenRows) -> torch.Tensor:
        """Rows to [B, N]; zeros where the target has no vector."""
        return self._log(self.table.tier_counts(rows, self.width))

    @torch.no_grad()
    def with_cosines(self, rows: FrozenRows) -> tuple[torch.Tensor, torch.Tensor]:
        """The same and, of the same pass, ``FrozenTable.cosines``."""
        assert isinstance(self.table, FrozenTable), "refused where the plan is made"
        counts, cosines = self.table.tier_counts_and_cosines(rows, self.width)
        return self._log(counts), cosines

    def _log(self, counts: torch.Tensor) -> torch.Tensor:
        """log(1 + count)"""
        return counts.log1p() if self.training else first_rows(whole_blocks(counts).log1p(), counts.shape[0])

    def cost(self, length: float) -> Cost:
        """No layers: the kernel reads the vectors and leaves counts."""
        return Cost()


class ModalityFeatures(nn.Module):
    """Features of one modality and, where the ID attention takes them, its behaviours' cosines.

    SimTier computes those cosines anyway. So where both are wanted, the vectors are read once.

    Args:
        modality: its name.
        parts: modules of rows to features [B, part.width].
        cosines: whether the attention takes them: side information of each behaviour (SimScore), or SA-TA.
    """

    def __init__(
        self, modality: str, table: FrozenTable | RowWiseTable, parts: list[FeaturesPart], cosines: bool
    ) -> None:
        super().__init__()
        self.modality = modality
        self.table = table
        self.parts = nn.ModuleList(parts)
        self.cosines = cosines
        self.width = sum(part.width for part in parts)

    def _parts(self) -> list[FeaturesPart]:
        return modules_of(FeaturesPart, self.parts)

    @property
    def make(self) -> MAKE | None:
        """Its MAKE, where it has one."""
        return next((part.make for part in self._parts() if isinstance(part, MAKEFeatures)), None)

    def forward(self, rows: FrozenRows) -> tuple[list[torch.Tensor], torch.Tensor | None]:
        """Rows to each part's features, together [B, width], and to cosines [P, 1] or None."""
        features: list[torch.Tensor] = []
        cosines: torch.Tensor | None = None
        for part in self._parts():
            if self.cosines and isinstance(part, TierFeatures):
                tiers, cosines = part.with_cosines(rows)
                features.append(tiers)
            else:
                features.append(part(rows))
        if self.cosines and cosines is None:
            assert not isinstance(self.table, RowWiseTable), "refused where the plan is made"
            with torch.no_grad():
                cosines = self.table.cosines(rows)
        return features, cosines

    def cost(self, length: float) -> Cost:
        """Of a history of ``length`` behaviours: the parts' layers, and what is held of each behaviour."""
        parts = self._parts()
        layers = sum((part.cost(length) for part in parts), Cost())
        return one_by_one([layers, held(length * (sum(part.gathered for part in parts) + self.cosines))])


def modality_features(
    modality: str, table: FrozenTable | RowWiseTable, config: MultimodalConfig
) -> ModalityFeatures | None:
    """What turns one modality's rows into features and cosines, or None where nothing is made of them."""

    def raw_vectors() -> VectorFeatures:
        assert not isinstance(table, RowWiseTable)
        return VectorFeatures(table)

    builders: dict[str, Callable[[], FeaturesPart]] = {
        "vector": raw_vectors,
        "simtier": lambda: TierFeatures(table, config.num_tiers),
        "make": lambda: MAKEFeatures(table, config.make),
    }
    # Over ranks only sums travel back; a cosine for each behaviour is as many bytes as the row number that went there.
    assert not (config.per_behaviour and isinstance(table, RowWiseTable)), "refused where the plan is made"
    parts = [builders[part]() for part in config.parts if part in builders]
    if not parts and not config.takes_cosines:
        return None
    return ModalityFeatures(modality, table, parts, config.takes_cosines)


def multimodal_features(tables: Mapping[str, FrozenTable | RowWiseTable], config: ArchConfig) -> nn.ModuleDict:
    """The ModalityFeatures of every modality that has any, under ``module_name`` of its name.

    Args:
        tables: modality -> table.
    """
    features = [modality_features(name, table, config.modality_config(name)) for name, table in tables.items()]
    return nn.ModuleDict({module_name(f.modality): f for f in features if f is not None})


class FrozenExchanges(nn.Module):
    """Begins the exchanges of row-wise tables. Called before the ID tables' exchange, so that both are under way.

    Args:
        tables: modality -> table; those that are not row-wise have no exchange.
        before: changes a batch's rows by modality first, such as ``Arch.before_exchange``.
    """

    def __init__(
        self,
        tables: Mapping[str, FrozenTable | RowWiseTable],
        before: Callable[[dict[str, FrozenRows]], dict[str, FrozenRows]],
    ) -> None:
        super().__init__()
        self.tables = {name: table for name, table in tables.items() if isinstance(table, RowWiseTable)}
        self.before = before

    def forward(self, rows: dict[str, FrozenRows]) -> dict[str, FrozenRows]:
        """The rows that the model is to see, their exchanges begun."""
        rows = self.before(rows)
        started = [table.start(rows[name]) for name, table in self.tables.items()]
        for exchange in started:  # their sizes are here at once; the rows themselves travel while IDs are looked up
            exchange.advance()
        return rows
