"""Search for the fastest sharding plan: several starts packed onto ranks, then local search on the critical rank.

TorchRec's planner works alike, with an object a shard; for 500 tables on 1,024 ranks it needs minutes for the list of
options alone, and it knows no cost of an exchange. Here an option is a few arrays, and a plan takes milliseconds.
"""

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from embeddings.errors import InputError
from embeddings.planner.bin_packing import RankLoads, pack_shards
from embeddings.planner.cost_model import exchanges_ms
from embeddings.planner.frozen_placement import place_frozen
from embeddings.planner.no_plan import NoPlan
from embeddings.planner.plan_cost import CostedPlan, FixedCost, cost_plan, fixed_cost
from embeddings.planner.planner_input import PlannerInput
from embeddings.planner.sharding_options import ShardingOption, enumerate_options, split_by_column_width, stays_whole
from embeddings.planner.sharding_plan import ParameterSharding, ShardingPlan
from embeddings.planner.sharding_types import SHARD_RANKS, SHARDING_TYPES
from embeddings.planner.topology import Topology

_STARTS, _LOWER = 8, 4  # limits on a shard's time to start from: above the slowest table's fastest way, and below it
_TRIALS = 60_000  # shards that the easing of the critical rank may place one by one: about a second


@dataclass(frozen=True)
class _Tried:
    """Options by table, the rank of every shard, and what counts: the critical rank's time, then all ranks' work."""

    picks: dict[str, ShardingOption]
    placed: dict[str, np.ndarray]
    ms: np.ndarray
    score: tuple[float, float]


class PlanSearch:
    """Searches plans for one planner input and topology (TorchRec's EmbeddingShardingPlanner).

    The options of every table are computed once, ``options``: table name -> its options.

    Raises InputError where the world size is no multiple of a host's ranks, where constraints allow a table nothing,
    or force column shards of several widths on sequence tables.
    """

    def __init__(self, planner_input: PlannerInput, topology: Topology) -> None:
        if topology.world_size % topology.ranks_of_host:
            raise InputError(
                f"world size {topology.world_size} is no multiple of the {topology.ranks_of_host} ranks of a host; "
                f"every host has the same number of ranks"
            )
        self.planner_input, self.topology = planner_input, topology
        self.options = {t.name: enumerate_options(t, planner_input, topology) for t in planner_input.tables}
        self._modules = {t.name: t.module for t in planner_input.tables}
        try:
            split_by_column_width(self.options, planner_input)
        except NoPlan as clash:
            raise InputError(str(clash)) from None

    def best(self, pinned: Mapping[str, ShardingOption] | None = None, first: bool = False) -> CostedPlan:
        """The plan with the shortest step that the search meets.

        Args:
            pinned: the option that a table must take.
            first: take the first plan that fits, from the smallest shards; many times quicker where nothing does.

        Raises NoPlan, an InputError, where nothing fits.
        """
        given = {name: [option] for name, option in (pinned or {}).items()}
        try:
            return self._best_of(self.options | given, first)
        except NoPlan:
            if not any(stays_whole(t, self.topology) for t in self.planner_input.tables):
                raise
            # a small table may have many ids, whose vectors find no room on one rank
            tables = self.planner_input.tables
            free = {t.name: enumerate_options(t, self.planner_input, self.topology, small_whole=False) for t in tables}
            return self._best_of(free | given, first)

    def _best_of(self, options: dict[str, list[ShardingOption]], first: bool) -> CostedPlan:
        """The best plan by these options of each table. Raises NoPlan."""
        choices = split_by_column_width(options, self.planner_input)
        auto = [f.name for f in self.planner_input.frozen if f.placement == "auto"]
        # tables may need what copies of vectors would take
        smaller = [{f.name: f.smallest if f.name in auto else f.placement for f in self.planner_input.frozen}]
        smaller.append({name: "host" if name in auto else given for name, given in smaller[0].items()})
        failure: NoPlan | None = None
        for frozen in (self._place_frozen(options), *smaller * bool(auto)):
            try:
                return self._best(choices, frozen, first)
            except NoPlan as none:
                failure = failure if failure is not None and failure.shortage < none.shortage else none
        assert failure is not None
        raise failure

    def _place_frozen(self, options: Mapping[str, list[ShardingOption]]) -> dict[str, str]:
        """Frozen tables into what the tables leave, if those were spread evenly."""
        fixed = fixed_cost(dataclasses.replace(self.planner_input, frozen=()), self.topology, {})
        smallest = [min(of_table, key=lambda o: o.total_bytes) for of_table in options.values()]
        device, host = (
            sum(float(part.sum()) for part in parts) / self.topology.world_size
            for parts in ([o.cost.device_bytes for o in smallest], [o.cost.host_bytes for o in smallest])
        )
        return place_frozen(
            self.planner_input, self.topology, int(fixed.device_bytes + device), int(fixed.host_bytes + host)
        )

    def _best(self, choices: list[dict[str, list[ShardingOption]]], frozen: dict[str, str], first: bool) -> CostedPlan:
        """The best plan with frozen tables placed so. ``choices``: options that may be taken together."""
        fixed = fixed_cost(self.planner_input, self.topology, frozen)
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

    def _try(
        self, picks: Mapping[str, ShardingOption], options: Mapping[str, list[ShardingOption]], fixed: FixedCost
    ) -> _Tried:
        ranks = RankLoads(self.topology, fixed.device_bytes, fixed.host_bytes)
        device, host = ranks.device.min(), ranks.host.min()
        if min(device, host) < 0:
            raise NoPlan(None, -min(device, host), host < device)
        taken, placed = pack_shards(picks, options, ranks)
        sharding_types = {(self._modules[name], o.sharding_type) for name, o in taken.items()}
        exchanges = exchanges_ms(sharding_types, self.topology.hardware.speed) if self.topology.world_size > 1 else 0.0
        return _Tried(taken, placed, ranks.ms, (exchanges + float(ranks.ms.max()), float((ranks.ms**2).sum())))

    def _eased(self, best: _Tried, options: Mapping[str, list[ShardingOption]], fixed: FixedCost) -> _Tried:
        """Change the option of one table of the critical rank at a time, while that helps."""
        budget = _TRIALS
        improved = True
        while improved and budget > 0:
            improved = False
            for name in self._busiest(best):
                for option in options[name]:
                    if option is best.picks[name] or budget <= 0:
                        continue
                    picks = best.picks | {name: option}
                    budget -= sum(
                        1 if SHARD_RANKS[o.sharding_type] == "every" else len(o.shards) for o in picks.values()
                    )
                    try:
                        trial = self._try(picks, {}, fixed)
                    except NoPlan:
                        continue
                    if trial.score < best.score:
                        best, improved = trial, True
                if improved:
                    break
        return best

    def _busiest(self, tried: _Tried) -> list[str]:
        """Tables on the critical rank, the one that takes most of its time first."""
        critical = int(tried.ms.argmax())
        times = {
            name: float(option.cost.ms[tried.placed[name] == critical].sum()) for name, option in tried.picks.items()
        }
        return [name for name in sorted(times, key=lambda n: -times[n]) if times[name] > 0]

    def _assessed(self, tried: _Tried, frozen: dict[str, str]) -> CostedPlan:
        topology = self.topology
        tables = {}
        for table in self.planner_input.tables:
            option, ranks = tried.picks[table.name], tried.placed[table.name]
            shards = np.concatenate([option.shards, ranks[:, None]], axis=1)
            tables[table.name] = ParameterSharding(table.module, option.sharding_type, option.compute_kernel, shards)
        device, batch = topology.hardware.device, self.planner_input.batch_size
        plan = ShardingPlan(topology.world_size, topology.ranks_of_host, device, batch, tables, frozen)
        return cost_plan(plan, self.planner_input, topology)


