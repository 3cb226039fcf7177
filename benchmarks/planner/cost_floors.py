"""Lower bounds of the planner's unit costs: a rank's measured share of the memory bandwidth and of the processor."""

import statistics
import time
from collections.abc import Callable
from typing import Any

from benchmarks.planner.cases import RANKS

_BYTES = 256 << 20  # of what is moved at once: beyond any cache
_TURNS = 5
_WIDTH = 128


def floors(moved_bytes: int = _BYTES) -> Any:
    """A Speed: each unit as if nothing were done but its bytes moved in order, or its FLOPs done in one large product.

    All ranks work at once, as in training. ``vector_ns`` is no floor but the cost itself: SimTier's, whose steps the
    calibration does not have.
    """
    import torch

    from embeddings.planner.hardware import Speed
    from embeddings.planner.planner_input import FLOAT_BYTES, ID_BYTES

    before = torch.get_num_threads()
    torch.set_num_threads(RANKS)
    try:
        byte_ns, gflop_ms, vector_ns = _stream_ns(moved_bytes), _gflop_ms(), _vector_ns(moved_bytes)
    finally:
        torch.set_num_threads(before)
    return Speed(
        gflop_ms=gflop_ms,
        byte_ns=byte_ns,
        vector_ns=vector_ns,
        activation_ns=2 * FLOAT_BYTES * byte_ns,  # written and read
        pooled_id_ns=2 * ID_BYTES * byte_ns,
        sequence_id_ns=2 * ID_BYTES * byte_ns,
        wire_ns=2 * byte_ns,  # out of the sender's memory, into the receiver's
        rearranged_ns=2 * byte_ns,
        replicated_ns=4 * FLOAT_BYTES * byte_ns,  # gradient and weight, each read and written
    )


def _best_s(function: Callable[[], Any]) -> float:
    """Seconds of the fastest of a few calls."""
    function()
    times = []
    for _ in range(_TURNS):
        start = time.perf_counter()
        function()
        times.append(time.perf_counter() - start)
    return min(times)


def _stream_ns(moved_bytes: int) -> float:
    """Nanoseconds of one byte read or written in order, by one of all ranks."""
    import torch

    source = torch.ones(moved_bytes // 4)
    into = torch.empty_like(source)
    return _best_s(lambda: into.copy_(source)) * RANKS / (2 * moved_bytes) * 1e9


def _gflop_ms() -> float:
    """Milliseconds of 10^9 FLOPs in one large product, by one of all ranks."""
    import torch

    side = 1024
    a, b = torch.ones(side, side), torch.ones(side, side)
    return _best_s(lambda: a @ b) * RANKS / (2 * side**3 / 1e9) * 1e3


def _vector_ns(table_bytes: int) -> float:
    """Nanoseconds of one byte of random rows that SimTier reads, by one of all ranks."""
    import torch

    from embeddings.frozen.table_memory import copied
    from embeddings.kernels.simtier.op import simtier

    draw = torch.Generator().manual_seed(0)
    rows, targets, length = 2 * table_bytes // (4 * _WIDTH), 512, 200
    table = copied(torch.full((rows, _WIDTH), _WIDTH**-0.5).numpy(), "cpu")
    offsets = torch.arange(targets + 1) * length
    times = []
    for _ in range(_TURNS):  # other rows each time, or the last cache would hold them
        target = torch.randint(rows, (targets,), generator=draw)
        history = torch.randint(rows, (targets * length,), generator=draw)
        start = time.perf_counter()
        simtier(table, None, target, history, offsets, None, 20)
        times.append(time.perf_counter() - start)
    return statistics.median(times) * RANKS / (targets * length * 4 * _WIDTH) * 1e9
