"""The plan command: finds, costs and compares sharding plans without a GPU. Also python -m embeddings.plan."""

from pathlib import Path

import click

from embeddings.errors import InputError
from train.commands.parameter_types import INPUT, OUTPUT_FILE


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config", "path", type=INPUT, required=True, help="The run's YAML file; the shipped ones are in configs/."
)
@click.option("--world-size", type=click.IntRange(1, 8192), help="Ranks in all; --find-world-size needs none.")
@click.option(
    "--hardware", "part", type=INPUT, default="this", show_default=True, help="A shipped part, a YAML file, or 'this'."
)
@click.option("--local-world-size", type=click.IntRange(1, 8192), help="Ranks of a host; default: the hardware's.")
@click.option("--assume", type=INPUT, help="YAML file of facts of data that is not here: lengths, frozen stores.")
@click.option("--plan", "given", type=INPUT, help="Look at this plan.json instead of choosing a plan.")
@click.option("--out", type=OUTPUT_FILE, help="Write the plan here; the trainer takes it with --plan.")
@click.option("--diff", "other", type=INPUT, help="Say how the plan differs from this plan.json.")
@click.option("--find-world-size", "find", is_flag=True, help="Find the smallest number of ranks that fits.")
@click.option("--explain", "table", metavar="TABLE", help="Say what the other ways to place this table would cost.")
@click.option("--every-rank", is_flag=True, help="List all ranks, not the fullest alone.")
@click.argument("overrides", nargs=-1, metavar="[KEY.SUB=VALUE]...")
def command(
    path: str,
    world_size: int | None,
    part: str,
    local_world_size: int | None,
    assume: str | None,
    given: str | None,
    out: str | None,
    other: str | None,
    find: bool,
    table: str | None,
    every_rank: bool,
    overrides: tuple[str, ...],
) -> None:
    """Plan where the tables of a run go: no GPU, no process group.

    python -m embeddings.plan --config configs/shop.yaml --world-size 128 --hardware h100-80 --out plan.json

    Constraints are those of the run: sharding.tables.item.sharding_types=[row_wise].
    """
    if find == (world_size is not None):
        raise click.UsageError("give --world-size N, or --find-world-size without it")
    if find and given:
        raise click.UsageError("--plan is of one world size: give --world-size N with it, not --find-world-size")
    from embeddings.planner.advice import advice
    from embeddings.planner.explain_table import explain
    from embeddings.planner.hardware import MOST_RANKS
    from embeddings.planner.no_plan import NoPlan
    from embeddings.planner.plan_diff import diff
    from embeddings.planner.plan_json import save_plan
    from embeddings.planner.plan_search import PlanSearch
    from embeddings.planner.report import report
    from embeddings.planner.topology import Topology
    from embeddings.planner.world_size import find_world_size
    from recsys.schema import load_schema
    from train.ctr.build_planner_input import Assumptions, build_planner_input, facts, load_assumptions
    from train.ctr.config import check_names, load_config
    from train.ctr.offline_plan import cost_given_plan, planned_hardware

    config = load_config(path, overrides)
    schema = load_schema(config.data.path)
    check_names(config, schema)
    lengths, stores, notes = facts(config, schema, load_assumptions(assume) if assume else Assumptions())
    planner_input = build_planner_input(config, schema, lengths, stores)
    for note in notes:
        click.echo(f"note: {note}", err=True)
    hardware = planned_hardware(part, world_size, local_world_size)
    if find:
        smallest = find_world_size(planner_input, hardware)
        if smallest is None:
            raise InputError(f"no world size up to {MOST_RANKS:,} ranks of {hardware.name} fits; name one to see why")
        world_size = smallest.topology.world_size
        click.echo(f"the smallest world size that fits: {world_size:,} of {hardware.name}\n")
    assert world_size is not None
    search = PlanSearch(planner_input, Topology.of(hardware, world_size))
    try:
        best = cost_given_plan(given, planner_input, hardware, search.topology) if given else search.best()
    except NoPlan as none:
        raise InputError(advice(planner_input, hardware, world_size, none)) from None
    if table:
        click.echo(explain(table, best, search))
    if other:
        click.echo(diff(cost_given_plan(other, planner_input, hardware), best))
    if not (table or other):
        click.echo(report(best, every_rank))
    if any(best.shortage):
        raise InputError(f"the plan does not fit: its fullest rank lacks {max(best.shortage):,} bytes; plan again")
    if out:
        Path(out).parent.mkdir(parents=True, exist_ok=True)
        save_plan(best.plan, Path(out))
        click.echo(f"written to {out}", err=True)
