"""FrozenRows: a batch's targets and behaviours as row numbers of a frozen table, jagged by bag."""

from dataclasses import dataclass

import torch


@dataclass(eq=False)
class FrozenRows:
    """Where one modality's vectors lie in its frozen table. Row -1 is an item without a vector.

    target     [B]      int64 rows of the target items
    history    [T]      int64 rows of the behaviours, oldest first, bag after bag
    offsets    [U + 1]  int64 from 0 to T; bag u is history[offsets[u] : offsets[u + 1]]; may be empty
    bag_index  [B]      int64 bag of each impression, where some share one; None: U = B, impression b has bag b

    Four impressions, of which the first two are of one user, and three users, the second without behaviours:

        history    [ 7  4 -1 | 9  2 ]        T = 5
        offsets    [ 0         3  3      5 ]  U = 3: bag 0 = 7 4 -1, bag 1 is empty, bag 2 = 9 2
        bag_index  [ 0  0  1  2 ]            impressions 0 and 1 read bag 0, 2 reads bag 1, 3 reads bag 2
        target     [ 5  8  8  3 ]            B = 4

    Two are equal only where they are the same object, which RowWiseTable knows a batch by.
    """

    target: torch.Tensor
    history: torch.Tensor
    offsets: torch.Tensor
    bag_index: torch.Tensor | None = None
