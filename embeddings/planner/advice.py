"""When nothing fits: what is short, by how much, and changes that have been tried and make it fit."""

import dataclasses
from collections.abc import Callable, Iterator

from embeddings.errors import InputError
from embeddings.planner.bin_packing import NoPlan
from embeddings.planner.cost_model import Machine
from embeddings.planner.frozen_placement import place_frozen
from embeddings.planner.hardware import Hardware, load_hardware, shipped
from embeddings.planner.plan_cost import fixed_parts
from embeddings.planner.planner_input import Constraint, Problem
from embeddings.planner.report import size
from embeddings.planner.search import options_of
from embeddings.planner.shard_layout import possible_types
from embeddings.planner.world_size import find_world_size, fits

WANTED = 3


def advice(problem: Problem, hardware: Hardware, world_size: int, none: NoPlan) -> str:
    """One line on what is short, then up to three changes, each of which makes it fit by itself."""
    found = []
    for change in _changes(problem, hardware, world_size):
        found.append(change)
        if len(found) == WANTED:
            break
    ranks = "1 rank" if world_size == 1 else f"{world_size:,} ranks"
    lines = [f"no plan fits {ranks} of {hardware.name}: {shortage(problem, hardware, world_size, none)}"]
    if found:
        lines.append("each of these makes it fit:" if len(found) > 1 else "this makes it fit:")
        lines += [f"  {i}. {change}" for i, change in enumerate(found, 1)]
    if len(found) < WANTED:
        lines.append("no other single change that was tried makes it fit")
    return "\n".join(lines)


def shortage(problem: Problem, hardware: Hardware, world_size: int, none: NoPlan) -> str:
    """What is short and by how much: the fixed parts, all memory together, or room for one shard."""
    machine = Machine.of(hardware, world_size)
    capacity, host = machine.capacity
    kind = "HBM" if hardware.device == "cuda" else "memory"
    copy = " with a checkpoint's copy" if problem.checkpoints and hardware.device == "cpu" else ""
    fixed = fixed_parts(problem, machine, place_frozen(problem, machine, capacity))
    options = {t.name: options_of(t, problem, machine, small_whole=False) for t in problem.tables}
    tables = sum(min(o.total_bytes for o in found) for found in options.values())
    if fixed.device_bytes > capacity:
        return (
            f"dense part, activations and frozen tables alone need {size(fixed.device_bytes)} of a rank's "
            f"{size(capacity)} {kind}, {size(fixed.device_bytes - capacity)} too much"
        )
    if fixed.host_bytes > host and hardware.device == "cuda":
        return (
            f"frozen tables and a checkpoint's copy of the dense part need {size(fixed.host_bytes)} of a rank's share "
            f"of its host's memory, {size(host)}, {size(fixed.host_bytes - host)} too much"
        )
    name = none.table or max(options, key=lambda n: min(o.need for o in options[n]))
    need = min(o.need for o in options[name])
    kinds = ", ".join(sorted({o.kind for o in options[name]}))
    if none.of_host:
        return (
            f"table '{name}' finds no room in its host's memory: a rank lacks {size(none.shortage)} of its share of "
            f"{size(host)}, which holds rows of fused_uvm tables, frozen tables and a checkpoint's copy of all tables; "
            f"types allowed to it: {kinds}"
        )
    needed, there = tables + world_size * fixed.device_bytes, world_size * capacity
    constraint = problem.constraints.get(name, problem.default)
    forbidden = constraint.sharding_types is not None and need > capacity - fixed.device_bytes
    if needed > there and not forbidden:
        of_ranks = "dense part, activations and frozen tables"
        return (
            f"at least {size(needed)} of {kind} is needed and there is {size(there)}, {size(needed - there)} too "
            f"little; tables and their optimizer take {size(tables)}{copy}, every rank's {of_ranks} "
            f"{size(fixed.device_bytes)}"
        )
    return (
        f"table '{name}' finds no room: its smallest possible shard takes {size(need)}{copy}, {size(none.shortage)} "
        f"more than the roomiest rank has left of {size(capacity)} {kind}; types allowed to it: {kinds}"
    )


