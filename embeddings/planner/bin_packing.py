"""Greedy bin packing of shards onto ranks (TorchRec's partitioner): the largest table first, on the least busy rank."""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from embeddings.planner.no_plan import NoPlan
from embeddings.planner.sharding_options import ShardingOption
from embeddings.planner.sharding_types import SHARD_RANKS
from embeddings.planner.topology import Topology

Index = np.ndarray | slice | int | np.integer


class RankLoads:
    """What shards take of every rank, by rank.

    device  float64 [W]  free bytes of the rank's own memory
    host    float64 [W]  free bytes of its share of the host's memory
    ms      float64 [W]  milliseconds a step that the rank's shards take
    local   ranks of a host

    Args:
        device_bytes: what every rank holds before it has a shard.
        host_bytes: the same of its share of the host's memory.
    """

    def __init__(self, topology: Topology, device_bytes: float, host_bytes: float) -> None:
        device, host = topology.capacity
        self.local = topology.ranks_of_host
        self.device = np.full(topology.world_size, float(device - device_bytes))
        self.host = np.full(topology.world_size, float(host - host_bytes))
        self.ms = np.zeros(topology.world_size)

    def lacks(self, option: ShardingOption, shards: Index, ranks: Index) -> np.ndarray:
        """Bytes by which each shard overfills its rank; negative where it fits."""
        device = option.cost.device_bytes[shards] - self.device[ranks]
        if not option.uses_host:
            return device
        return np.maximum(device, option.cost.host_bytes[shards] - self.host[ranks])

    def none(self, option: ShardingOption, shards: Index, ranks: Index) -> NoPlan:
        """The error where ``shards`` overfill ``ranks``."""
        shortage = float(self.lacks(option, shards, ranks).max())
        device = option.cost.device_bytes[shards] - self.device[ranks]
        return NoPlan(option.table, shortage, shortage > float(device.max()))

    def take(self, option: ShardingOption, shards: Index, ranks: Index, sign: int = 1) -> None:
        """Put shards on ranks, which are different ones; with sign -1 take them away."""
        self.device[ranks] -= sign * option.cost.device_bytes[shards]
        self.host[ranks] -= sign * option.cost.host_bytes[shards]
        self.ms[ranks] += sign * option.cost.ms[shards]


def pack_shards(
    picks: Mapping[str, ShardingOption], options: Mapping[str, Sequence[ShardingOption]], ranks: RankLoads
) -> tuple[dict[str, ShardingOption], dict[str, np.ndarray]]:
    """Place every shard of every table. ``ranks`` is filled.

    Args:
        picks: the option that each table should take.
        options: what it takes instead where that finds no room, the first that does.

    Returns the option taken by table, and the rank of every shard by table: int64 [S].

    Raises NoPlan where a table finds no room in any way; ``ranks`` is then of no more use.
    """
    taken, placed = {}, {}
    by_size = sorted(picks.values(), key=lambda o: (SHARD_RANKS[o.sharding_type] != "every", -o.total_bytes, o.table))
    for pick in by_size:
        failure: NoPlan | None = None
        for option in (pick, *options.get(pick.table, ())):
            try:
                placed[pick.table] = _PLACE[SHARD_RANKS[option.sharding_type]](option, ranks)
                taken[pick.table] = option
                ranks.ms += option.cost.every_rank_ms
                break
            except NoPlan as full:
                failure = full if failure is None or full.shortage < failure.shortage else failure
        else:
            assert failure is not None
            raise failure
    return taken, placed


def _on_every(option: ShardingOption, ranks: RankLoads) -> np.ndarray:
    """One shard on each rank, in the order of ranks."""
    if ranks.lacks(option, slice(None), slice(None)).max() > 0:
        raise ranks.none(option, slice(None), slice(None))
    ranks.take(option, slice(None), slice(None))
    return np.arange(len(ranks.ms))


def _on_any(option: ShardingOption, ranks: RankLoads, within: np.ndarray | None = None) -> np.ndarray:
    """Each shard on the least busy rank with room, of all ranks or of ``within``."""
    among = np.arange(len(ranks.ms)) if within is None else within

    def place(shard: np.ndarray) -> tuple[np.ndarray, bool]:
        lacks = ranks.lacks(option, shard, among)
        fits = lacks <= 0
        best = np.where(fits, ranks.ms[among], np.inf).argmin() if fits.any() else lacks.argmin()
        return among[best : best + 1], bool(fits.any())

    return _one_by_one(option, ranks, np.arange(len(option.shards)).reshape(-1, 1), place)


def _on_host(option: ShardingOption, ranks: RankLoads) -> np.ndarray:
    """All shards on the ranks of the least busy host with room: rows in order, columns where there is least to do."""
    failures = []
    for host in _hosts(ranks):
        if option.sharding_type == "table_column_wise":
            try:
                return _on_any(option, ranks, host)
            except NoPlan as full:
                failures.append(full)
        elif ranks.lacks(option, slice(None), host).max() <= 0:
            ranks.take(option, slice(None), host)
            return host
        else:
            failures.append(ranks.none(option, slice(None), host))
    raise min(failures, key=lambda f: f.shortage)


def _on_hosts(option: ShardingOption, ranks: RankLoads) -> np.ndarray:
    """A host for each block of columns, the least busy with room first; a second block where no other has room."""
    every = np.arange(len(ranks.ms)).reshape(-1, ranks.local)
    taken = np.zeros(len(every))

    def place(block: np.ndarray) -> tuple[np.ndarray, bool]:
        lacks = ranks.lacks(option, block, every).max(axis=1)
        fits = lacks <= 0
        busy = ranks.ms[every].sum(axis=1)
        order = np.lexsort((busy, taken, ~fits)) if fits.any() else lacks.argsort()
        taken[order[0]] += 1
        return every[order[0]], bool(fits.any())

    return _one_by_one(option, ranks, np.arange(len(option.shards)).reshape(-1, ranks.local), place)


def _one_by_one(
    option: ShardingOption, ranks: RankLoads, parts: np.ndarray, place: Callable[[np.ndarray], tuple[np.ndarray, bool]]
) -> np.ndarray:
    """Put ``parts`` of an option, [parts, shards], where ``place`` says: ranks, and whether there is room.

    Where one has none, the others are put all the same, so that the shortage is that of all, and then all taken away.
    """
    taken, fits = [], True
    for part in parts:
        chosen, room = place(part)
        fits = fits and room
        taken.append(chosen)
        ranks.take(option, part, chosen)
    if fits:
        return np.concatenate(taken)
    where = np.unique(np.concatenate(taken))
    device, host = -ranks.device[where].min(), -ranks.host[where].min() if option.uses_host else -np.inf
    for part, chosen in zip(parts, taken, strict=True):
        ranks.take(option, part, chosen, -1)
    raise NoPlan(option.table, max(device, host), host > device)


def _hosts(ranks: RankLoads) -> list[np.ndarray]:
    """Ranks of each host, the least busy host first."""
    busy = ranks.ms.reshape(-1, ranks.local).sum(axis=1)
    every = np.arange(len(ranks.ms)).reshape(-1, ranks.local)
    return list(every[np.argsort(busy, kind="stable")])


# SHARD_RANKS -> what places an option so: int64 [S], or NoPlan
_PLACE = {"every": _on_every, "any": _on_any, "host": _on_host, "hosts": _on_hosts}