def _smallest(options: Mapping[str, list[ShardingOption]]) -> dict[str, ShardingOption]:
    """Of each table the option with the smallest shards."""
    return {name: min(of_table, key=lambda o: o.need) for name, of_table in options.items()}


def _starts(options: Mapping[str, list[ShardingOption]]) -> list[dict[str, ShardingOption]]:
    """Where to start from.

    For several times T the least work in all of which no shard takes longer than T; the smallest shards; and each type
    for all tables that can have it. Under T below what the slowest table can reach, the others are spread over many
    ranks: they lie on top of that table, where it is on every rank.
    """
    fastest = [min(o.ms for o in of_table) for of_table in options.values()] or [0.0]
    longest = max((max(o.ms for o in of_table) for of_table in options.values()), default=0.0)
    least, middle, most = (max(ms, 1e-9) for ms in (min(fastest), max(fastest), longest))

    def pick(key: Callable[[ShardingOption], Any]) -> dict[str, ShardingOption]:
        return {name: min(of_table, key=key) for name, of_table in options.items()}

    def least_work_under(limit: float) -> Callable[[ShardingOption], Any]:
        return lambda o: (max(o.ms, limit), o.total_ms)

    def fastest_of(sharding_type: str) -> Callable[[ShardingOption], Any]:
        return lambda o: (o.sharding_type != sharding_type, o.ms)

    limits = [*np.geomspace(middle, most, _STARTS), *np.geomspace(least, middle, _LOWER, endpoint=False)]
    starts = [pick(least_work_under(limit)) for limit in limits]
    starts.append(_smallest(options))
    sharding_types = {o.sharding_type for of_table in options.values() for o in of_table}
    return starts + [
        pick(fastest_of(sharding_type)) for sharding_type in SHARDING_TYPES if sharding_type in sharding_types
    ]
