"""The collisions command: how many ids of each table share a row, and how large a table would have to be."""

import click

from recsys.schema import load_schema
from train.commands.parameter_types import INPUT, SPLIT
from train.ctr.config import check_names, load_config


@click.command()
@click.option("--config", "path", type=INPUT, required=True, help="YAML file; the shipped ones are in configs/.")
@click.option("--split", type=SPLIT, default="train", show_default=True, help="Split of the data folder.")
@click.option(
    "--share",
    default=0.1,
    show_default=True,
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Share of ids with company on their row that would be bearable.",
)
@click.argument("overrides", nargs=-1, metavar="[KEY.SUB=VALUE]...")
def command(path: str, split: str, share: float, overrides: tuple[str, ...]) -> None:
    """Count ids that share a row of their table.

    Reads the split as training does, in bounded memory, and once more where a table has more than a million distinct
    ids: its figures then come from a sample of them, with their standard errors.
    """
    from recsys.features.read_counters import ReadCounters
    from train.data.filler_rows import FillerRows
    from train.data.stats.table_collisions import describe_table, measure_collisions

    config = load_config(path, overrides)
    schema = load_schema(config.data.path)
    check_names(config, schema)
    counters, filler_rows = ReadCounters(), FillerRows() if config.data.on_corrupt == "skip" else None
    tables = measure_collisions(config.data.path, split, schema, counters, filler_rows)
    if counters.corrupt:
        click.echo(f"{counters.corrupt:,} of {counters.rows:,} rows could not be read and are not counted")
    for name, (sample, rates) in tables.items():
        click.echo(describe_table(name, schema.tables[name], sample, rates, share))
