"""Puts shards on ranks: greedily, the largest table first, each shard on the least busy rank that has room for it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from embeddings.errors import InputError
from embeddings.planner.cost_model import Cost, Machine
from embeddings.planner.shard_layout import PLACES

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
    def width(self) -> int:
        """Columns of a shard."""
        return int(self.shards[0, 3])

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
    """Nothing fits.

    table     that found no room; None: what every rank holds is too much already
    shortage  bytes that a rank lacks where the table's shards lack least
    of_host   whether it is the host's memory that is short
    """

    def __init__(self, table: str | None, shortage: float, of_host: bool = False, text: str = "") -> None:
        what = f"table '{table}' finds no room" if table else "what every rank holds finds no room"
        memory = "its share of the host's memory" if of_host else "memory"
        lacks = f"{what}: a rank lacks {int(shortage):,} bytes of {memory}"
        super().__init__(text or f"{lacks}; python -m embeddings.plan says what would make it fit")
        self.table, self.shortage, self.of_host = table, int(shortage), of_host


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

    def none(self, option: Option, shards: Index, ranks: Index) -> NoPlan:
        """What to say where ``shards`` overfill ``ranks``."""
        shortage = float(self.lacks(option, shards, ranks).max())
        device = option.cost.device_bytes[shards] - self.device[ranks]
        return NoPlan(option.table, shortage, shortage > float(device.max()))

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
    if ranks.lacks(option, slice(None), slice(None)).max() > 0:
        raise ranks.none(option, slice(None), slice(None))
    ranks.take(option, slice(None), slice(None))
    return np.arange(len(ranks.ms))


def _on_any(option: Option, ranks: Ranks, within: np.ndarray | None = None) -> np.ndarray:
    """Each shard on the least busy rank with room, of all ranks or of ``within``."""
    among = np.arange(len(ranks.ms)) if within is None else within

    def place(shard: np.ndarray) -> tuple[np.ndarray, bool]:
        lacks = ranks.lacks(option, shard, among)
        fits = lacks <= 0
        best = np.where(fits, ranks.ms[among], np.inf).argmin() if fits.any() else lacks.argmin()
        return among[best : best + 1], bool(fits.any())

    return _one_by_one(option, ranks, np.arange(len(option.shards)).reshape(-1, 1), place)


def _on_host(option: Option, ranks: Ranks) -> np.ndarray:
    """All shards on the ranks of the least busy host with room: rows in order, columns where there is least to do."""
    failures = []
    for host in _hosts(ranks):
        if option.kind == "table_column_wise":
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


def _on_hosts(option: Option, ranks: Ranks) -> np.ndarray:
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
    option: Option, ranks: Ranks, parts: np.ndarray, place: Callable[[np.ndarray], tuple[np.ndarray, bool]]
) -> np.ndarray:
    """Put ``parts`` of an option, [parts, shards], where ``place`` says: ranks, and whether there is room.

    Where one has none, the others are put all the same, so that the shortage is that of all, and then all taken away.
    """
    found, fits = [], True
    for part in parts:
        chosen, room = place(part)
        fits = fits and room
        found.append(chosen)
        ranks.take(option, part, chosen)
    if fits:
        return np.concatenate(found)
    where = np.unique(np.concatenate(found))
    device, host = -ranks.device[where].min(), -ranks.host[where].min() if option.uses_host else -np.inf
    for part, chosen in zip(parts, found, strict=True):
        ranks.take(option, part, chosen, -1)
    raise NoPlan(option.table, max(device, host), host > device)


def _hosts(ranks: Ranks) -> list[np.ndarray]:
    """Ranks of each host, the least busy host first."""
    busy = ranks.ms.reshape(-1, ranks.local).sum(axis=1)
    every = np.arange(len(ranks.ms)).reshape(-1, ranks.local)
    return list(every[np.argsort(busy, kind="stable")])


_PLACE = {"every": _on_every, "any": _on_any, "host": _on_host, "hosts": _on_hosts}
