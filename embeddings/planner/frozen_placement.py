"""Placement of frozen tables: replicated, in the host's memory or row-wise; their bytes and reading times."""

from collections.abc import Callable

from embeddings.planner.planner_input import FLOAT_BYTES, ID_BYTES, FrozenInput, PlannerInput
from embeddings.planner.topology import Topology

PLACEMENTS = ("replicated", "host", "row_wise")
_CPU_COPIES = 0.25  # share of a host's free memory that copies of one frozen table may take


def frozen_bytes(
    frozen: FrozenInput, placement: str, planner_input: PlannerInput, topology: Topology
) -> tuple[int, int]:
    """Bytes that a frozen table takes of one rank's device memory, and of its share of the host's.

    A copy that a host's ranks share counts in equal parts. Rows over the ranks need room for the target vectors of all
    ranks (``RowWiseTable``), and the messages that bring them and the results. On CPU all is in the first figure.
    """
    if placement == "row_wise":
        batch = max(planner_input.batch_size, planner_input.eval_batch_size)
        targets = min(topology.world_size * batch, frozen.rows)
        messages = 2 * FLOAT_BYTES * topology.world_size * batch * frozen.results
        return -(-frozen.bytes // topology.world_size) + 2 * targets * frozen.row_bytes + messages, 0
    if placement == "replicated":
        return frozen.bytes, 0
    share = -(-frozen.bytes // topology.ranks_of_host)
    return (share, 0) if topology.hardware.device == "cpu" else (0, share)


def frozen_ms(frozen: FrozenInput, placement: str, planner_input: PlannerInput, topology: Topology) -> float:
    """Milliseconds of reading the vectors of one step, and of what travels where rows are sharded.

    With row_wise each behaviour's row number goes to one rank. Each target's row number, vector and length go to every
    rank, results come back from every rank, and gradients of them go to every rank: with many ranks that is most of it.
    """
    batch, others = planner_input.batch_size, topology.world_size - 1
    targets = batch * (topology.world_size if placement == "row_wise" else 1)
    read = frozen.reads * (batch * frozen.mean_length + targets) * frozen.row_bytes
    far = placement == "host" and topology.hardware.device == "cuda"
    ms = read * (topology.pcie_ns if far else topology.vector_ns) * 1e-6
    if placement != "row_wise":
        return ms
    number = ID_BYTES // 2 if frozen.rows < 2**31 else ID_BYTES
    own = min(batch, frozen.rows / topology.world_size)  # target vectors that this rank holds, if targets are distinct
    sent = number * batch * frozen.mean_length * others / topology.world_size
    sent += others * (batch * (2 * number + FLOAT_BYTES * frozen.results) + own * frozen.row_bytes)
    return ms + float(topology.wire_ms(sent)) + 2e-3 * topology.hardware.speed.exchange_us


def place_frozen(
    planner_input: PlannerInput, topology: Topology, device_bytes: int = 0, host_bytes: int = 0
) -> dict[str, str]:
    """Modality -> placement. Those that are auto are placed largest last, into what the others leave.

    Args:
        device_bytes: what tables and the dense part take of the fullest rank.
        host_bytes: what tables take of the fullest rank's share of its host.
    """
    own, share = topology.capacity
    cpu = topology.hardware.device == "cpu"
    device, host = own - device_bytes, share - host_bytes

    def fits(frozen: FrozenInput, placement: str) -> bool:
        on_device, on_host = frozen_bytes(frozen, placement, planner_input, topology)
        part = _CPU_COPIES if cpu and placement == "replicated" else 1
        return on_device <= part * device and on_host <= host

    placements = {}
    for frozen in sorted(planner_input.frozen, key=lambda f: (f.placement == "auto", f.bytes)):
        placement = frozen.placement if frozen.placement != "auto" else _fastest(frozen, planner_input, topology, fits)
        on_device, on_host = frozen_bytes(frozen, placement, planner_input, topology)
        device, host = device - on_device, host - on_host
        placements[frozen.name] = placement
    return {f.name: placements[f.name] for f in planner_input.frozen}


def _fastest(
    frozen: FrozenInput, planner_input: PlannerInput, topology: Topology, fits: Callable[[FrozenInput, str], bool]
) -> str:
    """The fastest placement that fits, else the smallest; whether that one fits is for the report to say.

    On CPU a copy for each rank, in huge pages, is up to twice as fast as the mapping that ranks of a host share, which
    no cost here knows; it is worth a quarter of the free memory.
    """
    ways = [p for p in PLACEMENTS if p != "row_wise" or (frozen.row_wise and topology.world_size > 1)]
    fitting = [p for p in ways if fits(frozen, p)]
    return min(fitting, key=lambda p: frozen_ms(frozen, p, planner_input, topology), default=frozen.smallest)
