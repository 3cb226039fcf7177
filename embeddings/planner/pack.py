"""Puts shards on ranks: greedily, the largest table first, each shard on the least busy rank that has room for it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from embeddings.errors import InputError
from embeddings.planner.estimate import Cost, Machine
from embeddings.planner.geometry import PLACES

Index = np.ndarray | slice | int | np.integer


@dataclass(frozen=True)
class Option:
    """One way to shard one table over ``ranks`` ranks. shards int64 [S, 4] as ``cut`` gives them."""

    table: str
    kind: str
    kernel: str
    shards: np.ndarray
    cost: Cost
    ranks: int

    @cached_property
    def need(self) -> float:
        """Bytes of the largest shard."""
        return float(self.cost.device_bytes.max())

    @cached_property
    def total_bytes(self) -> float:
        """Bytes of all shards."""
        return float(self.cost.device_bytes.sum())

    @cached_property
    def uses_host(self) -> bool:
        return bool(self.cost.host_bytes.any())

    @cached_property
    def ms(self) -> float:
        """Time of the slowest shard's rank."""
        return self.cost.slowest_ms

    @cached_property
    def total_ms(self) -> float:
        """Time of all ranks."""
        return float(self.cost.ms.sum()) + self.ranks * self.cost.everywhere_ms


class NoPlan(InputError):
    """Nothing fits: which table found no room, and the bytes that the roomiest rank lacks for its shard."""

    def __init__(self, table: str | None, shortage: float, text: str = "") -> None:
        super().__init__(text or f"no room for table '{table}'")
        self.table, self.shortage = table, int(shortage)


class Ranks:
    """What is free on every rank, and how busy it is: arrays [W]."""

    def __init__(self, machine: Machine, device_bytes: float, host_bytes: float) -> None:
        device, host = machine.capacity
        self.local = machine.ranks_of_host
        self.device = np.full(machine.world_size, float(device - device_bytes))
        self.host = np.full(machine.world_size, float(host - host_bytes))
        self.ms = np.zeros(machine.world_size)

    def lacks(self, option: Option, shards: Index, ranks: Index) -> np.ndarray:
        """Bytes by which each shard overfills its rank; negative where it fits."""
        device = option.cost.device_bytes[shards] - self.device[ranks]
        if not option.uses_host:
            return device
        return np.maximum(device, option.cost.host_bytes[shards] - self.host[ranks])

    def take(self, option: Option, shards: Index, ranks: Index, sign: int = 1) -> None:
        """Put shards on ranks, which are different ones; with sign -1 take them away."""
        self.device[ranks] -= sign * option.cost.device_bytes[shards]
        self.host[ranks] -= sign * option.cost.host_bytes[shards]
        self.ms[ranks] += sign * option.cost.ms[shards]


def pack(
    picks: Mapping[str, Option], options: Mapping[str, Sequence[Option]], ranks: Ranks
) -> tuple[dict[str, Option], dict[str, np.ndarray]]:
    """The options taken, and the rank of every shard by table: int64 [S]. ``ranks`` is filled.

    Args:
        picks: the option that each table should take.
        options: what it takes instead where that finds no room, the first that does.

    Raises:
        NoPlan: a table finds no room in any way.
    """
    taken, placed = {}, {}
    by_size = sorted(picks.values(), key=lambda o: (PLACES[o.kind] != "every", -o.total_bytes, o.table))
    for pick in by_size:
        failure: NoPlan | None = None
        for option in (pick, *options.get(pick.table, ())):
            try:
                placed[pick.table] = _PLACE[PLACES[option.kind]](option, ranks)
                taken[pick.table] = option
                ranks.ms += option.cost.everywhere_ms
                break
            except NoPlan as full:
                failure = full if failure is None or full.shortage < failure.shortage else failure
        else:
            assert failure is not None
            raise failure
    return taken, placed


def _on_every(option: Option, ranks: Ranks) -> np.ndarray:
    lacks = ranks.lacks(option, slice(None), slice(None))
    if lacks.max() > 0:
        raise NoPlan(option.table, lacks.max())
    ranks.take(option, slice(None), slice(None))
    return np.arange(len(lacks))


def _on_any(option: Option, ranks: Ranks, within: np.ndarray | None = None) -> np.ndarray:
    """Each shard on the least busy rank with room, of all ranks or of ``within``."""
    among = slice(None) if within is None else within
    found = np.empty(len(option.shards), dtype=np.int64)
    for i in range(len(found)):
        lacks = ranks.lacks(option, i, among)
        best = int(np.where(lacks <= 0, ranks.ms[among], np.inf).argmin())
        if lacks[best] > 0:
            for j in range(i):  # as if it had not been tried
                ranks.take(option, j, found[j], -1)
            raise NoPlan(option.table, lacks.min())
        found[i] = best if within is None else within[best]
        ranks.take(option, i, found[i])
    return found


def _on_host(option: Option, ranks: Ranks) -> np.ndarray:
    """All shards on the ranks of the least busy host with room: rows in order, columns where there is least to do."""
    shortage = np.inf
    for host in _hosts(ranks):
        if option.kind == "table_column_wise":
            try:
                return _on_any(option, ranks, host)
            except NoPlan as full:
                shortage = min(shortage, full.shortage)
                continue
        lacks = ranks.lacks(option, slice(None), host).max()
        if lacks <= 0:
            ranks.take(option, slice(None), host)
            return host
        shortage = min(shortage, lacks)
    raise NoPlan(option.table, shortage)


def _on_hosts(option: Option, ranks: Ranks) -> np.ndarray:
    """A host for each block of columns, the least busy first; hosts take a second block where there are too few."""
    found: list[np.ndarray] = []
    used: set[int] = set()
    for start in range(0, len(option.shards), ranks.local):
        block = np.arange(start, start + ranks.local)
        hosts = _hosts(ranks)
        if len(used) == len(hosts):
            used.clear()
        shortage = np.inf
        for host in hosts:
            lacks = ranks.lacks(option, block, host).max()
            if lacks <= 0 and int(host[0]) not in used:
                ranks.take(option, block, host)
                used.add(int(host[0]))
                found.append(host)
                break
            if lacks > 0:
                shortage = min(shortage, lacks)
        else:
            for taken, host in enumerate(found):  # give back what this option has taken
                block = np.arange(taken * ranks.local, (taken + 1) * ranks.local)
                ranks.take(option, block, host, -1)
            raise NoPlan(option.table, shortage)
    return np.concatenate(found)


def _hosts(ranks: Ranks) -> list[np.ndarray]:
    """Ranks of each host, the least busy host first."""
    busy = ranks.ms.reshape(-1, ranks.local).sum(axis=1)
    every = np.arange(len(ranks.ms)).reshape(-1, ranks.local)
    return list(every[np.argsort(busy, kind="stable")])


_PLACE = {"every": _on_every, "any": _on_any, "host": _on_host, "hosts": _on_hosts}
