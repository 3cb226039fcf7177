"""Advice where no sharding plan fits: which memory is short, by how much, and tried changes that make it fit."""

import dataclasses
import itertools
from collections.abc import Callable, Iterator
from typing import Any

from embeddings.errors import InputError
from embeddings.planner.frozen_placement import place_frozen
from embeddings.planner.hardware import GIB, Hardware, load_hardware, shipped_hardware
from embeddings.planner.no_plan import NoPlan
from embeddings.planner.plan_cost import fixed_cost
from embeddings.planner.planner_input import PlannerInput
from embeddings.planner.report import format_bytes
from embeddings.planner.sharding_options import enumerate_options
from embeddings.planner.table_constraint import TableConstraint
from embeddings.planner.topology import Topology
from embeddings.planner.world_size import find_plan, find_world_size

WANTED = 3


def advice(planner_input: PlannerInput, hardware: Hardware, world_size: int, none: NoPlan) -> str:
    """One line on what is short, then up to three changes of config or hardware, each of which makes it fit by itself.

    Args:
        none: the error of the search that failed.
    """
    changes = list(itertools.islice(_changes(planner_input, hardware, world_size), WANTED))
    ranks = "1 rank" if world_size == 1 else f"{world_size:,} ranks"
    lines = [f"no plan fits {ranks} of {hardware.name}: {shortage(planner_input, hardware, world_size, none)}"]
    if changes:
        lines.append("each of these makes it fit:" if len(changes) > 1 else "this makes it fit:")
        lines += [f"  {i}. {change}" for i, change in enumerate(changes, 1)]
    if len(changes) < WANTED:
        lines.append("no other single change that was tried makes it fit")
    return "\n".join(lines)


def shortage(planner_input: PlannerInput, hardware: Hardware, world_size: int, none: NoPlan) -> str:
    """Which memory is short and by how many bytes, in words.

    That is, in this order: what every rank holds whatever the plan, rows in the hosts' memory, all ranks' memory
    together, or room for one shard of the table that ``none`` names.
    """
    topology = Topology.of(hardware, world_size)
    capacity, host = topology.capacity
    memory = "HBM" if hardware.device == "cuda" else "memory"
    copy = " with a checkpoint's copy" if planner_input.checkpoints and hardware.device == "cpu" else ""
    fixed = fixed_cost(planner_input, topology, place_frozen(planner_input, topology, capacity))
    options = {t.name: enumerate_options(t, planner_input, topology, small_whole=False) for t in planner_input.tables}
    tables = sum(min(o.total_bytes for o in of_table) for of_table in options.values())
    if capacity <= 0:
        gib = hardware.hbm_gib if hardware.device == "cuda" else hardware.ddr_gib / topology.ranks_of_host
        return (
            f"a rank's {memory} is {format_bytes(int(gib * GIB))}, which its process alone fills: libraries and "
            f"buffers take {hardware.process_gib:g} GiB, and {100 * hardware.spare:g} % stays spare; "
            f"give it more, or start fewer ranks"
        )
    if fixed.device_bytes > capacity:
        return (
            f"dense part, activations and frozen tables alone need {format_bytes(fixed.device_bytes)} of a rank's "
            f"{format_bytes(capacity)} {memory}, {format_bytes(fixed.device_bytes - capacity)} too much"
        )
    if fixed.host_bytes > host and hardware.device == "cuda":
        return (
            f"frozen tables and a checkpoint's copy of the dense part need {format_bytes(fixed.host_bytes)} of a "
            f"rank's share of its host's memory, {format_bytes(host)}, {format_bytes(fixed.host_bytes - host)} too much"
        )
    name = none.table or max(options, key=lambda n: min(o.need for o in options[n]))
    need = min(o.need for o in options[name])
    kinds = ", ".join(sorted({o.sharding_type for o in options[name]}))
    if none.of_host:
        return (
            f"table '{name}' finds no room in its host's memory: a rank lacks {format_bytes(none.shortage)} of its "
            f"share of {format_bytes(host)}, which holds rows of fused_uvm tables, frozen tables and a checkpoint's "
            f"copy of all tables; types allowed to it: {kinds}"
        )
    needed, there = tables + world_size * fixed.device_bytes, world_size * capacity
    constraint = planner_input.constraints.get(name, planner_input.default_constraint)
    forbidden = constraint.sharding_types is not None and need > capacity - fixed.device_bytes
    if needed > there and not forbidden:
        of_ranks = "dense part, activations and frozen tables"
        return (
            f"at least {format_bytes(needed)} of {memory} is needed and there is {format_bytes(there)}, "
            f"{format_bytes(needed - there)} too little; tables and their optimizer take "
            f"{format_bytes(tables)}{copy}, every rank's {of_ranks} {format_bytes(fixed.device_bytes)}"
        )
    return (
        f"table '{name}' finds no room: its smallest possible shard takes {format_bytes(need)}{copy}, "
        f"{format_bytes(none.shortage)} more than the roomiest rank has left of {format_bytes(capacity)} {memory}; "
        f"types allowed to it: {kinds}"
    )


