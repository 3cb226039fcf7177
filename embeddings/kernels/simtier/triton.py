"""SimTier on CUDA, in Triton: only counts are written, and similarities where they are asked for.

Two kernels. Where each target has a bag of its own the work is one read of the behaviours' vectors. Where targets share
bags, a tile of targets and a tile of behaviours are multiplied on the tensor cores, and each tile of behaviours is read
once for a whole tile of targets.
"""

import torch
import triton
import triton.language as tl

from embeddings.kernels.blocks import OPTIONS, behaviours, piece, pieces, query_vector, ready, share, splits, vectors
from embeddings.kernels.simtier.products import norm_factor, row_factors, row_squares, tier_of

# Behaviours that one program counts before a bag is split.
CHUNK = 512


def simtier(
    table: torch.Tensor,
    scale: torch.Tensor | None,
    target_rows: torch.Tensor,
    history_rows: torch.Tensor,
    offsets: torch.Tensor,
    bag_index: torch.Tensor | None,
    num_tiers: int,
    cosines: torch.Tensor | None = None,
) -> torch.Tensor:
    """Tier counts and cosines as in ``embeddings.kernels.simtier.reference``, in float32. No synchronisation.

    A bag that is split over programs is summed by atomic additions of whole numbers, so the result has one value.
    """
    targets, length = target_rows.numel(), history_rows.numel()
    counts = torch.zeros(targets, num_tiers, device=table.device)  # also what no program counts
    if targets == 0 or length == 0 or table.shape[0] == 0:
        return counts
    table, scale, target_rows, history_rows, offsets, bag_index = ready(
        table, scale, target_rows, history_rows, offsets, bag_index
    )
    inputs = (counts, cosines, table, scale, target_rows, history_rows, offsets)
    how = (table.dtype, scale is not None, table.shape[1], num_tiers, cosines is not None)
    if bag_index is None:
        options = own_options(*how, length / targets)
        items, _ = pieces(targets, length, CHUNK, shared=False)
        with torch.cuda.device_of(table):
            count_own_bags[(items,)](*inputs, targets, table.shape[0], table.stride(0), **options)
        return counts
    bags = offsets.numel() - 1
    options = shared_options(*how, targets / max(1, bags))
    sorted_bags, order = torch.sort(bag_index)
    firsts = torch.searchsorted(sorted_bags, torch.arange(bags + 1, device=table.device, dtype=bag_index.dtype))
    tiles = bags + triton.cdiv(targets, options["BLOCK_B"])
    begins = None if cosines is None else cosine_begins(offsets, bag_index)
    sizes = (targets, bags, table.shape[0], table.stride(0))
    with torch.cuda.device_of(table):
        count_shared_bags[(tiles, splits(tiles, length, CHUNK))](
            *inputs, sorted_bags, order, firsts, begins, *sizes, **options
        )
    return counts


def cosine_begins(offsets: torch.Tensor, bag_index: torch.Tensor) -> torch.Tensor:
    """Where the cosines of each target begin, int64 [B]."""
    lengths = offsets.diff().index_select(0, bag_index).long()
    return lengths.cumsum(0) - lengths


