"""A frozen store's vectors on one device, as tensors that no optimizer, DDP or state dict ever sees."""

import torch

from embeddings.frozen.store import FrozenStore


class FrozenTable:
    """Vectors of a store on ``device``. No nn.Module: nothing collects its tensors as parameters or buffers.

    On CPU the tensors are the store's memory map itself: no copy, and ranks share the pages. Elsewhere a copy.

        table  [N, M]  float32, float16 or int8
        scale  [N]     float32, or None unless int8; a dequantised row ``table[r] * scale[r]`` has norm 1
    """

    def __init__(self, store: FrozenStore, device: torch.device | str = "cpu") -> None:
        self.table = torch.from_numpy(store.vectors).to(device)
        self.scale = None if store.scale is None else torch.from_numpy(store.scale).to(device)
        self.width = store.width

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
