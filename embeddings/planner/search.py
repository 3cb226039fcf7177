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
from embeddings.planner.bin_packing import NoPlan, Option, Ranks, pack
from embeddings.planner.cost_model import Machine, exchanges_ms, shard_cost
from embeddings.planner.frozen_placement import place_frozen
from embeddings.planner.plan_cost import Assessment, Fixed, assess, fixed_parts
from embeddings.planner.planner_input import Problem, Table
from embeddings.planner.shard_layout import CUTS_COLUMNS, PLACES, TYPES, block_widths, cut, possible_types
from embeddings.planner.sharding_plan import Placed, Plan

SMALL_TABLE_BYTES, MANY_IDS = 64 << 20, 32
_STARTS, _LOWER = 8, 4  # limits on a shard's time to start from: above the slowest table's fastest way, and below it
_TRIALS = 60_000  # shards that the easing of the critical rank may place one by one: about a second


def stays_whole(table: Table, machine: Machine) -> bool:
    """On CPU small tables with few ids an example are placed whole unless a constraint says otherwise.

    Other ways came out within a tenth of it with up to 20 ids, one way or the other by the day, and a replicated
    table's optimizer visits every row. Of 50 ids and more, to cut the table saved up to half of the step.
    """
    small = table.bytes < SMALL_TABLE_BYTES and (table.ids < MANY_IDS or machine.world_size == 1)
    return machine.hardware.device == "cpu" and small and not table.managed


def options_of(table: Table, problem: Problem, machine: Machine, small_whole: bool = True) -> list[Option]:
    """Every way that constraints and the device allow. Raises InputError where there is none.

    Args:
        small_whole: leave tables whole that ``stays_whole`` names.
    """
    own = problem.constraints.get(table.name)
    wanted = own or problem.default
    device = machine.hardware.device
    allowed = possible_types(table.managed)
    whole = small_whole and stays_whole(table, machine)
    types = list(wanted.sharding_types or (("table_wise",) if whole else allowed))
    possible = [t for t in types if t in allowed]
    if not possible or (own and possible != types):  # a default speaks of all tables, each takes what it can
        why = ", as its ids are managed" if table.managed else ""
        raise InputError(
            f"table '{table.name}': sharding types {types} are not possible{why}; allowed: {list(allowed)}; "
            f"set sharding.tables.{table.name}.sharding_types to some of these"
        )
    kernels = list(wanted.compute_kernels or ("fused",)) if device == "cuda" else ["fused"]
    found = []
    for kind in possible:
        cuts_columns = kind in CUTS_COLUMNS
        for width in block_widths(table.columns, wanted.min_partition) if cuts_columns else [table.columns]:
            if cuts_columns and width == table.columns and "table_wise" in possible and kind != "grid_shard":
                continue  # one block is a whole table
            shards = cut(kind, table.rows, table.columns, machine.world_size, machine.ranks_of_host, width)
            for kernel in ["dense"] if kind == "data_parallel" else kernels:
                cost = shard_cost(table, kind, kernel, shards, problem, machine)
                found.append(Option(table.name, kind, kernel, shards, cost, machine.world_size))
    return sorted(found, key=lambda o: o.total_ms)