def _changes(planner_input: PlannerInput, hardware: Hardware, world_size: int) -> Iterator[str]:
    """Changes that make it fit, the least painful first."""

    def works(**changes: Any) -> bool:
        try:
            changed = dataclasses.replace(planner_input, **changes)
            return find_plan(changed, hardware, world_size, first=True) is not None
        except InputError:  # such as widths that forced column shards of several sequence tables do not have in common
            return False

    for name, constraint in planner_input.constraints.items():
        if (constraint.sharding_types or constraint.min_partition) and works(
            constraints={k: c for k, c in planner_input.constraints.items() if k != name}
        ):
            yield f"leave table '{name}' free: drop sharding.tables.{name}"
    if planner_input.default_constraint.sharding_types and works(default_constraint=TableConstraint()):
        yield "leave the tables free: sharding.sharding_types=null"
    if planner_input.optimizer == "adagrad" and works(optimizer="rowwise_adagrad"):
        yield "keep one number a row of optimizer state: sparse_optimizer.name=rowwise_adagrad"
    if forced := {f.name: f.placement for f in planner_input.frozen if f.placement != "auto"}:
        free = tuple(dataclasses.replace(f, placement="auto") for f in planner_input.frozen)
        if works(frozen=free):
            yield f"let the planner place {sorted(forced)}: model.modalities.NAME.placement=auto"
    if more := find_world_size(planner_input, hardware, world_size, first=True):
        yield f"more ranks: {more.topology.world_size:,} of {hardware.name}"
    if hardware.device == "cuda":
        parts = [load_hardware(n) for n in shipped_hardware()]
        larger = [p for p in parts if p.device == "cuda" and p.hbm_gib > hardware.hbm_gib]
        for part in sorted(larger, key=lambda p: p.hbm_gib):
            part = part.with_(local_world_size=hardware.local_world_size)
            if find_plan(planner_input, part, world_size, first=True) is not None:
                yield f"larger devices: {world_size:,} of {part.name}, {part.hbm_gib:g} GiB each"
                break
        if planner_input.tables and (table := _in_host_memory(planner_input, hardware, world_size)):
            yield (
                f"keep rows of table '{table}' in host memory: "
                f"sharding.tables.{table}.compute_kernels=[fused_uvm_caching]; lookups cross PCIe"
            )
    else:
        for gib in (2 * hardware.ddr_gib, 4 * hardware.ddr_gib):
            if find_plan(planner_input, hardware.with_(ddr_gib=gib), world_size, first=True) is not None:
                yield f"larger hosts: {gib:,.0f} GiB of memory each instead of {hardware.ddr_gib:,.0f}"
                break
    if any(f.dtype != "int8" for f in planner_input.frozen) and works(
        frozen=tuple(dataclasses.replace(f, dtype="int8") for f in planner_input.frozen)
    ):
        yield "store frozen vectors as int8: python -m train store build --dtype int8"
    evaluated = planner_input.eval_batch_size > planner_input.batch_size and _largest(
        planner_input.eval_batch_size, lambda n: works(eval_batch_size=n)
    )
    if evaluated:
        yield f"fewer rows a rank and step of an evaluation: data.eval_batch_size={evaluated}"
    if batch := _largest(planner_input.batch_size, lambda n: works(batch_size=n)):
        yield f"fewer rows a rank and step: data.batch_size={batch}"
    elif (
        not evaluated
        and planner_input.eval_batch_size
        and (batch := _largest(planner_input.batch_size, lambda n: works(batch_size=n, eval_batch_size=n)))
    ):
        yield f"fewer rows a rank and step: data.batch_size={batch} and data.eval_batch_size={batch}"
    wide = max(t.columns for t in planner_input.tables) if planner_input.tables else 0
    if width := _largest(
        wide // 4,
        lambda n: works(
            tables=tuple(dataclasses.replace(t, columns=min(t.columns, 4 * n)) for t in planner_input.tables)
        ),
    ):
        yield f"narrower tables: none wider than {4 * width} columns, model.embedding_dim={4 * width}"
    if planner_input.tables:
        big = max(planner_input.tables, key=lambda t: t.bytes)
        smaller = _largest(
            big.rows,
            lambda n: works(
                tables=tuple(dataclasses.replace(t, rows=n) if t.name == big.name else t for t in planner_input.tables)
            ),
        )
        if smaller:
            yield f"fewer rows in table '{big.name}': {smaller:,} instead of {big.rows:,}, ids hashed into them"


def _in_host_memory(planner_input: PlannerInput, hardware: Hardware, world_size: int) -> str | None:
    """The largest table, if it all fits once its rows are in host memory."""
    big = max(planner_input.tables, key=lambda t: t.bytes)
    constraint = planner_input.constraints.get(big.name, planner_input.default_constraint)
    allowed, _ = big.possible_sharding_types(hardware.device)  # a default may name types that this table cannot have
    types = constraint.sharding_types and [t for t in constraint.sharding_types if t in allowed]
    constraint = constraint.model_copy(update={"sharding_types": types, "compute_kernels": ["fused_uvm_caching"]})
    kept = dataclasses.replace(planner_input, constraints={**planner_input.constraints, big.name: constraint})
    return None if find_plan(kept, hardware, world_size, first=True) is None else big.name


def _largest(whole: int, works: Callable[[int], bool]) -> int:
    """The largest number below ``whole`` that works, to within a sixteenth of itself; 0 where 1 does not."""
    low, high = 0, whole
    probe = whole // 2
    while probe >= 1 and not works(probe):
        high, probe = probe, probe // 2
    low = probe
    while low and high - low > max(1, low // 16):
        middle = (low + high) // 2
        low, high = (middle, high) if works(middle) else (low, middle)
    return low
