"""Cost model: bytes and milliseconds of a shard and of a rank's dense part. One step is one batch a rank.

Notation: b rows a rank, W ranks, n = b * W * (mean ids an example) ids of the global batch. Time is additive: the step
takes what is the same on every rank plus the sum over the shards of the critical rank.
"""

from dataclasses import dataclass

import numpy as np

from embeddings.planner.hardware import Speed
from embeddings.planner.planner_input import FLOAT_BYTES, ID_BYTES, PlannerInput, TableInput
from embeddings.planner.topology import Topology

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
class ShardCost:
    """Per shard, arrays [S]: bytes of the device's memory and of the host's, milliseconds a step of its rank.

    copy_bytes     what of those is the copy that a checkpoint takes
    every_rank_ms  what the table costs every rank, wherever its shards are
    """

    device_bytes: np.ndarray
    host_bytes: np.ndarray
    copy_bytes: np.ndarray
    ms: np.ndarray
    every_rank_ms: float

    @property
    def slowest_ms(self) -> float:
        """Time of the rank with the slowest shard."""
        return float(self.ms.max()) + self.every_rank_ms


def shard_cost(
    table: TableInput,
    sharding_type: str,
    compute_kernel: str,
    shards: np.ndarray,
    planner_input: PlannerInput,
    topology: Topology,
) -> ShardCost:
    """Bytes and milliseconds of each shard of a table, [S].

    Args:
        shards: int64 [S, 4] of ``cut_shards``.
        compute_kernel: fused, dense (data_parallel), fused_uvm or fused_uvm_caching (rows in host memory).
    """
    height, width = shards[:, 2].astype(float), shards[:, 3].astype(float)
    work = _work(table, sharding_type, height, width, planner_input, topology)
    of_ids = ID_BYTES * height * table.zch  # the id that has the row; stays on the device
    weights, state = FLOAT_BYTES * height * width, planner_input.state_bytes(height, width)
    copy = _copied((weights, state - weights, of_ids), topology) * planner_input.checkpoints
    if sharding_type == "data_parallel":
        state += _REPLICAS * FLOAT_BYTES * height * width
    # ids of two batches, the pipeline's, the outputs and their gradients; an evaluation has one batch and no gradients
    batches = max(2.0, planner_input.eval_batch_size / planner_input.batch_size)
    buffers = batches * (ID_BYTES * work.ids + FLOAT_BYTES * work.outputs)
    near = {"fused_uvm": 0.0, "fused_uvm_caching": _CACHED}.get(compute_kernel, 1.0)
    device, host = near * state + of_ids + buffers, (1.0 if compute_kernel in _UVM else 0.0) * state
    if topology.hardware.device == "cuda":
        host = host + copy
    else:
        device = device + copy
    speed = topology.hardware.speed
    id_ns = speed.pooled_id_ns if table.pooled else speed.sequence_id_ns
    far_ns = topology.pcie_ns if compute_kernel in _UVM else 0.0
    byte_ns = near * topology.byte_ns + (1 - near) * far_ns
    ms = (work.ids * id_ns + work.moved * byte_ns) * 1e-6 + work.wire_ms
    if sharding_type == "data_parallel":
        ms += height * width * topology.replicated_ns * 1e-6
    empty = (height == 0) | (width == 0)
    device, host, copy, ms = (np.where(empty, 0, a) for a in (device, host, copy, ms))
    every_rank_ms = _rearranged(table, sharding_type, planner_input) * topology.rearranged_ns * 1e-6
    return ShardCost(np.ceil(device), np.ceil(host), np.ceil(copy), ms, every_rank_ms)


def _copied(tensors: tuple[np.ndarray, ...], topology: Topology) -> np.ndarray:
    """Bytes of host memory of a checkpoint's copy of ``tensors``. Pinned memory comes in powers of two (torch's caching
    host allocator). Of a replicated table, any rank may be the one that writes it."""
    if topology.hardware.device == "cpu":
        return sum(tensors, np.zeros(()))
    return sum((np.where(t > 0, 2.0 ** np.ceil(np.log2(np.maximum(t, 1))), 0) for t in tensors), np.zeros(()))


