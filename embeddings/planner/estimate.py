"""Bytes and milliseconds of a shard, of a rank's dense part and of its frozen tables. One step is one batch a rank.

Notation: b rows a rank, W ranks, n = b * W * (mean ids an example) ids of the global batch. Time is additive: the step
takes what is the same on every rank plus the sum over the shards of the critical rank.
"""

from dataclasses import dataclass

import numpy as np

from embeddings.planner.hardware import Hardware, Speed
from embeddings.planner.problem import FLOAT_BYTES, ID_BYTES, VECTOR_BYTES, Dense, Frozen, Problem, Table

# Times that the bytes of a looked-up vector move: read in the forward, and in the backward its gradient read, the
# weights read and written.
_MOVES = 4
_DENSE_STATE = 4  # float32 numbers for each dense parameter: itself, its gradient, Adam's two moments
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
        return own if own is not None else 1 / self.hardware.intra_gb_per_s

    @property
    def far_ns(self) -> float:
        """One byte to another host."""
        return 1 / self.hardware.inter_gb_per_s

    @property
    def byte_ns(self) -> float:
        """One byte of table memory, moved once."""
        own = self.hardware.speed.byte_ns
        return own if own is not None else 1 / self.hardware.memory_gb_per_s


@dataclass(frozen=True)
class Cost:
    """Per shard, or where a scalar per rank: bytes of the device's memory and of the host's, milliseconds a step."""

    device_bytes: np.ndarray
    host_bytes: np.ndarray
    lookup_ms: np.ndarray
    wire_ms: np.ndarray

    @property
    def ms(self) -> np.ndarray:
        return self.lookup_ms + self.wire_ms


def shard_cost(table: Table, kind: str, kernel: str, shards: np.ndarray, problem: Problem, machine: Machine) -> Cost:
    """Cost of each shard [S] of a table.

    Args:
        shards: int64 [S, 4] of ``cut``.
        kernel: fused, dense (data_parallel), fused_uvm or fused_uvm_caching (rows in host memory).
    """
    height, width = shards[:, 2].astype(float), shards[:, 3].astype(float)
    work = _work(table, kind, height, width, problem, machine)
    state = np.array([problem.state_bytes(int(h), int(w)) for h, w in np.unique(shards[:, 2:], axis=0)])
    state = state[np.unique(shards[:, 2:], axis=0, return_inverse=True)[1].reshape(-1)].astype(float)
    if kind == "data_parallel":
        state += FLOAT_BYTES * height * width  # the gradient of a whole table
    # ids of two batches, the pipeline's; the outputs and their gradients
    buffers = 2 * ID_BYTES * work.ids + 2 * FLOAT_BYTES * work.outputs
    near = {"fused_uvm": 0.0, "fused_uvm_caching": _CACHED}.get(kernel, 1.0)
    device, host = near * state + buffers, (1.0 if kernel in _UVM else 0.0) * state
    speed = machine.hardware.speed
    id_ns = speed.pooled_id_ns if table.pooled else speed.sequence_id_ns
    far_ns = 1 / machine.hardware.pcie_gb_per_s if kernel in _UVM else 0.0
    byte_ns = near * machine.byte_ns + (1 - near) * far_ns
    lookup = work.ids * id_ns + work.moved * byte_ns
    empty = (height == 0) | (width == 0)
    device, host, lookup = (np.where(empty, 0, a) for a in (device, host, lookup))
    return Cost(np.ceil(device), np.ceil(host), lookup * 1e-6, np.where(empty, 0, work.wire_ms))


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
        moved = _MOVES * FLOAT_BYTES * ids * width + 6 * whole  # the optimizer reads and writes every row
        return _Work(ids, batch * table.outputs * width, moved, machine.wire_ms(2 * whole * (world - 1) / world))
    share = height / table.rows
    ids = batch * world * table.ids * share
    moved = _MOVES * FLOAT_BYTES * ids * width
    vectors = batch * world * (len(table.mean_length) if table.pooled else table.ids * share)
    outputs = vectors * width
    others = (world - 1) / world
    ids_sent = ID_BYTES * ids * others
    if kind in ("table_row_wise", "grid_shard"):
        # sums meet within the host first, then each rank sends its part to the other hosts
        local = machine.ranks_of_host
        near = 2 * FLOAT_BYTES * outputs * (local - 1) / local * machine.near_ns
        far = 2 * FLOAT_BYTES * outputs / local * (machine.hosts - 1) / machine.hosts * machine.far_ns
        wire = machine.wire_ms(ids_sent) + (near + far) * 1e-6
    else:
        wire = machine.wire_ms(ids_sent + 2 * FLOAT_BYTES * outputs * others)
    return _Work(ids, outputs, moved, wire)


def dense_bytes(dense: Dense, problem: Problem) -> tuple[int, int]:
    """Bytes of the dense part's parameters with their optimizer, and of activations and batches, on every rank."""
    activations = FLOAT_BYTES * dense.activations + problem.batches * dense.batch_bytes
    return _DENSE_STATE * FLOAT_BYTES * dense.parameters, int(problem.batch_size * activations)


def frozen_bytes(frozen: Frozen, placement: str, machine: Machine) -> tuple[int, int]:
    """Bytes that a frozen table takes of one rank's device memory, and of its share of the host's.

    A copy that a host's ranks share counts in equal parts. On CPU all of it is in the first figure.
    """
    if placement == "row_wise":
        return -(-frozen.bytes // machine.world_size), 0
    if placement == "replicated":
        return frozen.bytes, 0
    share = -(-frozen.bytes // machine.ranks_of_host)
    return (share, 0) if machine.hardware.device == "cpu" else (0, share)


def frozen_ms(frozen: Frozen, placement: str, problem: Problem, machine: Machine) -> float:
    """Reading the vectors of one step, and what travels where rows are sharded: ids there, 2M + N numbers back."""
    number, row = VECTOR_BYTES[frozen.dtype]
    read = problem.batch_size * (frozen.mean_length + 1) * (number * frozen.width + row)
    far = placement == "host" and machine.hardware.device == "cuda"
    ms = read * (1 / machine.hardware.pcie_gb_per_s if far else machine.byte_ns) * 1e-6
    if placement != "row_wise":
        return ms
    sent = problem.batch_size * (ID_BYTES * frozen.mean_length + FLOAT_BYTES * (2 * frozen.width + frozen.results))
    return ms + float(machine.wire_ms(sent)) + 2e-3 * machine.hardware.speed.exchange_us


def base_ms(problem: Problem, machine: Machine) -> float:
    """What a step takes on every rank whatever the plan: the dense part and its gradients, and the step itself."""
    hardware, speed = machine.hardware, machine.hardware.speed
    example_us = speed.example_us
    if example_us is None:
        example_us = problem.dense.flops / (hardware.tflops * hardware.efficiency) * 1e-6 if hardware.tflops else 0.0
    gradients = 2 * FLOAT_BYTES * problem.dense.parameters * (machine.world_size - 1) / machine.world_size
    return speed.step_ms + problem.batch_size * example_us * 1e-3 + float(machine.wire_ms(gradients))


def exchanges_ms(kinds: set[tuple[str, str]], speed: Speed) -> float:
    """Fixed cost of the exchanges: one for each pair of collection and sharding type, data_parallel has none."""
    return sum(kind != "data_parallel" for _, kind in kinds) * speed.exchange_us * 1e-3
