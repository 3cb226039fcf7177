"""Memory bank (MoCo): a queue of negative vectors in half precision, its rows sharded over ranks."""

import math
from collections.abc import Iterator
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

from embeddings.errors import InputError
from recsys.scl.all_gather import all_gather_detached, all_to_all, scatter_sum

_CHUNK = 8192  # rows at once, so that logits [W * B, K] never exist


class MemoryBank(nn.Module):
    """The newest ``rows`` vectors of all ranks; each rank keeps those that it made itself, ``rows`` / W of them.

    ``logsumexp`` is over the rows of all ranks, exactly. Vectors are kept as float16, which is exact to .001 of
    unit vectors less their mean. Rows are neither parameters nor in a state dict; a checkpoint takes them as shards
    of one tensor [K, M].

        queue      [K / W, M]  float16
        items      [K / W]     int64, the rows' items
        filled     [K / W]     bool
        queue_ptr  []          int64, the row that is overwritten next

    Args:
        distinct: keep the newest row of an item alone, and leave out items of the step's own queries, which are
            negatives in its batch. Else a catalogue smaller than the bank is in it many times over.
    """

    queue: torch.Tensor
    items: torch.Tensor
    filled: torch.Tensor
    queue_ptr: torch.Tensor

    def __init__(self, rows: int, width: int, group: dist.ProcessGroup | None = None, distinct: bool = False) -> None:
        super().__init__()
        ranks = group.size() if group is not None else 1
        if rows % ranks:
            raise InputError(f"model.bank.rows is {rows}; allowed: multiples of the {ranks} ranks; take such a one")
        self.group, self.distinct = group, distinct
        for name, value in (
            ("queue", torch.zeros(rows // ranks, width, dtype=torch.float16)),
            ("items", torch.zeros(rows // ranks, dtype=torch.int64)),
            ("filled", torch.zeros(rows // ranks, dtype=torch.bool)),
            ("queue_ptr", torch.zeros((), dtype=torch.int64)),
        ):
            self.register_buffer(name, value, persistent=False)

    @torch.no_grad()
    def push(self, vectors: torch.Tensor, items: torch.Tensor) -> None:
        """Put this rank's vectors in the places of its oldest.

        vectors  [n, M]  ``losses.centred`` keys; of more than K / W, the last are kept
        items    [n]     int64
        """
        rows = self.queue.size(0)
        counts = self._newest(items) if self.distinct else torch.ones_like(items, dtype=torch.bool)
        vectors, items, counts = vectors[-rows:], items[-rows:], counts[-rows:]
        places = (torch.arange(items.numel(), device=items.device) + self.queue_ptr) % rows
        self.queue[places] = vectors.to(self.queue.dtype)
        self.items[places] = items
        self.filled[places] = counts
        self.queue_ptr.copy_((self.queue_ptr + items.numel()) % rows)

    def _newest(self, items: torch.Tensor) -> torch.Tensor:
        """Forget the rows of all ranks' ``items``. Of these, say which count: of equal ones the last over ranks."""
        everyone = all_gather_detached(items, self.group)
        self.filled &= ~torch.isin(self.items, everyone)
        place = torch.arange(everyone.numel(), device=items.device)
        first = (self.group.rank() if self.group is not None else 0) * items.numel()
        ours = place[first : first + items.numel()]
        return ~((items[:, None] == everyone[None, :]) & (place[None, :] > ours[:, None])).any(1)

    def logsumexp(self, queries: torch.Tensor, items: torch.Tensor) -> torch.Tensor:
        """log of the sum of exp(q . k) over the rows k of all ranks that are not of the query's item.

        -inf where there is none. All ranks call it, with as many queries each.

            queries  [B, M]  float32, with the temperature in them
            items    [B]     int64
            returns  [B]     float32, with a gradient for the queries
        """
        return _LogSumExp.apply(queries, items, self)

    def _logits(self, queries: torch.Tensor, items: torch.Tensor) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        """(keys [n, M], logits [Q, n]) of this rank's rows, some at a time."""
        for start in range(0, self.queue.size(0), _CHUNK):
            part = slice(start, start + _CHUNK)
            keys = self.queue[part].float()
            wrong = (items[:, None] == self.items[None, part]) | ~self.filled[part]
            if self.distinct:
                wrong |= torch.isin(self.items[part], items)
            yield keys, (queries @ keys.T).masked_fill_(wrong, -math.inf)


class _LogSumExp(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, queries: torch.Tensor, items: torch.Tensor, bank: MemoryBank) -> torch.Tensor:
        everyone, all_items = all_gather_detached(queries, bank.group), all_gather_detached(items, bank.group)
        of_rank = torch.full((everyone.size(0),), -math.inf, device=queries.device)
        for _, logits in bank._logits(everyone, all_items):
            of_rank = torch.logaddexp(of_rank, logits.logsumexp(1))
        total = all_to_all(of_rank, bank.group).logsumexp(0)
        ctx.bank = bank
        ctx.save_for_backward(everyone, all_items, all_gather_detached(total, bank.group))
        return total

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> tuple[torch.Tensor, None, None]:
        queries, items, total = ctx.saved_tensors
        bank = ctx.bank
        weights = all_gather_detached(gradient, bank.group)
        total = torch.where(total.isinf(), 0.0, total)  # of a query without rows: exp(-inf) is 0 then
        result = torch.zeros_like(queries)
        for keys, logits in bank._logits(queries, items):
            result += (logits - total[:, None]).exp() @ keys
        return scatter_sum(result * weights[:, None], bank.group), None, None
