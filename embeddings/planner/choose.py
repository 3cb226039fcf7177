"""Chooses a plan: several starts, each table's type by its cost, then whatever eases the critical rank.

TorchRec's planner works alike, with an object a shard; for 500 tables on 1,024 ranks it needs minutes for the list of
options alone, and it knows no cost of an exchange. Here an option is a few arrays, and a plan takes milliseconds.
"""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from embeddings.errors import InputError
from embeddings.planner.assess import Assessment, Fixed, assess, fixed_parts, place_frozen
from embeddings.planner.estimate import Machine, exchanges_ms, shard_cost
from embeddings.planner.geometry import PLACES, TYPES, block_widths, cut, possible_types
from embeddings.planner.pack import NoPlan, Option, Ranks, pack
from embeddings.planner.placed import Placed, Plan
from embeddings.planner.problem import Problem, Table

SMALL_TABLE_BYTES = 64 << 20
_STARTS = 8
_TRIALS = 60_000  # shards that the easing of the critical rank may place one by one: about a second


def stays_whole(table: Table, device: str) -> bool:
    """On CPU small tables are placed whole unless a constraint says otherwise.

    Other ways came out within a tenth of it, one way or the other by the day, and a replicated table's optimizer visits
    every row.
    """
    return device == "cpu" and table.bytes < SMALL_TABLE_BYTES and not table.managed


def options_of(table: Table, problem: Problem, machine: Machine) -> list[Option]:
    """Every way that constraints and the device allow. Raises InputError where there is none."""
    own = problem.constraints.get(table.name)
    wanted = own or problem.default
    device = machine.hardware.device
    allowed = possible_types(table.managed)
    types = list(wanted.sharding_types or (allowed if not stays_whole(table, device) else ("table_wise",)))
    possible = [t for t in types if t in allowed]
    if not possible or (own and possible != types):  # a default speaks of all tables, each takes what it can
        raise InputError(
            f"table '{table.name}': sharding types {types} are not possible here; allowed: {list(allowed)}"
        )
    kernels = list(wanted.compute_kernels or ("fused",)) if device == "cuda" else ["fused"]
    found = []
    for kind in possible:
        cuts_columns = kind in ("column_wise", "table_column_wise", "grid_shard")
        for width in block_widths(table.columns, wanted.min_partition) if cuts_columns else [table.columns]:
            if cuts_columns and width == table.columns and "table_wise" in possible and kind != "grid_shard":
                continue  # one block is a whole table
            shards = cut(kind, table.rows, table.columns, machine.world_size, machine.ranks_of_host, width)
            for kernel in ["dense"] if kind == "data_parallel" else kernels:
                cost = shard_cost(table, kind, kernel, shards, problem, machine)
                found.append(Option(table.name, kind, kernel, shards, cost, machine.world_size))
    return sorted(found, key=lambda o: o.total_ms)


@dataclass(frozen=True)
class _Tried:
    """Options by table, the rank of every shard, and what counts: the critical rank's time, then all ranks' work."""

    picks: dict[str, Option]
    placed: dict[str, np.ndarray]
    ms: np.ndarray
    score: tuple[float, float]


