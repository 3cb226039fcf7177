"""Exchange of one batch's frozen rows between ranks: row numbers go to their owners, target vectors to every rank.

    sizes    how many targets, bags and rows come from each rank
    rows     each history row goes to its owner, with the lengths of the bags' parts; target rows go to all
    vectors  each target's vector goes from its owner to all, once however often it is a target

Each exchange begins when the one before it has arrived and ``advance`` is called; other work can be done meanwhile.
"""

import itertools
from collections.abc import Iterator, Sequence

import fbgemm_gpu  # noqa: F401  registers torch.ops.fbgemm
import torch
import torch.distributed as dist

from embeddings.frozen.all_to_all import Pending, all_to_all, to_all
from embeddings.frozen.frozen_rows import FrozenRows


class RowShard:
    """The rows of a table of ``count`` that this rank holds: ``first`` up to ``last``, perhaps none.

    block  rows of a shard, but for the last ones
    index  dtype that row numbers travel as
    """

    def __init__(self, group: dist.ProcessGroup, count: int) -> None:
        self.group = group
        self.rank, self.ranks = group.rank(), group.size()
        self.block = -(-count // self.ranks)
        self.first = min(self.rank * self.block, count)
        self.last = min(self.first + self.block, count)
        self.index = torch.int32 if count < 2**31 else torch.int64

    def by_owner(self, rows: FrozenRows) -> tuple[torch.Tensor, torch.Tensor]:
        """Known history rows sorted by owner, as rows of that owner: lengths [W, U] of the bags' parts, rows [T']."""
        history, offsets, known = rows.history, rows.offsets, rows.history != -1
        if not known.all():
            history, offsets = history[known], _offsets(known).index_select(0, offsets)
        lengths, history = offsets.diff().to(self.index), history.to(self.index)
        block = torch.tensor([self.block], dtype=self.index, device=history.device)
        parts, local, *_ = torch.ops.fbgemm.block_bucketize_sparse_features(
            lengths, history, False, False, block, self.ranks
        )
        return parts.view(self.ranks, -1), local


class Exchange:
    """The exchange of one batch, begun by constructing it. Every rank constructs its own, in the same order.

    After ``finish`` it holds what this rank computes on for the targets of all ranks, ``sum(targets)`` of them:

        rows      FrozenRows of all targets, and of their bags as far as this rank holds them. Targets' vectors lie
                  behind this rank's own R rows: row R + k is the k-th distinct target
        vectors   bytes of the distinct targets' vectors, a tensor from each owner
        scales    bytes of their scales, a tensor from each owner; int8 tables only
        targets   number of targets of each rank

    It does not keep the FrozenRows that it is made of.
    """

    rows: FrozenRows

    def __init__(self, shard: RowShard, table: torch.Tensor, scale: torch.Tensor | None, rows: FrozenRows) -> None:
        self.targets: list[int] = []
        self.vectors: list[torch.Tensor] = []
        self.scales: list[torch.Tensor] = []
        self._steps = self._run(shard, table, scale, rows.target, rows.bag_index, *shard.by_owner(rows))
        self._done = False
        self.advance()

    def advance(self) -> None:
        """Wait for the exchange under way and begin the next, if there is one."""
        self._done = self._done or next(self._steps, True) is True

    def finish(self) -> None:
        """Wait until everything has arrived."""
        while not self._done:
            self.advance()

    def _run(
        self,
        shard: RowShard,
        table: torch.Tensor,
        scale: torch.Tensor | None,
        target: torch.Tensor,
        bag_index: torch.Tensor | None,
        lengths: torch.Tensor,
        history: torch.Tensor,
    ) -> Iterator[None]:
        """Yields when an exchange is under way. lengths [W, U] and history [T'] as of ``RowShard.by_owner``."""
        shared = bag_index is not None
        leaving = lengths.sum(1).tolist()
        sizes = [[target.numel(), lengths.shape[1], int(shared), n] for n in leaving]
        four = [4] * shard.ranks
        pending = all_to_all(torch.tensor(sizes, device=history.device).view(-1), four, four, shard.group)
        yield
        arriving = pending.wait().view(-1, 4).tolist()
        pending = self._send_rows(shard, target, bag_index, lengths, history.split(leaving), arriving)
        yield
        parts = [
            part.split([targets, targets * shared, bags, n])
            for part, (targets, bags, shared, n) in zip(
                pending.wait().split([_length(*s) for s in arriving]), arriving, strict=True
            )
        ]
        self.targets = [targets for targets, *_ in arriving]
        target = torch.cat([p[0] for p in parts]).long()
        distinct, place = torch.unique(target, return_inverse=True)  # sorted, so owner after owner; -1 comes first
        starts = torch.searchsorted(
            distinct, torch.arange(shard.ranks + 1, device=target.device) * shard.block
        ).tolist()
        pending = self._send_vectors(shard, table, scale, distinct, starts)
        place += shard.last - shard.first - starts[0]
        self.rows = FrozenRows(
            place.masked_fill_(target == -1, -1),
            torch.cat([p[3] for p in parts]),
            _offsets(torch.cat([p[2] for p in parts])),
            _bag_index(parts, arriving),
        )
        yield
        each = table.shape[1] * table.element_size(), 0 if scale is None else scale.element_size()
        counts = [b - a for a, b in itertools.pairwise(starts)]
        owners = pending.wait().split([n * sum(each) for n in counts])
        for part, n in zip(owners, counts, strict=True):
            vectors, scales = part.split([n * size for size in each])
            self.vectors.append(vectors)
            self.scales.append(scales)

    @staticmethod
    def _send_rows(
        shard: RowShard,
        target: torch.Tensor,
        bag_index: torch.Tensor | None,
        lengths: torch.Tensor,
        history: Sequence[torch.Tensor],
        arriving: Sequence[Sequence[int]],
    ) -> Pending:
        head = [target.to(shard.index)] + ([] if bag_index is None else [bag_index.to(shard.index)])
        message = torch.cat([x for part, own in zip(lengths, history, strict=True) for x in (*head, part, own)])
        every = sum(h.numel() for h in head) + lengths.shape[1]
        sizes = [every + part.numel() for part in history]
        return all_to_all(message, sizes, [_length(*s) for s in arriving], shard.group)

    @staticmethod
    def _send_vectors(
        shard: RowShard, table: torch.Tensor, scale: torch.Tensor | None, distinct: torch.Tensor, starts: Sequence[int]
    ) -> Pending:
        own = distinct[starts[shard.rank] : starts[shard.rank + 1]] - shard.first
        tensors = [table.index_select(0, own)] + ([] if scale is None else [scale.index_select(0, own)])
        message = torch.cat([t.view(-1).view(torch.uint8) for t in tensors])
        each = table.shape[1] * table.element_size() + (0 if scale is None else scale.element_size())
        sizes = [(b - a) * each for a, b in itertools.pairwise(starts)]
        return to_all(message, sizes, shard.group)


def _length(targets: int, bags: int, shared: int, rows: int) -> int:
    """Numbers in the message of a rank with these sizes."""
    return targets * (1 + shared) + bags + rows


def _offsets(lengths: torch.Tensor) -> torch.Tensor:
    """[n] lengths to [n + 1] int64 offsets, from 0 to their sum."""
    return torch.cat([lengths.new_zeros(1, dtype=torch.int64), lengths.cumsum(0)])


def _bag_index(parts: Sequence[Sequence[torch.Tensor]], arriving: Sequence[Sequence[int]]) -> torch.Tensor | None:
    """Bags of all ranks numbered through; None where every target of every rank has one of its own."""
    if not any(shared for _, _, shared, _ in arriving):
        return None
    numbered, first = [], 0
    for (_, bags_of_targets, lengths, _), (targets, bags, shared, _) in zip(parts, arriving, strict=True):
        own = bags_of_targets if shared else torch.arange(targets, device=lengths.device, dtype=lengths.dtype)
        numbered.append(own.long() + first)
        first += bags
    return torch.cat(numbered)
