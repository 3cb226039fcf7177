"""MAKE's attention on CUDA, in Triton: hidden units never leave the registers, and backward computes them anew.

With weight = [A, B, C, D] over [q; k; q - k; q * k] and one target q,

    h = (A + C) q + bias  +  ((B - C) + D diag(q)) k

so the target is folded into one matrix [H, M], and its behaviours are tiles of a matrix product on the tensor cores.
Rows of half and int8 tables are exact in float16 and TF32. A weight is not, so it is the sum of two such numbers, which
keeps 22 bits of it; float32 tables are split as well.
"""

import torch
import triton
import triton.language as tl

from embeddings.kernels import pairs
from embeddings.kernels.blocks import OPTIONS, behaviours, piece, pieces, query_vector, ready, vectors

# Behaviours that one program takes before a bag is split.
CHUNK = 512
# Tiles of behaviours under way at a time. Named at the loop: else only loads that go straight to a product are.
STAGES = tl.constexpr(3)
# Programs of the backward: each holds gradients of the weight in registers over all its targets, and writes them once.
BACKWARD_PROGRAMS = 264


def make_attention(
    table: torch.Tensor,
    scale: torch.Tensor | None,
    target_rows: torch.Tensor,
    history_rows: torch.Tensor,
    offsets: torch.Tensor,
    bag_index: torch.Tensor | None,
    weight: torch.Tensor,
    bias: torch.Tensor,
    slope: torch.Tensor,
    score: torch.Tensor,
) -> torch.Tensor:
    """As ``embeddings.kernels.make_attention.reference``, in float32. No synchronisation.

    A bag that is split over programs is summed by atomic additions, in an order that differs from run to run.
    """
    targets, length, width = target_rows.numel(), history_rows.numel(), table.shape[1]
    out = torch.zeros(targets, width, device=table.device)  # also what no program writes
    if targets == 0 or length == 0:
        return out
    inputs = ready(table, scale, target_rows, history_rows, offsets, bag_index, weight, bias, slope, score)
    options = constants(table.dtype, width, bias.numel(), bag_index is not None)
    items, splits = pieces(targets, length, CHUNK, bag_index is not None)
    grid = (items, triton.cdiv(bias.numel(), options["BLOCK_H"]))
    with torch.cuda.device_of(table):
        attend[grid](out, *inputs, targets, offsets.numel() - 1, splits, table.shape[0], inputs[0].stride(0), **options)
    return out


