"""FrozenTable: a frozen store's vectors on one device, outside of every optimizer, DDP and state dict."""

import torch

from embeddings.errors import InputError
from embeddings.frozen.check_store import BLOCK_BYTES, RowCheck
from embeddings.frozen.frozen_rows import FrozenRows
from embeddings.frozen.store import FrozenStore
from embeddings.frozen.table_memory import copied, shared
from embeddings.frozen.vector_store import VectorStore
from embeddings.kernels.make_attention.op import make_attention, make_attention_backward
from embeddings.kernels.simtier.op import simtier, simtier_cosines


def refuse_live(store: VectorStore, placement: str, device: torch.device | str) -> None:
    """Refuse to copy, or to pin for a device, a table that goes on growing. Raises InputError."""
    if store.live and (placement != "host" or torch.device(device).type != "cpu"):
        raise InputError(
            f"live index '{store.path}': placement {placement} on {torch.device(device).type} would copy vectors of "
            "which more come; allowed: placement host on a CPU; or take a 'python -m serve index snapshot'"
        )


def check_copied(store: FrozenStore, first: int, table: torch.Tensor, scale: torch.Tensor | None) -> None:
    """Refuse a copy of rows ``first`` and following of ``store`` where one has another norm than 1.

        table  [n, M]  float32, float16 or int8, on any device
        scale  [n]     float32, or None unless int8

    Raises InputError naming the first such id.
    """
    rows = RowCheck(store.path, store.count)
    step = max(1, BLOCK_BYTES // (table.shape[1] * table.element_size()))
    for start in range(0, table.shape[0], step):
        norms = table[start : start + step].float().square().sum(dim=1).sqrt_()
        norms = norms if scale is None else norms * scale[start : start + step]
        rows.add(store.ids[first + start : first + start + len(norms)], norms.cpu().numpy())
    rows.refuse()


class FrozenTable:
    """All vectors of a store, readable from ``device``. No nn.Module: nothing collects its tensors.

        table  [N, M]  float32, float16 or int8
        scale  [N]     float32, or None unless int8; a dequantised row ``table[r] * scale[r]`` has norm 1

    Args:
        placement: "host" is the store's memory map, one copy for all ranks of a host; "replicated" a copy of this
            rank's own, on CPU in huge pages. "auto": host on CPU, replicated elsewhere.

    Raises InputError where a row that was copied has another norm than 1.
    """

    def __init__(self, store: VectorStore, device: torch.device | str = "cpu", placement: str = "auto") -> None:
        if placement == "auto":
            placement = "host" if torch.device(device).type == "cpu" else "replicated"
        assert placement in ("host", "replicated"), placement
        refuse_live(store, placement, device)
        bring = shared if placement == "host" else copied
        self.table = bring(store.vectors, device)
        self.scale = None if store.scale is None else bring(store.scale, device)
        self.width = store.width
        if placement == "replicated":
            assert isinstance(store, FrozenStore)
            check_copied(store, 0, self.table, self.scale)

    @classmethod
    def of(cls, table: torch.Tensor, scale: torch.Tensor | None) -> "FrozenTable":
        """A FrozenTable over tensors in memory, without a store: table [N, M] and scale [N], neither copied."""
        frozen = cls.__new__(cls)
        frozen.table, frozen.scale, frozen.width = table, scale, table.shape[1]
        return frozen

    def tier_counts(self, rows: FrozenRows, num_tiers: int) -> torch.Tensor:
        """SimTier's counts, float32 [B, N]; see ``embeddings.kernels.simtier.op``.

        A store's rows have norm 1, so int8 ones need no scale, and scales are not read.
        """
        return simtier(self.table, None, rows.target, rows.history, rows.offsets, rows.bag_index, num_tiers)

    def tier_counts_and_cosines(self, rows: FrozenRows, num_tiers: int) -> tuple[torch.Tensor, torch.Tensor]:
        """``tier_counts`` and, of the same pass, the cosines that it counts.

        These are float32 [P, 1], P the behaviours of all impressions, one after the other; 0 where a side has no
        vector.
        """
        bags = (rows.target, rows.history, rows.offsets, rows.bag_index)
        counts, cosines = simtier_cosines(self.table, None, *bags, num_tiers)
        return counts, cosines.unsqueeze(1)

    def cosines(self, rows: FrozenRows) -> torch.Tensor:
        """The cosines of ``tier_counts_and_cosines`` alone, float32 [P, 1]."""
        return self.tier_counts_and_cosines(rows, 1)[1]

    def attention(
        self, rows: FrozenRows, weight: torch.Tensor, bias: torch.Tensor, slope: torch.Tensor, score: torch.Tensor
    ) -> torch.Tensor:
        """MAKE's attention, float32 [B, M]; see ``embeddings.kernels.make_attention.op``."""
        bags = (rows.target, rows.history, rows.offsets, rows.bag_index)
        return make_attention(self.table, self.scale, *bags, weight, bias, slope, score)

    def attention_gradients(
        self, gradient: torch.Tensor, rows: FrozenRows, *parameters: torch.Tensor
    ) -> tuple[torch.Tensor, ...]:
        """Gradients of ``attention``'s parameters where that of its result is ``gradient``, float32 [B, M]."""
        bags = (rows.target, rows.history, rows.offsets, rows.bag_index)
        return make_attention_backward(gradient, self.table, self.scale, *bags, *parameters)

    def targets(self, rows: FrozenRows) -> torch.Tensor:
        """Unit vectors of the targets, float32 [B, M]; zeros where there is none."""
        return self.gather(rows.target)

    def gather(self, rows: torch.Tensor) -> torch.Tensor:
        """Unit vectors of ``rows``; zeros where the row is -1.

        rows     [...]     int64 in [-1, N), on the table's device
        returns  [..., M]  float32

        Rows outside that range are a defect of the caller, which index_select asserts.
        """
        flat = rows.reshape(-1)
        missing = flat == -1
        known = flat.masked_fill(missing, 0)
        vectors = self.table.index_select(0, known).float()
        if self.scale is not None:
            vectors *= self.scale.index_select(0, known).unsqueeze(1)
        return vectors.masked_fill_(missing.unsqueeze(1), 0.0).view(*rows.shape, self.width)
