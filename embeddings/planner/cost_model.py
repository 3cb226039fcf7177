"""Bytes and milliseconds of a shard and of a rank's dense part. One step is one batch a rank.

Notation: b rows a rank, W ranks, n = b * W * (mean ids an example) ids of the global batch. Time is additive: the step
takes what is the same on every rank plus the sum over the shards of the critical rank.
"""

from dataclasses import dataclass

import numpy as np

from embeddings.planner.hardware import Hardware, Speed
from embeddings.planner.planner_input import FLOAT_BYTES, ID_BYTES, Dense, Problem, Table

# Times that the bytes of a looked-up vector move: read in the forward, and in the backward its gradient read, the
# weights read and written.
_MOVES = 4
_DENSE_STATE = 4  # float32 numbers for each dense parameter: itself, its gradient, Adam's two moments
# A replicated table at its peak, besides weights and state: the backward's gradient, DDP's bucket, and two temporaries
# of an optimizer that visits every row.
_REPLICAS = 4
_UVM = ("fused_uvm", "fused_uvm_caching")
_CACHED = 0.2  # share of a fused_uvm_caching table in HBM, TorchRec's default; lookups are taken to hit as often


@dataclass(frozen=True)
class Machine:
    """Hardware at one world size."""

    hardware: Hardware
    world_size: int
    ranks_of_host: int

    @classmethod
    def of(cls, hardware: Hardware, world_size: int) -> "Machine":
        return cls(hardware, world_size, min(world_size, hardware.local_world_size))

    @property
    def hosts(self) -> int:
        return -(-self.world_size // self.ranks_of_host)

    @property
    def capacity(self) -> tuple[int, int]:
        """Bytes that a plan may fill: of one rank's own memory, and its share of the host's (0 on CPU: the same)."""
        own = self.hardware.device_bytes(self.ranks_of_host)
        if self.hardware.device == "cpu":
            return own, 0
        return own, self.hardware.host_bytes(self.ranks_of_host) // self.ranks_of_host

    def wire_ms(self, sent: np.ndarray | float) -> np.ndarray | float:
        """Time to send ``sent`` bytes, spread evenly over all other ranks."""
        peers = self.world_size - 1
        if not peers:
            return 0.0 * sent
        away = (self.world_size - self.ranks_of_host) / peers
        return sent * (1 - away) * self.near_ns * 1e-6 + sent * away * self.far_ns * 1e-6

    @property
    def near_ns(self) -> float:
        """One byte to a rank of the same host."""
        own = self.hardware.speed.wire_ns
        return own if own is not None else 1 / (self.hardware.reach * self.hardware.intra_gb_per_s)

    @property
    def far_ns(self) -> float:
        """One byte to another host."""
        return 1 / (self.hardware.reach * self.hardware.inter_gb_per_s)

    @property
    def byte_ns(self) -> float:
        """One byte of table memory, moved once."""
        own = self.hardware.speed.byte_ns
        return own if own is not None else 1 / self.hardware.memory_gb_per_s

    @property
    def vector_ns(self) -> float:
        """One byte of frozen vectors, read in random rows."""
        own = self.hardware.speed.vector_ns
        return own if own is not None else self.byte_ns

    @property
    def pcie_ns(self) -> float:
        """One byte of host memory, read by a device."""
        return 1 / (self.hardware.reach * self.hardware.pcie_gb_per_s)

    @property
    def activation_ns(self) -> float:
        """One float32 that the forward writes and the backward reads, and its gradient."""
        own = self.hardware.speed.activation_ns
        return own if own is not None else 4 * FLOAT_BYTES * self.byte_ns

    @property
    def rearranged_ns(self) -> float:
        """One byte read in one order and written in another."""
        own = self.hardware.speed.rearranged_ns
        return own if own is not None else 2 * self.byte_ns

    @property
    def replicated_ns(self) -> float:
        """One weight of a replicated table: gradient written and read, weight and state read and written."""
        own = self.hardware.speed.replicated_ns
        return own if own is not None else 6 * FLOAT_BYTES * self.byte_ns


@dataclass(frozen=True)
class Cost:
    """Per shard: bytes of the device's memory and of the host's, milliseconds a step of the rank that holds it.

    copy_bytes     what of those is the copy that a checkpoint takes
    everywhere_ms  what the table costs every rank, wherever its shards are
    """

    device_bytes: np.ndarray
    host_bytes: np.ndarray
    copy_bytes: np.ndarray
    ms: np.ndarray
    everywhere_ms: float

    @property
    def slowest_ms(self) -> float:
        """Time of the rank with the slowest shard."""
        return float(self.ms.max()) + self.everywhere_ms


def shard_cost(table: Table, kind: str, kernel: str, shards: np.ndarray, problem: Problem, machine: Machine) -> Cost:
    """Cost of each shard [S] of a table.

    Args:
        shards: int64 [S, 4] of ``cut``.
        kernel: fused, dense (data_parallel), fused_uvm or fused_uvm_caching (rows in host memory).
    """
    height, width = shards[:, 2].astype(float), shards[:, 3].astype(float)
    work = _work(table, kind, height, width, problem, machine)
    of_ids = ID_BYTES * height * table.managed  # the id that has the row; stays on the device
    weights, state = FLOAT_BYTES * height * width, problem.state_bytes(height, width)
    copy = _copied((weights, state - weights, of_ids), machine) * problem.checkpoints
    if kind == "data_parallel":
        state += _REPLICAS * FLOAT_BYTES * height * width
    # ids of two batches, the pipeline's, the outputs and their gradients; an evaluation has one batch and no gradients
    batches = max(2.0, problem.eval_batch_size / problem.batch_size)
    buffers = batches * (ID_BYTES * work.ids + FLOAT_BYTES * work.outputs)
    near = {"fused_uvm": 0.0, "fused_uvm_caching": _CACHED}.get(kernel, 1.0)
    device, host = near * state + of_ids + buffers, (1.0 if kernel in _UVM else 0.0) * state
    if machine.hardware.device == "cuda":
        host = host + copy
    else:
        device = device + copy
    speed = machine.hardware.speed
    id_ns = speed.pooled_id_ns if table.pooled else speed.sequence_id_ns
    far_ns = machine.pcie_ns if kernel in _UVM else 0.0
    byte_ns = near * machine.byte_ns + (1 - near) * far_ns
    ms = (work.ids * id_ns + work.moved * byte_ns) * 1e-6 + work.wire_ms
    if kind == "data_parallel":
        ms += height * width * machine.replicated_ns * 1e-6
    empty = (height == 0) | (width == 0)
    device, host, copy, ms = (np.where(empty, 0, a) for a in (device, host, copy, ms))
    everywhere_ms = _rearranged(table, kind, problem) * machine.rearranged_ns * 1e-6
    return Cost(np.ceil(device), np.ceil(host), np.ceil(copy), ms, everywhere_ms)


def _copied(pieces: tuple[np.ndarray, ...], machine: Machine) -> np.ndarray:
    """Bytes of host memory of a checkpoint's copy of ``pieces``. Pinned memory comes in powers of two (torch's caching
    host allocator). Of a replicated table, any rank may be the one that writes it."""
    if machine.hardware.device == "cpu":
        return sum(pieces)
    return sum(np.where(p > 0, 2.0 ** np.ceil(np.log2(np.maximum(p, 1))), 0) for p in pieces)


def _rearranged(table: Table, kind: str, problem: Problem) -> float:
    """Bytes that every rank puts into another order: ids into the buckets of row blocks, and a sequence's vectors back
    into the order of its ids, forward and backward."""
    ids = problem.batch_size * table.ids
    by_row = kind in ("row_wise", "table_row_wise", "grid_shard")
    again = not table.pooled and kind not in ("table_wise", "data_parallel")
    return by_row * ID_BYTES * ids + again * 2 * FLOAT_BYTES * table.columns * ids


@dataclass(frozen=True)
class _Work:
    ids: np.ndarray  # looked up in the shard each step
    outputs: np.ndarray  # float32 numbers that the shard gives
    moved: np.ndarray  # bytes of table memory
    wire_ms: np.ndarray


def _work(table: Table, kind: str, height: np.ndarray, width: np.ndarray, problem: Problem, machine: Machine) -> _Work:
    batch, world = problem.batch_size, machine.world_size
    if kind == "data_parallel":
        ids = np.full_like(height, batch * table.ids)
        whole = FLOAT_BYTES * height * width
        moved = _MOVES * FLOAT_BYTES * ids * width
        return _Work(ids, batch * table.outputs * width, moved, machine.wire_ms(2 * whole * (world - 1) / world))
    share = height / table.rows
    ids = batch * world * table.ids * share
    moved = _MOVES * FLOAT_BYTES * ids * width
    vectors = batch * world * (len(table.mean_length) if table.pooled else table.ids * share)
    outputs = vectors * width
    others = (world - 1) / world
    ids_sent = ID_BYTES * ids * others
    if table.pooled and kind in ("table_row_wise", "grid_shard"):
        # sums meet within the host first, then each rank sends its part to the other hosts
        local = machine.ranks_of_host
        near = 2 * FLOAT_BYTES * outputs * (local - 1) / local * machine.near_ns
        far = 2 * FLOAT_BYTES * outputs / local * (machine.hosts - 1) / machine.hosts * machine.far_ns
        wire = machine.wire_ms(ids_sent) + (near + far) * 1e-6
    else:
        wire = machine.wire_ms(ids_sent + 2 * FLOAT_BYTES * outputs * others)
    return _Work(ids, outputs, moved, wire)


def dense_bytes(dense: Dense, problem: Problem) -> tuple[int, int]:
    """Bytes of the dense part's parameters with their optimizer, and of activations and batches, on every rank.

    The latter are those of training or of evaluation, whichever takes more: these are never there together.
    """
    training, evaluation = (
        rows * (FLOAT_BYTES * numbers + problem.batches * dense.batch_bytes)
        for rows, numbers in ((problem.batch_size, dense.activations), (problem.eval_batch_size, dense.live))
    )
    return _DENSE_STATE * FLOAT_BYTES * dense.parameters, int(max(training, evaluation))


def dense_copy_bytes(problem: Problem, machine: Machine) -> int:
    """One rank's share of what a checkpoint copies of the dense part: all but the gradients."""
    whole = (_DENSE_STATE - 1) * FLOAT_BYTES * problem.dense.parameters
    return -(-whole // machine.world_size) if problem.checkpoints else 0


def base_ms(problem: Problem, machine: Machine) -> float:
    """What a step takes on every rank whatever the plan: the dense part and its gradients, and the step itself."""
    hardware, speed = machine.hardware, machine.hardware.speed
    gflop_ms = speed.gflop_ms
    if gflop_ms is None:
        gflop_ms = 1 / (hardware.tflops * hardware.efficiency) if hardware.tflops else 0.0
    example_ms = problem.dense.flops * gflop_ms * 1e-9 + problem.dense.activations * machine.activation_ns * 1e-6
    gradients = 2 * FLOAT_BYTES * problem.dense.parameters * (machine.world_size - 1) / machine.world_size
    return speed.step_ms + problem.batch_size * example_ms + float(machine.wire_ms(gradients))


def exchanges_ms(kinds: set[tuple[str, str]], speed: Speed) -> float:
    """Fixed cost of the exchanges: one for each pair of collection and sharding type, data_parallel has none."""
    return sum(kind != "data_parallel" for _, kind in kinds) * speed.exchange_us * 1e-3
