"""Where a batch's items lie in a frozen table."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from embeddings.frozen.row_wise_exchange import Exchange


@dataclass
class FrozenRows:
    """Where one modality's vectors lie in its frozen table. Row -1 is an item without a vector.

    target     [B]      int64 rows of the target items
    history    [T]      int64 rows of the behaviours, oldest first, bag after bag
    offsets    [U + 1]  int64 from 0 to T; bag u is history[offsets[u] : offsets[u + 1]]; may be empty
    bag_index  [B]      int64 bag of each impression, where some share one; None: U = B, impression b has bag b
    exchange   under way with the other ranks, where the table's rows lie on all of them and it has begun
    """

    target: torch.Tensor
    history: torch.Tensor
    offsets: torch.Tensor
    bag_index: torch.Tensor | None = None
    exchange: "Exchange | None" = None
