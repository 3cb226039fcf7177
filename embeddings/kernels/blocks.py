"""Triton building blocks of all kernels: arguments made contiguous, and bags cut into pieces, one for each program.

The number of pieces must be known on the host, and the lengths of the bags are on the device. Reading them back would
make the host wait, so each kernel starts an upper bound of programs and those without work leave at once.
"""

from typing import Any

import torch
import triton
import triton.language as tl

# Programs that split bags fill a device several times over: an H100 has 132 multiprocessors. More would only leave.
_PROGRAMS = 4096
# Rows are asserted on the device, so that no defect of the caller is answered; overflow checks would cost and find
# nothing. The launch of a compiled kernel takes these beside its arguments.
OPTIONS = dict(debug=True, sanitize_overflow=False, enable_fp_fusion=True)


def ready(table: torch.Tensor, *others: torch.Tensor | None) -> list[Any]:
    """The table with neighbouring columns side by side (rows may lie apart) and the others contiguous."""
    if table.dtype == torch.bfloat16 and triton.knobs.runtime.interpret:
        table = table.float()  # the interpreter's tl.dot multiplies the bit patterns of bfloat16
    narrow = table.shape[1] == 1 or table.stride(1) == 1
    return [table if narrow else table.contiguous(), *(o if o is None else o.contiguous() for o in others)]


def splits(parts: int, behaviours: int, chunk: int) -> int:
    """How many programs share each of ``parts`` bags: enough for one bag with every behaviour, not too many in all."""
    return max(1, min(triton.cdiv(behaviours, chunk), _PROGRAMS // max(1, parts)))


def pieces(targets: int, behaviours: int, chunk: int, shared: bool) -> tuple[int, int]:
    """Number of pieces that ``piece`` finds work in, and its ``splits``."""
    if shared:
        each = splits(targets, behaviours, chunk)
        return targets * each, each
    return targets + triton.cdiv(behaviours, chunk), 1


@triton.jit
def share(begin, stop, split, splits, CHUNK: tl.constexpr):
    """Part ``split`` of a bag cut evenly in ``splits`` of CHUNK or more: begin, end, whether it is all of the bag."""
    length = tl.maximum(tl.cdiv(stop - begin, splits), CHUNK)
    first = begin + split * length
    return first, tl.minimum(first + length, stop), stop - begin <= length


@triton.jit
def piece(item, targets, bags, splits, offsets, bag_index, CHUNK: tl.constexpr, SHARED: tl.constexpr):
    """Target, begin and end of piece ``item``, and whether it is all of the target's bag. Often empty.

    Bags shared by targets are cut by ``share``. Otherwise bags do not overlap: the first pieces are the first CHUNK
    behaviours of each bag. What is left of a bag is cut where the history's position is a multiple of CHUNK; such a
    cut is in the rest of one bag at most, the one that holds the position.
    """
    if SHARED:
        target = item // splits
        bag = tl.load(bag_index + target).to(tl.int64)
        tl.device_assert((bag >= 0) & (bag < bags), "bag_index: no such bag")
        bag_begin = tl.load(offsets + bag).to(tl.int64)
        stop = tl.load(offsets + bag + 1).to(tl.int64)
        begin, end, whole = share(bag_begin, stop, item % splits, splits, CHUNK)
    else:
        position = (item - targets).to(tl.int64) * CHUNK
        target = item
        if item >= targets:
            target = _bag_of(position, targets, offsets)
        bag_begin = tl.load(offsets + target).to(tl.int64)
        stop = tl.load(offsets + target + 1).to(tl.int64)
        whole = stop - bag_begin <= CHUNK
        begin = bag_begin
        end = tl.minimum(bag_begin + CHUNK, stop)
        if item >= targets:
            begin = tl.maximum(bag_begin + CHUNK, position)
            end = tl.minimum(position + CHUNK, stop)
    return target, begin, end, whole


@triton.jit
def _bag_of(position, bags, offsets):
    """The last bag that begins at or before ``position``; bag 0 where none does."""
    low = bags * 0
    high = bags
    while high - low > 1:
        middle = (low + high) // 2
        before = tl.load(offsets + middle).to(tl.int64) <= position
        low = tl.where(before, middle, low)
        high = tl.where(before, high, middle)
    return low


@triton.jit
def behaviours(history_rows, place, end, table_rows):
    """Rows at these places of the history, int64, -1 where missing or past the end; and which are not in the table.

    Those are -1 too, and the caller asserts after its loop that there are none: a loop with an assertion inside is not
    pipelined.
    """
    given = tl.load(history_rows + place, mask=place < end, other=-1).to(tl.int64)
    rows = tl.where((given >= 0) & (given < table_rows), given, -1)
    return rows, given != rows


@triton.jit
def vectors(table, rows, stride, columns, M: tl.constexpr):
    """These columns of these rows, as the table has them: [rows, columns]; zeros where a row is -1."""
    inside = (rows != -1)[:, None] & (columns < M)[None, :]
    return tl.load(table + rows[:, None] * stride + columns[None, :], mask=inside, other=0)


@triton.jit
def query_vector(table, scale, row, stride, columns, M: tl.constexpr, SCALED: tl.constexpr):
    """These columns of one known row, float32, scaled."""
    query = tl.load(table + row * stride + columns, mask=columns < M, other=0).to(tl.float32)
    if SCALED:
        query *= tl.load(scale + row)
    return query
