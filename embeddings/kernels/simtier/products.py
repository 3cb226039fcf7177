"""Triton building blocks of SimTier: the tier of a similarity, and the norms of int8 rows."""

import triton
import triton.language as tl

from embeddings.kernels.blocks import vectors


@triton.jit
def tier_of(similarity, N: tl.constexpr):
    """Tier of each similarity, int32, with the roundings of the other implementations."""
    clamped = tl.minimum(tl.maximum(similarity, -1.0), 1.0)
    return tl.minimum(tl.floor((clamped + 1.0) * (N / 2.0)).to(tl.int32), N - 1)


@triton.jit
def row_squares(part):
    """Each row times itself, float32."""
    wide = part.to(tl.int32)
    return tl.sum(wide * wide, 1).to(tl.float32)


@triton.jit
def norm_factor(squares):
    """What rows are multiplied by for norm 1; of a missing row, whose squares are 0: anything finite."""
    return 1 / tl.sqrt(tl.maximum(squares, 1.0))


@triton.jit
def row_factors(table, rows, stride, M: tl.constexpr, BLOCK_M: tl.constexpr):
    """Factors of int8 rows by their own norms, float32."""
    squares = tl.zeros(rows.shape, tl.float32)
    for column in range(0, M, BLOCK_M):
        squares += row_squares(vectors(table, rows, stride, column + tl.arange(0, BLOCK_M), M))
    return norm_factor(squares)