def own_options(
    dtype: torch.dtype, scaled: bool, width: int, num_tiers: int, cosines: bool, mean_length: float
) -> dict:
    """Constants of ``count_own_bags``. One warp for short bags: more of them are under way at a time."""
    block_m = min(128, triton.next_power_of_2(width))
    warps = 1 if mean_length <= 64 else 4
    return dict(
        **_constants(dtype, scaled, width, num_tiers, cosines),
        BLOCK_L=max(8, min(64, 1024 // block_m)) * warps if num_tiers <= 64 else 8 * warps,
        BLOCK_M=block_m,
        BINS=triton.next_power_of_2(num_tiers),
        CHUNK=CHUNK,
        num_warps=warps,
        **OPTIONS,
    )


def shared_options(
    dtype: torch.dtype, scaled: bool, width: int, num_tiers: int, cosines: bool, mean_targets: float
) -> dict:
    """Constants of ``count_shared_bags``: tensor cores take tiles of 16 at least, and 32 columns of int8."""
    small = num_tiers > 64 or mean_targets <= 16
    tight = dtype == torch.float32 or (dtype == torch.int8 and not scaled and width <= 64)
    return dict(
        **_constants(dtype, scaled, width, num_tiers, cosines),
        BLOCK_B=16 if small else 32 if mean_targets <= 32 or dtype == torch.float32 else 64,
        BLOCK_L=32 if tight else 64,  # float32 is multiplied in registers, and needs them; narrow int8 spills at 64
        BLOCK_M=max(32, min(128, triton.next_power_of_2(width))),
        GROUPS=triton.next_power_of_2(triton.cdiv(num_tiers, 4)),
        CHUNK=CHUNK,
        num_warps=4 if small and dtype != torch.float32 else 8,
        num_stages=2 if small else 3,  # of the loop's pipeline; small programs are many, and hide what they wait for
        **OPTIONS,
    )


def _constants(dtype: torch.dtype, scaled: bool, width: int, num_tiers: int, cosines: bool) -> dict:
    own_norms = dtype == torch.int8 and not scaled
    return dict(N=num_tiers, M=width, SCALED=scaled, OWN_NORMS=own_norms, COSINES=cosines)


@triton.jit(do_not_specialize=["targets", "table_rows"])
def count_own_bags(
    counts,
    cosines,
    table,
    scale,
    target_rows,
    history_rows,
    offsets,
    targets,
    table_rows,
    stride,
    N: tl.constexpr,
    M: tl.constexpr,
    SCALED: tl.constexpr,
    OWN_NORMS: tl.constexpr,
    COSINES: tl.constexpr,
    BLOCK_L: tl.constexpr,
    BLOCK_M: tl.constexpr,
    BINS: tl.constexpr,
    CHUNK: tl.constexpr,
):
    """A program counts a piece of one bag. Grid: pieces."""
    target, begin, end, whole = piece(tl.program_id(0), targets, targets, 1, offsets, None, CHUNK, False)
    target_row = tl.load(target_rows + target).to(tl.int64)
    tl.device_assert((target_row >= -1) & (target_row < table_rows), "target_rows: a row is not in the table")
    if (target_row == -1) | (begin >= end):
        return
    if OWN_NORMS:
        own = tl.sum(row_factors(table, tl.full([1], target_row, tl.int64), stride, M, BLOCK_M), 0)
    bins = tl.arange(0, BINS)
    total = tl.zeros([BINS], tl.int32)
    wrong = tl.zeros([BLOCK_L], tl.int1)
    for start in range(begin, end, BLOCK_L):
        place = start + tl.arange(0, BLOCK_L)
        rows, unknown = behaviours(history_rows, place, end, table_rows)
        wrong |= unknown
        similarity = tl.zeros([BLOCK_L], tl.float32)
        squares = tl.zeros([BLOCK_L], tl.float32)
        for column in range(0, M, BLOCK_M):
            columns = column + tl.arange(0, BLOCK_M)
            query = query_vector(table, scale, target_row, stride, columns, M, SCALED)
            keys = vectors(table, rows, stride, columns, M).to(tl.float32)
            similarity += tl.sum(keys * query[None, :], 1)
            if OWN_NORMS:
                squares += row_squares(keys)
        if SCALED:
            similarity *= tl.load(scale + rows, mask=rows != -1, other=0)
        elif OWN_NORMS:
            similarity *= own * norm_factor(squares)
        if COSINES:
            tl.store(cosines + place, similarity, mask=rows != -1)
        tier = tl.where(rows != -1, tier_of(similarity, N), -1)
        total += tl.sum((tier[:, None] == bins[None, :]).to(tl.int32), 0)
    tl.device_assert(wrong == 0, "history_rows: a row is not in the table")
    into = counts + target.to(tl.int64) * N + bins
    if whole:
        tl.store(into, total.to(tl.float32), mask=bins < N)
    else:
        tl.atomic_add(into, total.to(tl.float32), mask=(bins < N) & (total > 0), sem="relaxed")


@triton.jit
def _add_group(packed, tier, group, groups):
    """Count tiers 4 * group to 4 * group + 3 of each row into column ``group``, a byte for each tier."""
    counted = tl.sum(tl.where(tier >> 2 == group, 1 << ((tier & 3) * 8), 0), 1)
    return packed + tl.where(groups[None, :] == group, counted[:, None], 0)


@triton.jit(do_not_specialize=["targets", "bags", "table_rows"])
def count_shared_bags(
    counts,
    cosines,
    table,
    scale,
    target_rows,
    history_rows,
    offsets,
    sorted_bags,
    order,
    firsts,
    begins,
    targets,
    bags,
    table_rows,
    stride,
    N: tl.constexpr,
    M: tl.constexpr,
    SCALED: tl.constexpr,
    OWN_NORMS: tl.constexpr,
    COSINES: tl.constexpr,
    BLOCK_B: tl.constexpr,
    BLOCK_L: tl.constexpr,
    BLOCK_M: tl.constexpr,
    GROUPS: tl.constexpr,
    CHUNK: tl.constexpr,
):
    """A program counts a part of one bag for up to BLOCK_B of its targets. Grid: tiles of targets, parts.

    Targets are sorted by bag: target ``order[i]`` has bag ``sorted_bags[i]``, and bag u has targets
    ``firsts[u] : firsts[u + 1]`` of the order. The tiles are cut as in ``tiles.piece``: first one for each bag, then
    what is left of a bag where the place in the order is a multiple of BLOCK_B.

    Four counters share an int32: a tile has BLOCK_L <= 127 behaviours, so no byte of them overflows. That takes a
    quarter of the comparisons.
    """
    tile = tl.program_id(0)
    if tile == 0:
        targets_of_bags = tl.load(firsts + bags) - tl.load(firsts)
        tl.device_assert(targets_of_bags == targets, "bag_index: no such bag")
    bag = tile.to(tl.int64)
    position = (tile - bags).to(tl.int64) * BLOCK_B
    if tile >= bags:
        bag = tl.load(sorted_bags + position).to(tl.int64)
        tl.device_assert((bag >= 0) & (bag < bags), "bag_index: no such bag")
    bag_first = tl.load(firsts + bag)
    last = tl.load(firsts + bag + 1)
    first = bag_first
    if tile >= bags:
        first = tl.maximum(bag_first + BLOCK_B, position)
        last = tl.minimum(last, position + BLOCK_B)
    bag_begin = tl.load(offsets + bag).to(tl.int64)
    stop = tl.load(offsets + bag + 1).to(tl.int64)
    begin, end, whole = share(bag_begin, stop, tl.program_id(1), tl.num_programs(1), CHUNK)
    if (first >= last) | (begin >= end):
        return

    slots = first + tl.arange(0, BLOCK_B)
    target = tl.load(order + slots, mask=slots < last, other=0)
    target_row = tl.load(target_rows + target, mask=slots < last, other=-1).to(tl.int64)
    tl.device_assert((target_row >= -1) & (target_row < table_rows), "target_rows: a row is not in the table")
    target_factor = tl.zeros([BLOCK_B], tl.float32)  # of a missing target, any: it is not stored
    if SCALED:
        target_factor = tl.load(scale + tl.maximum(target_row, 0))
    elif OWN_NORMS:
        target_factor = row_factors(table, target_row, stride, M, BLOCK_M)
    queries = vectors(table, target_row, stride, tl.arange(0, BLOCK_M), M)
    groups = tl.arange(0, GROUPS)
    byte = tl.arange(0, 4) * 8
    total = tl.zeros([BLOCK_B, GROUPS, 4], tl.int32)
    wrong = tl.zeros([BLOCK_L], tl.int1)
    if COSINES:
        own_cosines = cosines + tl.load(begins + target) - bag_begin
    for start in range(begin, end, BLOCK_L):
        place = start + tl.arange(0, BLOCK_L)
        rows, unknown = behaviours(history_rows, place, end, table_rows)
        wrong |= unknown
        similarity = tl.zeros([BLOCK_B, BLOCK_L], tl.int32 if SCALED or OWN_NORMS else tl.float32)
        squares = tl.zeros([BLOCK_L], tl.float32)
        if M <= BLOCK_M:
            keys = vectors(table, rows, stride, tl.arange(0, BLOCK_M), M)
            if OWN_NORMS:
                squares = row_squares(keys)
            similarity = tl.dot(queries, tl.trans(keys), similarity, input_precision="ieee", out_dtype=similarity.dtype)
        else:
            for column in range(0, M, BLOCK_M):
                columns = column + tl.arange(0, BLOCK_M)
                part = vectors(table, target_row, stride, columns, M)
                keys = vectors(table, rows, stride, columns, M)
                if OWN_NORMS:
                    squares += row_squares(keys)
                similarity = tl.dot(
                    part, tl.trans(keys), similarity, input_precision="ieee", out_dtype=similarity.dtype
                )
        if SCALED:
            key_factor = tl.load(scale + rows, mask=rows != -1, other=0)
            cosine = similarity.to(tl.float32) * (target_factor[:, None] * key_factor[None, :])
        elif OWN_NORMS:
            cosine = similarity.to(tl.float32) * (target_factor[:, None] * norm_factor(squares)[None, :])
        else:
            cosine = similarity
        if COSINES:
            known = (target_row != -1)[:, None] & (rows != -1)[None, :]
            tl.store(own_cosines[:, None] + place[None, :], cosine, mask=known)
        tier = tl.where((rows != -1)[None, :], tier_of(cosine, N), -1)
        packed = tl.zeros([BLOCK_B, GROUPS], tl.int32)
        if N <= 64:
            for group in tl.static_range((N + 3) // 4):  # unrolled: only innermost loops are pipelined
                packed = _add_group(packed, tier, group, groups)
        else:
            for group in range((N + 3) // 4):
                packed = _add_group(packed, tier, group, groups)
        total += (packed[:, :, None] >> byte[None, None, :]) & 255

    tl.device_assert(wrong == 0, "history_rows: a row is not in the table")
    tiers = groups[:, None] * 4 + tl.arange(0, 4)[None, :]
    into = counts + target[:, None, None] * N + tiers[None, :, :]
    counted = (target_row != -1)[:, None, None] & (tiers < N)[None, :, :]
    if whole:
        tl.store(into, total.to(tl.float32), mask=counted)
    else:
        tl.atomic_add(into, total.to(tl.float32), mask=counted & (total > 0), sem="relaxed")
