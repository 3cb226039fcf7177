"""Asynchronous all-to-all exchanges of uneven parts."""

from collections.abc import Sequence

import torch
import torch.distributed as dist


class Pending:
    """An exchange under way."""

    def __init__(self, work: dist.Work, received: torch.Tensor, sent: torch.Tensor) -> None:
        self._work, self._received = work, received
        self._sent = sent  # must live until it is sent

    def wait(self) -> torch.Tensor:
        """What arrives, rank after rank, [sum of receive_sizes]. Waits until it is there."""
        self._work.wait()
        return self._received


def all_to_all(
    send: torch.Tensor, send_sizes: Sequence[int], receive_sizes: Sequence[int], group: dist.ProcessGroup
) -> Pending:
    """Begin to send ``send`` [sum of send_sizes], cut in one part a rank. An all-to-all is gloo's quickest exchange."""
    received = send.new_empty(sum(receive_sizes))
    options = dist.AllToAllOptions()
    options.asyncOp = True
    work = group.alltoall_base(received, send, list(receive_sizes), list(send_sizes), options)
    return Pending(work, received, send)


def to_all(send: torch.Tensor, receive_sizes: Sequence[int], group: dist.ProcessGroup) -> Pending:
    """Begin to send the same to every rank. Parts may differ in size, which all-gathers do not allow."""
    flat = send.reshape(-1)
    return all_to_all(flat.repeat(group.size()), [flat.numel()] * group.size(), receive_sizes, group)


def summed(parts: torch.Tensor, rows: Sequence[int], group: dist.ProcessGroup) -> torch.Tensor:
    """Sum over ranks of their parts of the results of this rank's rows, in the order of ranks: the same on every run.

    parts    [sum of rows, K]    this rank's part of the result of every rank's rows
    rows     [W]                 rows of each rank
    returns  [rows of this, K]
    """
    columns, own = parts.shape[1], rows[group.rank()]
    arriving = all_to_all(parts.reshape(-1), [r * columns for r in rows], [own * columns] * group.size(), group)
    return arriving.wait().view(group.size(), own, columns).sum(0)