def one_width(options: Mapping[str, list[Option]], problem: Problem) -> list[dict[str, list[Option]]]:
    """``options`` in as many parts as column shards of sequence tables have widths, one width in each.

    TorchRec reads beyond the narrower shards where sequence tables of one collection are cut into columns of several
    widths. Raises NoPlan where tables can be cut in no other way and have no width in common.
    """
    cut_tables = [t.name for t in problem.tables if not t.pooled and not t.managed]
    widths = sorted({o.width for name in cut_tables for o in options[name] if o.kind in CUTS_COLUMNS})
    if len(widths) < 2:
        return [dict(options)]
    found = []
    for width in widths:
        part = dict(options)
        for name in cut_tables:
            part[name] = [o for o in options[name] if o.kind not in CUTS_COLUMNS or o.width == width]
        found.append(part)
    if whole := [part for part in found if all(part.values())]:
        return whole
    forced = {
        n: sorted({o.width for o in options[n]}) for n in cut_tables if all(o.kind in CUTS_COLUMNS for o in options[n])
    }
    raise NoPlan(
        min(forced),
        0,
        text=f"sequence tables that are cut by columns need shards of one width, these have {forced}; "
        f"set the same sharding.tables.NAME.min_partition for them, or allow one another sharding type",
    )


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
        try:
            one_width(self.options, problem)
        except NoPlan as clash:
            raise InputError(str(clash)) from None

    def best(self, pinned: Mapping[str, Option] | None = None, first: bool = False) -> Assessment:
        """The best plan found.

        Args:
            pinned: the option that a table must take.
            first: take the first plan that fits, from the smallest shards; many times quicker where nothing does.

        Raises:
            NoPlan: nothing fits; an InputError.
        """
        given = {name: [option] for name, option in (pinned or {}).items()}
        try:
            return self._best_of(self.options | given, first)
        except NoPlan:
            if not any(stays_whole(t, self.machine) for t in self.problem.tables):
                raise
            # a small table may have many ids, whose vectors find no room on one rank
            tables = self.problem.tables
            free = {t.name: options_of(t, self.problem, self.machine, small_whole=False) for t in tables}
            return self._best_of(free | given, first)

    def _best_of(self, options: dict[str, list[Option]], first: bool) -> Assessment:
        """The best plan by these options of each table. Raises NoPlan."""
        choices = one_width(options, self.problem)
        auto = [f.name for f in self.problem.frozen if f.placement == "auto"]
        # tables may need what copies of vectors would take
        smaller = [{f.name: f.smallest if f.name in auto else f.placement for f in self.problem.frozen}]
        smaller.append({name: "host" if name in auto else given for name, given in smaller[0].items()})
        failure: NoPlan | None = None
        for frozen in (self._place_frozen(options), *smaller * bool(auto)):
            try:
                return self._best(choices, frozen, first)
            except NoPlan as none:
                failure = failure if failure is not None and failure.shortage < none.shortage else none
        assert failure is not None
        raise failure

    def _place_frozen(self, options: Mapping[str, list[Option]]) -> dict[str, str]:
        """Frozen tables into what the tables leave, if those were spread evenly."""
        fixed = fixed_parts(dataclasses.replace(self.problem, frozen=()), self.machine, {})
        smallest = [min(found, key=lambda o: o.total_bytes) for found in options.values()]
        device, host = (
            sum(float(part.sum()) for part in parts) / self.machine.world_size
            for parts in ([o.cost.device_bytes for o in smallest], [o.cost.host_bytes for o in smallest])
        )
        return place_frozen(self.problem, self.machine, int(fixed.device_bytes + device), int(fixed.host_bytes + host))

    def _best(self, choices: list[dict[str, list[Option]]], frozen: dict[str, str], first: bool) -> Assessment:
        """The best plan with frozen tables placed so. ``choices``: options that may be taken together."""
        fixed = fixed_parts(self.problem, self.machine, frozen)
        tried, failures = [], []
        for options in choices:
            for start in [_smallest(options)] if first else _starts(options):
                try:
                    tried.append((self._try(start, options, fixed), options))
                except NoPlan as none:
                    failures.append(none)
        if not tried:
            raise min(failures, key=lambda f: f.shortage)
        best, options = min(tried, key=lambda t: t[0].score)
        return self._assessed(best if first else self._eased(best, options, fixed), frozen)

    def _try(self, picks: Mapping[str, Option], options: Mapping[str, list[Option]], fixed: Fixed) -> _Tried:
        ranks = Ranks(self.machine, fixed.device_bytes, fixed.host_bytes)
        device, host = ranks.device.min(), ranks.host.min()
        if min(device, host) < 0:
            raise NoPlan(None, -min(device, host), host < device)
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


def _smallest(options: Mapping[str, list[Option]]) -> dict[str, Option]:
    """Of each table the option with the smallest shards."""
    return {name: min(found, key=lambda o: o.need) for name, found in options.items()}


def _starts(options: Mapping[str, list[Option]]) -> list[dict[str, Option]]:
    """Where to start from.

    For several times T the least work in all of which no shard takes longer than T; the smallest shards; and each type
    for all tables that can have it. Under T below what the slowest table can reach, the others are spread over many
    ranks: they lie on top of that table, where it is on every rank.
    """
    fastest = [min(o.ms for o in found) for found in options.values()] or [0.0]
    longest = max((max(o.ms for o in found) for found in options.values()), default=0.0)
    least, middle, most = (max(ms, 1e-9) for ms in (min(fastest), max(fastest), longest))

    def pick(key: Callable[[Option], Any]) -> dict[str, Option]:
        return {name: min(found, key=key) for name, found in options.items()}

    limits = [*np.geomspace(middle, most, _STARTS), *np.geomspace(least, middle, _LOWER, endpoint=False)]
    starts = [pick(lambda o, limit=limit: (max(o.ms, limit), o.total_ms)) for limit in limits]
    starts.append(_smallest(options))
    kinds = {o.kind for found in options.values() for o in found}
    return starts + [pick(lambda o, kind=kind: (o.kind != kind, o.ms)) for kind in TYPES if kind in kinds]