class Search:
    """Finds plans for one problem on one machine. The options of every table are computed once."""

    def __init__(self, problem: Problem, machine: Machine) -> None:
        if machine.world_size % machine.ranks_of_host:
            raise InputError(
                f"world size {machine.world_size} is no multiple of the {machine.ranks_of_host} ranks of a host; "
                f"every host has the same number of ranks"
            )
        self.problem, self.machine = problem, machine
        self.options = {t.name: options_of(t, problem, machine) for t in problem.tables}
        self._modules = {t.name: t.module for t in problem.tables}

    def best(self, pinned: Mapping[str, Option] | None = None) -> Assessment:
        """The best plan found.

        Args:
            pinned: the option that a table must take.

        Raises:
            NoPlan: nothing fits; an InputError.
        """
        options = self.options | {name: [option] for name, option in (pinned or {}).items()}
        auto = [f.name for f in self.problem.frozen if f.placement == "auto"]
        try:
            return self._best(options, self._place_frozen(options))
        except NoPlan:
            if not auto:
                raise
        # tables may need what copies of vectors would take
        thrifty = {f.name: f.smallest if f.name in auto else f.placement for f in self.problem.frozen}
        return self._best(options, thrifty)

    def _place_frozen(self, options: Mapping[str, list[Option]]) -> dict[str, str]:
        """Frozen tables into what the tables leave, if those were spread evenly."""
        dense = fixed_parts(dataclasses.replace(self.problem, frozen=()), self.machine, {})
        spread = sum(min(float(o.cost.device_bytes.sum()) for o in found) for found in options.values())
        return place_frozen(self.problem, self.machine, int(dense.device_bytes + spread / self.machine.world_size))

    def _best(self, options: Mapping[str, list[Option]], frozen: dict[str, str]) -> Assessment:
        fixed = fixed_parts(self.problem, self.machine, frozen)
        tried, failures = [], []
        for start in _starts(options):
            try:
                tried.append(self._try(start, options, fixed))
            except NoPlan as none:
                failures.append(none)
        if not tried:
            raise min(failures, key=lambda f: f.shortage)
        best = self._eased(min(tried, key=lambda t: t.score), options, fixed)
        return self._assessed(best, frozen)

    def _try(self, picks: Mapping[str, Option], options: Mapping[str, list[Option]], fixed: Fixed) -> _Tried:
        ranks = Ranks(self.machine, fixed.device_bytes, fixed.host_bytes)
        if min(ranks.device.min(), ranks.host.min()) < 0:
            raise NoPlan(None, -min(ranks.device.min(), ranks.host.min()))
        taken, placed = pack(picks, options, ranks)
        kinds = {(self._modules[name], o.kind) for name, o in taken.items()}
        exchanges = exchanges_ms(kinds, self.machine.hardware.speed) if self.machine.world_size > 1 else 0.0
        return _Tried(taken, placed, ranks.ms, (exchanges + float(ranks.ms.max()), float((ranks.ms**2).sum())))

    def _eased(self, best: _Tried, options: Mapping[str, list[Option]], fixed: Fixed) -> _Tried:
        """Change the option of one table of the critical rank at a time, while that helps."""
        budget = _TRIALS
        found = True
        while found and budget > 0:
            found = False
            for name in self._busiest(best):
                for option in options[name]:
                    if option is best.picks[name] or budget <= 0:
                        continue
                    picks = best.picks | {name: option}
                    budget -= sum(1 if PLACES[o.kind] == "every" else len(o.shards) for o in picks.values())
                    try:
                        trial = self._try(picks, {}, fixed)
                    except NoPlan:
                        continue
                    if trial.score < best.score:
                        best, found = trial, True
                if found:
                    break
        return best

    def _busiest(self, tried: _Tried) -> list[str]:
        """Tables on the critical rank, the one that takes most of its time first."""
        critical = int(tried.ms.argmax())
        times = {
            name: float(option.cost.ms[tried.placed[name] == critical].sum()) for name, option in tried.picks.items()
        }
        return [name for name in sorted(times, key=lambda n: -times[n]) if times[name] > 0]

    def _assessed(self, tried: _Tried, frozen: dict[str, str]) -> Assessment:
        machine = self.machine
        tables = {}
        for table in self.problem.tables:
            option, ranks = tried.picks[table.name], tried.placed[table.name]
            shards = np.concatenate([option.shards, ranks[:, None]], axis=1)
            tables[table.name] = Placed(table.module, option.kind, option.kernel, shards)
        device, batch = machine.hardware.device, self.problem.batch_size
        plan = Plan(machine.world_size, machine.ranks_of_host, device, batch, tables, frozen)
        return assess(plan, self.problem, machine)


def _starts(options: Mapping[str, list[Option]]) -> list[dict[str, Option]]:
    """Where to start from.

    For several times T the least work in all of which no shard takes longer than T; the smallest shards; and each type
    for all tables that can have it.
    """
    shortest = max((min(o.ms for o in found) for found in options.values()), default=0.0)
    longest = max((max(o.ms for o in found) for found in options.values()), default=0.0)

    def pick(key: Callable[[Option], Any]) -> dict[str, Option]:
        return {name: min(found, key=key) for name, found in options.items()}

    starts = [
        pick(lambda o, most=most: (max(o.ms, most), o.total_ms))
        for most in np.geomspace(max(shortest, 1e-9), max(longest, 1e-9), _STARTS)
    ]
    starts.append(pick(lambda o: o.need))
    kinds = {o.kind for found in options.values() for o in found}
    return starts + [pick(lambda o, kind=kind: (o.kind != kind, o.ms)) for kind in TYPES if kind in kinds]