def _rearranged(table: TableInput, sharding_type: str, planner_input: PlannerInput) -> float:
    """Bytes that every rank puts into another order: ids into the buckets of row blocks, and a sequence's vectors back
    into the order of its ids, forward and backward."""
    ids = planner_input.batch_size * table.ids
    by_row = sharding_type in ("row_wise", "table_row_wise", "grid_shard")
    again = not table.pooled and sharding_type not in ("table_wise", "data_parallel")
    return by_row * ID_BYTES * ids + again * 2 * FLOAT_BYTES * table.columns * ids


@dataclass(frozen=True)
class _Work:
    ids: np.ndarray  # looked up in the shard each step
    outputs: np.ndarray  # float32 numbers that the shard gives
    moved: np.ndarray  # bytes of table memory
    wire_ms: np.ndarray | float


def _work(
    table: TableInput,
    sharding_type: str,
    height: np.ndarray,
    width: np.ndarray,
    planner_input: PlannerInput,
    topology: Topology,
) -> _Work:
    batch, world = planner_input.batch_size, topology.world_size
    if sharding_type == "data_parallel":
        ids = np.full_like(height, batch * table.ids)
        whole = FLOAT_BYTES * height * width
        moved = _MOVES * FLOAT_BYTES * ids * width
        return _Work(ids, batch * table.outputs * width, moved, topology.wire_ms(2 * whole * (world - 1) / world))
    share = height / table.rows
    ids = batch * world * table.ids * share
    moved = _MOVES * FLOAT_BYTES * ids * width
    vectors = batch * world * (len(table.mean_length) if table.pooled else table.ids * share)
    outputs = vectors * width
    others = (world - 1) / world
    ids_sent = ID_BYTES * ids * others
    if table.pooled and sharding_type in ("table_row_wise", "grid_shard"):
        # sums meet within the host first, then each rank sends its part to the other hosts
        local = topology.ranks_of_host
        near = 2 * FLOAT_BYTES * outputs * (local - 1) / local * topology.near_ns
        far = 2 * FLOAT_BYTES * outputs / local * (topology.hosts - 1) / topology.hosts * topology.far_ns
        wire = topology.wire_ms(ids_sent) + (near + far) * 1e-6
    else:
        wire = topology.wire_ms(ids_sent + 2 * FLOAT_BYTES * outputs * others)
    return _Work(ids, outputs, moved, wire)


def dense_bytes(planner_input: PlannerInput) -> tuple[int, int]:
    """Bytes of the dense part's parameters with their optimizer, and of activations and batches, on every rank.

    The latter are those of training or of evaluation, whichever takes more: these are never there together.
    """
    dense = planner_input.model_cost
    training, evaluation = (
        rows * (FLOAT_BYTES * numbers + planner_input.batches * dense.batch_bytes)
        for rows, numbers in (
            (planner_input.batch_size, dense.activations),
            (planner_input.eval_batch_size, dense.eval_activations),
        )
    )
    return _DENSE_STATE * FLOAT_BYTES * dense.parameters, int(max(training, evaluation))


def dense_copy_bytes(planner_input: PlannerInput, topology: Topology) -> int:
    """One rank's share of what a checkpoint copies of the dense part: all but the gradients."""
    whole = (_DENSE_STATE - 1) * FLOAT_BYTES * planner_input.model_cost.parameters
    return -(-whole // topology.world_size) if planner_input.checkpoints else 0


def base_ms(planner_input: PlannerInput, topology: Topology) -> float:
    """What a step takes on every rank whatever the plan: the dense part and its gradients, and the step itself."""
    hardware, speed = topology.hardware, topology.hardware.speed
    gflop_ms = speed.gflop_ms
    if gflop_ms is None:
        gflop_ms = 1 / (hardware.tflops * hardware.efficiency) if hardware.tflops else 0.0
    example_ms = (
        planner_input.model_cost.flops * gflop_ms * 1e-9
        + planner_input.model_cost.activations * topology.activation_ns * 1e-6
    )
    gradients = 2 * FLOAT_BYTES * planner_input.model_cost.parameters * (topology.world_size - 1) / topology.world_size
    return speed.step_ms + planner_input.batch_size * example_ms + float(topology.wire_ms(gradients))


def exchanges_ms(sharding_types: set[tuple[str, str]], speed: Speed) -> float:
    """Fixed cost of the exchanges: one for each pair of collection and sharding type, data_parallel has none."""
    return sum(sharding_type != "data_parallel" for _, sharding_type in sharding_types) * speed.exchange_us * 1e-3