def _changes(problem: Problem, hardware: Hardware, world_size: int) -> Iterator[str]:
    """Changes that make it fit, the least painful first."""

    def works(**changes: object) -> bool:
        try:
            return fits(dataclasses.replace(problem, **changes), hardware, world_size, first=True) is not None  # type: ignore[arg-type]
        except InputError:  # such as widths that forced column shards of several sequence tables do not have in common
            return False

    for name, constraint in problem.constraints.items():
        if (constraint.sharding_types or constraint.min_partition) and works(
            constraints={k: c for k, c in problem.constraints.items() if k != name}
        ):
            yield f"leave table '{name}' free: drop sharding.tables.{name}"
    if problem.default.sharding_types and works(default=Constraint()):
        yield "leave the tables free: sharding.sharding_types=null"
    if problem.optimizer == "adagrad" and works(optimizer="rowwise_adagrad"):
        yield "keep one number a row of optimizer state: sparse_optimizer.name=rowwise_adagrad"
    if forced := {f.name: f.placement for f in problem.frozen if f.placement != "auto"}:
        free = tuple(dataclasses.replace(f, placement="auto") for f in problem.frozen)
        if works(frozen=free):
            yield f"let the planner place {sorted(forced)}: model.modalities.NAME.placement=auto"
    if more := find_world_size(problem, hardware, world_size, first=True):
        yield f"more ranks: {more.machine.world_size:,} of {hardware.name}"
    if hardware.device == "cuda":
        parts = [load_hardware(n) for n in shipped()]
        larger = [p for p in parts if p.device == "cuda" and p.hbm_gib > hardware.hbm_gib]
        for part in sorted(larger, key=lambda p: p.hbm_gib):
            part = part.with_(local_world_size=hardware.local_world_size)
            if fits(problem, part, world_size, first=True) is not None:
                yield f"larger devices: {world_size:,} of {part.name}, {part.hbm_gib:g} GiB each"
                break
        if problem.tables and (name := _in_host_memory(problem, hardware, world_size)):
            yield (
                f"keep rows of table '{name}' in host memory: "
                f"sharding.tables.{name}.compute_kernels=[fused_uvm_caching]; lookups cross PCIe"
            )
    else:
        for gib in (2 * hardware.ddr_gib, 4 * hardware.ddr_gib):
            if fits(problem, hardware.with_(ddr_gib=gib), world_size, first=True) is not None:
                yield f"larger hosts: {gib:,.0f} GiB of memory each instead of {hardware.ddr_gib:,.0f}"
                break
    if any(f.dtype != "int8" for f in problem.frozen) and works(
        frozen=tuple(dataclasses.replace(f, dtype="int8") for f in problem.frozen)
    ):
        yield "store frozen vectors as int8: python -m train store build --dtype int8"
    evaluated = problem.eval_batch_size > problem.batch_size and _largest(
        problem.eval_batch_size, lambda n: works(eval_batch_size=n)
    )
    if evaluated:
        yield f"fewer rows a rank and step of an evaluation: data.eval_batch_size={evaluated}"
    if batch := _largest(problem.batch_size, lambda n: works(batch_size=n)):
        yield f"fewer rows a rank and step: data.batch_size={batch}"
    elif (
        not evaluated
        and problem.eval_batch_size
        and (batch := _largest(problem.batch_size, lambda n: works(batch_size=n, eval_batch_size=n)))
    ):
        yield f"fewer rows a rank and step: data.batch_size={batch} and data.eval_batch_size={batch}"
    wide = max(t.columns for t in problem.tables) if problem.tables else 0
    if width := _largest(
        wide // 4,
        lambda n: works(tables=tuple(dataclasses.replace(t, columns=min(t.columns, 4 * n)) for t in problem.tables)),
    ):
        yield f"narrower tables: none wider than {4 * width} columns, model.embedding_dim={4 * width}"
    if problem.tables:
        big = max(problem.tables, key=lambda t: t.bytes)
        smaller = _largest(
            big.rows,
            lambda n: works(
                tables=tuple(dataclasses.replace(t, rows=n) if t.name == big.name else t for t in problem.tables)
            ),
        )
        if smaller:
            yield f"fewer rows in table '{big.name}': {smaller:,} instead of {big.rows:,}, ids hashed into them"


def _in_host_memory(problem: Problem, hardware: Hardware, world_size: int) -> str | None:
    """The largest table, if it all fits once its rows are in host memory."""
    big = max(problem.tables, key=lambda t: t.bytes)
    own = problem.constraints.get(big.name, problem.default)
    allowed = possible_types(big.managed)  # a default may name types that this table cannot have
    types = own.sharding_types and [t for t in own.sharding_types if t in allowed]
    own = dataclasses.replace(own, sharding_types=types, compute_kernels=["fused_uvm_caching"])
    kept = dataclasses.replace(problem, constraints={**problem.constraints, big.name: own})
    return None if fits(kept, hardware, world_size, first=True) is None else big.name


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