def make_attention_backward(
    gradient: torch.Tensor,
    table: torch.Tensor,
    scale: torch.Tensor | None,
    target_rows: torch.Tensor,
    history_rows: torch.Tensor,
    offsets: torch.Tensor,
    bag_index: torch.Tensor | None,
    weight: torch.Tensor,
    bias: torch.Tensor,
    slope: torch.Tensor,
    score: torch.Tensor,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Gradients of the four parameters, float32. ``gradient`` [B, M] is that of the result. No synchronisation."""
    targets, length, width, hiddens = target_rows.numel(), history_rows.numel(), table.shape[1], bias.numel()
    if targets == 0 or length == 0:
        return torch.zeros_like(weight), torch.zeros_like(bias), torch.zeros_like(slope), torch.zeros_like(score)
    inputs = ready(table, scale, target_rows, history_rows, offsets, bag_index, weight, bias, slope, score)
    options = constants(table.dtype, width, hiddens, bag_index is not None, backward=True)
    items, splits = pieces(targets, length, CHUNK, bag_index is not None)
    programs = min(items, BACKWARD_PROGRAMS)
    of_pairs = torch.empty(programs, 2, hiddens, width, device=table.device)  # of B - C and of D
    of_units = torch.empty(programs, 2, hiddens, device=table.device)  # of slope and of score
    of_targets = torch.zeros(targets, hiddens, device=table.device)  # of hidden units, summed over a target's bag
    grid = (triton.cdiv(hiddens, options["BLOCK_H"]) * triton.cdiv(width, options["BLOCK_M"]), programs)
    outputs, sizes = (of_pairs, of_units, of_targets), (items, targets, offsets.numel() - 1, splits, table.shape[0])
    with torch.cuda.device_of(table):
        attend_backward[grid](*outputs, gradient.contiguous(), *inputs, *sizes, inputs[0].stride(0), **options)
    of_query = of_targets.t() @ pairs.vectors(table, scale, target_rows)  # of A + C; of a missing target: 0 times it
    of_key, of_product = of_pairs.sum(0)
    return torch.cat([of_query, of_key, of_query - of_key, of_product], 1), of_targets.sum(0), *of_units.sum(0)


def constants(dtype: torch.dtype, width: int, hiddens: int, shared: bool, backward: bool = False) -> dict:
    """Constants of ``attend``, or of ``attend_backward``: two more tiles, so smaller ones, to fit in the registers."""
    units = 64 if not backward else 16 if width > 64 and dtype == torch.float32 else 32
    return dict(
        **dict(SCALED=dtype == torch.int8, EXACT=dtype != torch.float32, SHARED=shared, M=width, H=hiddens),
        BLOCK_L=16 if backward and width > 64 else 32,
        BLOCK_M=max(16, min(128, triton.next_power_of_2(width))),
        BLOCK_H=max(16, min(units, triton.next_power_of_2(hiddens))),
        CHUNK=CHUNK,
        num_warps=8 if backward or width > 64 else 4,
        **OPTIONS,
    )


@triton.jit
def _folded(weight, query, columns, units, M: tl.constexpr, H: tl.constexpr):
    """These columns of the matrix between this target's behaviours and their hidden units: [H, M], zeros outside."""
    place = weight + units[:, None] * (4 * M) + columns[None, :]
    inside = (units < H)[:, None] & (columns < M)[None, :]
    of_key = tl.load(place + M, mask=inside, other=0) - tl.load(place + 2 * M, mask=inside, other=0)
    return of_key + tl.load(place + 3 * M, mask=inside, other=0) * query[None, :]


@triton.jit
def _of_query(weight, query, columns, units, M: tl.constexpr, H: tl.constexpr):
    """What these columns of the target alone add to the hidden units: [H]."""
    place = weight + units[:, None] * (4 * M) + columns[None, :]
    inside = (units < H)[:, None] & (columns < M)[None, :]
    both = tl.load(place, mask=inside, other=0) + tl.load(place + 2 * M, mask=inside, other=0)
    return tl.sum(both * query[None, :], 1)


@triton.jit
def _times_folded(keys, folded, EXACT: tl.constexpr):
    """keys [L, M] times folded [H, M] transposed: float32 [L, H]."""
    if EXACT:
        exact = keys.to(tl.float16)
        high = folded.to(tl.float16)
        low = (folded - high.to(tl.float32)).to(tl.float16)
        return tl.dot(exact, tl.trans(high), tl.dot(exact, tl.trans(low)))
    else:
        return tl.dot(keys, tl.trans(folded), input_precision="tf32x3")


@triton.jit
def _times_keys(of_hidden, keys, total, EXACT: tl.constexpr):
    """``total`` [H, M] plus of_hidden [L, H] transposed times keys [L, M]."""
    exact = keys.to(tl.float32)
    if EXACT:  # gradients may be too small for float16, so TF32
        high = (of_hidden.to(tl.int32, bitcast=True) & -8192).to(tl.float32, bitcast=True)
        total = tl.dot(tl.trans(of_hidden - high), exact, total, input_precision="tf32")
        return tl.dot(tl.trans(high), exact, total, input_precision="tf32")
    else:
        return tl.dot(tl.trans(of_hidden), exact, total, input_precision="tf32x3")


@triton.jit(do_not_specialize=["targets", "bags", "splits", "table_rows"])
def attend(
    out, table, scale, target_rows, history_rows, offsets, bag_index, weight, bias, slope, score,
    targets, bags, splits, table_rows, stride,
    M: tl.constexpr, H: tl.constexpr, SCALED: tl.constexpr, EXACT: tl.constexpr, SHARED: tl.constexpr,
    BLOCK_L: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_H: tl.constexpr, CHUNK: tl.constexpr,
):  # fmt: skip
    """A program adds up one piece of a bag, weighted by one block of the hidden units. Grid: pieces, blocks."""
    target, begin, end, whole = piece(tl.program_id(0), targets, bags, splits, offsets, bag_index, CHUNK, SHARED)
    target_row = tl.load(target_rows + target).to(tl.int64)
    tl.device_assert((target_row >= -1) & (target_row < table_rows), "target_rows: a row is not in the table")
    if (target_row == -1) | (begin >= end):
        return
    units = tl.program_id(1) * BLOCK_H + tl.arange(0, BLOCK_H)
    unit_slope = tl.load(slope + units, mask=units < H, other=0)
    unit_score = tl.load(score + units, mask=units < H, other=0)
    constant = tl.load(bias + units, mask=units < H, other=0)
    for column in range(0, M, BLOCK_M):
        columns = column + tl.arange(0, BLOCK_M)
        query = query_vector(table, scale, target_row, stride, columns, M, SCALED)
        constant += _of_query(weight, query, columns, units, M, H)
    own = tl.arange(0, BLOCK_M)
    if M <= BLOCK_M:
        folded = _folded(weight, query_vector(table, scale, target_row, stride, own, M, SCALED), own, units, M, H)
    place = out + target.to(tl.int64) * M + own
    total = tl.zeros([BLOCK_L, BLOCK_M], tl.float32)
    wrong = tl.zeros([BLOCK_L], tl.int1)
    for start in tl.range(begin, end, BLOCK_L, num_stages=STAGES):
        rows, unknown = behaviours(history_rows, start + tl.arange(0, BLOCK_L), end, table_rows)
        wrong |= unknown
        if M <= BLOCK_M:
            keys = vectors(table, rows, stride, own, M)
            hidden = _times_folded(keys, folded, EXACT)
        else:
            hidden = tl.zeros([BLOCK_L, BLOCK_H], tl.float32)
            for column in range(0, M, BLOCK_M):
                columns = column + own
                query = query_vector(table, scale, target_row, stride, columns, M, SCALED)
                keys = vectors(table, rows, stride, columns, M)
                hidden += _times_folded(keys, _folded(weight, query, columns, units, M, H), EXACT)
        if SCALED:
            key_scale = tl.load(scale + rows, mask=rows != -1, other=0)
            hidden *= key_scale[:, None]
        hidden += constant[None, :]
        hidden = tl.where(hidden > 0, hidden, unit_slope[None, :] * hidden)
        relevance = tl.where(rows != -1, tl.sum(hidden * unit_score[None, :], 1), 0)
        if SCALED:
            relevance *= key_scale
        if M <= BLOCK_M:
            total += relevance[:, None] * keys.to(tl.float32)
        else:
            for column in range(0, M, BLOCK_M):
                keys = vectors(table, rows, stride, column + own, M)
                part = tl.sum(relevance[:, None] * keys.to(tl.float32), 0)
                tl.atomic_add(place + column, part, mask=column + own < M, sem="relaxed")
    tl.device_assert(wrong == 0, "history_rows: a row is not in the table")
    if M <= BLOCK_M:
        if whole & (H <= BLOCK_H):
            tl.store(place, tl.sum(total, 0), mask=own < M)
        else:
            tl.atomic_add(place, tl.sum(total, 0), mask=own < M, sem="relaxed")


@triton.jit(do_not_specialize=["items", "targets", "bags", "splits", "table_rows"])
def attend_backward(
    of_pairs, of_units, of_targets, gradient,
    table, scale, target_rows, history_rows, offsets, bag_index, weight, bias, slope, score,
    items, targets, bags, splits, table_rows, stride,
    M: tl.constexpr, H: tl.constexpr, SCALED: tl.constexpr, EXACT: tl.constexpr, SHARED: tl.constexpr,
    BLOCK_L: tl.constexpr, BLOCK_M: tl.constexpr, BLOCK_H: tl.constexpr, CHUNK: tl.constexpr,
):  # fmt: skip
    """A program takes every n-th piece, one block of hidden units and one of columns. Grid: blocks x blocks, n,
    so that programs with the same pieces run side by side.

    It writes its own part of ``of_pairs`` [n, 2, H, M] and ``of_units`` [n, 2, H]. To ``of_targets`` [B, H] it stores
    or, where a bag is in pieces, adds.
    """
    program = tl.program_id(1)
    column_blocks: tl.constexpr = (M + BLOCK_M - 1) // BLOCK_M
    units = tl.program_id(0) // column_blocks * BLOCK_H + tl.arange(0, BLOCK_H)
    first = tl.program_id(0) % column_blocks == 0  # what has no columns is written by the first block of them
    own = tl.program_id(0) % column_blocks * BLOCK_M + tl.arange(0, BLOCK_M)
    unit_bias = tl.load(bias + units, mask=units < H, other=0)
    unit_slope = tl.load(slope + units, mask=units < H, other=0)
    unit_score = tl.load(score + units, mask=units < H, other=0)
    of_key = tl.zeros([BLOCK_H, BLOCK_M], tl.float32)
    of_product = tl.zeros([BLOCK_H, BLOCK_M], tl.float32)
    of_slope = tl.zeros([BLOCK_H], tl.float32)
    of_score = tl.zeros([BLOCK_H], tl.float32)
    wrong = tl.zeros([BLOCK_L], tl.int1)
    for item in range(program, items, tl.num_programs(1)):
        target, begin, end, whole = piece(item, targets, bags, splits, offsets, bag_index, CHUNK, SHARED)
        target_row = tl.load(target_rows + target).to(tl.int64)
        tl.device_assert((target_row >= -1) & (target_row < table_rows), "target_rows: a row is not in the table")
        if (target_row != -1) & (begin < end):
            constant = unit_bias
            for column in range(0, M, BLOCK_M):
                columns = column + tl.arange(0, BLOCK_M)
                query = query_vector(table, scale, target_row, stride, columns, M, SCALED)
                constant += _of_query(weight, query, columns, units, M, H)
            query = query_vector(table, scale, target_row, stride, own, M, SCALED)
            upstream = gradient + target.to(tl.int64) * M
            if M <= BLOCK_M:
                folded = _folded(weight, query, own, units, M, H)
                own_upstream = tl.load(upstream + own, mask=own < M, other=0)
            of_folded = tl.zeros([BLOCK_H, BLOCK_M], tl.float32)
            of_target = tl.zeros([BLOCK_H], tl.float32)
            for start in tl.range(begin, end, BLOCK_L, num_stages=STAGES):
                rows, unknown = behaviours(history_rows, start + tl.arange(0, BLOCK_L), end, table_rows)
                wrong |= unknown
                keys = vectors(table, rows, stride, own, M)
                if M <= BLOCK_M:
                    hidden = _times_folded(keys, folded, EXACT)
                    relevance = tl.sum(keys.to(tl.float32) * own_upstream[None, :], 1)
                else:
                    hidden = tl.zeros([BLOCK_L, BLOCK_H], tl.float32)
                    relevance = tl.zeros([BLOCK_L], tl.float32)
                    for column in range(0, M, BLOCK_M):
                        columns = column + tl.arange(0, BLOCK_M)
                        part = vectors(table, rows, stride, columns, M)
                        part_query = query_vector(table, scale, target_row, stride, columns, M, SCALED)
                        hidden += _times_folded(part, _folded(weight, part_query, columns, units, M, H), EXACT)
                        part_upstream = tl.load(upstream + columns, mask=columns < M, other=0)
                        relevance += tl.sum(part.to(tl.float32) * part_upstream[None, :], 1)
                if SCALED:
                    key_scale = tl.load(scale + rows, mask=rows != -1, other=0)
                    hidden *= key_scale[:, None]
                    relevance *= key_scale
                hidden += constant[None, :]
                steepness = tl.where(hidden > 0, 1.0, unit_slope[None, :])
                of_score += tl.sum(relevance[:, None] * (steepness * hidden), 0)
                of_slope += tl.sum(relevance[:, None] * tl.minimum(hidden, 0), 0)
                of_hidden = relevance[:, None] * unit_score[None, :] * steepness
                of_target += tl.sum(of_hidden, 0)
                if SCALED:
                    of_hidden *= key_scale[:, None]
                of_folded = _times_keys(of_hidden, keys, of_folded, EXACT)
            of_key += of_folded
            of_product += of_folded * query[None, :]
            if first:
                target_place = of_targets + target.to(tl.int64) * H + units
                if whole:
                    tl.store(target_place, of_target, mask=units < H)
                else:
                    tl.atomic_add(target_place, of_target, mask=units < H, sem="relaxed")
    tl.device_assert(wrong == 0, "history_rows: a row is not in the table")
    inside = (units < H)[:, None] & (own < M)[None, :]
    place = of_pairs + program.to(tl.int64) * (2 * H * M) + units[:, None] * M + own[None, :]
    tl.store(place, of_key, mask=inside)
    tl.store(place + H * M, of_product, mask=inside)
    if first:
        unit_place = of_units + program * (2 * H) + units
        tl.store(unit_place, of_slope * unit_score, mask=units < H)
        tl.store(unit_place + H, of_score, mask=units < H)
