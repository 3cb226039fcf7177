"""A frozen table sharded row-wise over ranks: results of kernels travel between them, vectors of behaviours never.

SimTier and MAKE add up over behaviours. So each rank gets every rank's target vectors and the behaviours whose rows it
holds, runs the same kernels on them, and the parts are added up. Of each impression with L behaviours, L row numbers
and W vectors travel, and W rows of results.
"""

from typing import Any
from weakref import WeakKeyDictionary

import torch
import torch.distributed as dist
from torch.autograd.function import once_differentiable

from embeddings.frozen.all_to_all import summed, to_all
from embeddings.frozen.frozen_rows import FrozenRows
from embeddings.frozen.row_wise_exchange import Exchange, RowShard
from embeddings.frozen.store import FrozenStore
from embeddings.frozen.table import FrozenTable, check_copied, refuse_live
from embeddings.frozen.table_memory import copied
from embeddings.frozen.vector_store import VectorStore


class RowWiseTable:
    """Rank r of W holds rows [r n, (r + 1) n) of the N of a store, n = ceil(N / W), on its device.

    Every rank of ``group`` must make the same calls in the same order, with as many or as few rows as it has. No
    nn.Module: nothing collects its tensors.

    Args:
        room: distinct targets of one batch, all ranks together, at most; their vectors are put behind the own rows.

    Raises InputError where one of this rank's rows has another norm than 1.
    """

    def __init__(
        self, store: VectorStore, group: dist.ProcessGroup, device: torch.device | str = "cpu", *, room: int
    ) -> None:
        refuse_live(store, "row_wise", device)
        self.shard = s = RowShard(group, store.count)
        self.width = store.width
        room = min(room, store.count)
        self._table = copied(store.vectors[s.first : s.last], device, room)
        self._scale = None if store.scale is None else copied(store.scale[s.first : s.last], device, room)
        own = s.last - s.first
        assert isinstance(store, FrozenStore)
        check_copied(store, s.first, self._table[:own], None if self._scale is None else self._scale[:own])
        self._targets_of: Exchange | None = None  # whose vectors lie behind the own rows
        # by the rows' identity; an exchange goes with its batch, and several batches may be in flight
        self._exchanges: WeakKeyDictionary[FrozenRows, Exchange] = WeakKeyDictionary()

    def start(self, rows: FrozenRows) -> Exchange:
        """The exchange of ``rows``, begun here unless it has begun: one for all that is computed on the same rows."""
        exchange = self._exchanges.get(rows)
        if exchange is None:
            exchange = self._exchanges[rows] = Exchange(self.shard, self._table, self._scale, rows)
        return exchange

    def tier_counts(self, rows: FrozenRows, num_tiers: int) -> torch.Tensor:
        """As ``FrozenTable.tier_counts``, and exactly equal to it."""
        everyone = self.everyone(rows)
        return summed(self.local(everyone).tier_counts(everyone.rows, num_tiers), everyone.targets, self.shard.group)

    def attention(
        self, rows: FrozenRows, weight: torch.Tensor, bias: torch.Tensor, slope: torch.Tensor, score: torch.Tensor
    ) -> torch.Tensor:
        """As ``FrozenTable.attention``, but for the order of additions.

        The backward leaves on each rank what the behaviours that it holds add to the gradient of the SUM of all ranks'
        losses. Over ranks these add up to the sum of the gradients that a replicated table leaves on each rank. So
        DistributedDataParallel, which divides by W, ends at the same. One rank's gradient alone means nothing.
        """
        return _Attention.apply(self, self.everyone(rows), weight, bias, slope, score)

    def targets(self, rows: FrozenRows) -> torch.Tensor:
        """As ``FrozenTable.targets``; the exchange has brought them."""
        everyone = self.everyone(rows)
        first = sum(everyone.targets[: self.shard.rank])
        return self.local(everyone).gather(everyone.rows.target[first : first + rows.target.numel()])

    def everyone(self, rows: FrozenRows) -> Exchange:
        """The finished exchange of ``rows``: what this rank computes for all ranks."""
        exchange = self.start(rows)
        exchange.finish()
        return exchange

    def local(self, exchange: Exchange) -> FrozenTable:
        """This rank's rows with the exchange's target vectors behind them."""
        own = self.shard.last - self.shard.first
        end = own + sum(v.numel() for v in exchange.vectors) // (self.width * self._table.element_size())
        assert end <= self._table.shape[0], f"{end - own} targets, room for {self._table.shape[0] - own}"
        if self._targets_of is not exchange:
            _put(self._table[own:end], exchange.vectors)
            if self._scale is not None:
                _put(self._scale[own:end], exchange.scales)
            self._targets_of = exchange
        return FrozenTable.of(self._table[:end], None if self._scale is None else self._scale[:end])


class _Attention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, table: RowWiseTable, exchange: Exchange, *parameters: torch.Tensor) -> torch.Tensor:
        ctx.table, ctx.exchange = table, exchange
        ctx.save_for_backward(*parameters)
        parts = table.local(exchange).attention(exchange.rows, *parameters)
        return summed(parts, exchange.targets, table.shard.group)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple:
        table, exchange = ctx.table, ctx.exchange
        sizes = [n * table.width for n in exchange.targets]
        everyone = to_all(gradient.float(), sizes, table.shard.group).wait().view(-1, table.width)
        gradients = table.local(exchange).attention_gradients(everyone, exchange.rows, *ctx.saved_tensors)
        return None, None, *gradients


def _put(place: torch.Tensor, parts: list[torch.Tensor]) -> None:
    """Write bytes over ``place``, part after part."""
    place.view(-1).view(torch.uint8).copy_(torch.cat(parts))
