"""The collisions verb: how many ids of each table share a row, and how large a table would have to be."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import click
import numpy as np

from recsys.schema import Schema, Table, load_schema
from train.config import check_names, load_config

if TYPE_CHECKING:
    from recsys.features.read_counters import Counters
    from train.data.row_groups import StandIns

SAMPLE = 1 << 20  # ids kept a table: 16 MB, and a tenth of a percent of error


@click.command()
@click.option("--config", "path", required=True, help="YAML file; the shipped ones are in configs/.")
@click.option("--split", default="train", show_default=True, help="Split of the data folder.")
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
    from recsys.features.read_counters import Counters
    from train.data.row_groups import StandIns

    config = load_config(path, overrides)
    schema = load_schema(config.data.path)
    check_names(config, schema)
    counters, stand_ins = Counters(), StandIns() if config.data.on_corrupt == "skip" else None
    tables = measured(config.data.path, split, schema, counters, stand_ins)
    if counters.corrupt:
        click.echo(f"{counters.corrupt:,} of {counters.rows:,} rows could not be read and are not counted")
    for name, (sample, found) in tables.items():
        click.echo(paragraph(name, schema.tables[name], sample, found, share))


def measured(
    folder: str, split: str, schema: Schema, counters: "Counters", stand_ins: "StandIns | None" = None
) -> dict[str, tuple]:
    """table -> (IdSample, {modulo: Shared, hash: Shared}).

    Args:
        counters: where rows, and those that could not be read, are counted.
        stand_ins: None: a row group that cannot be read is an error.
    """
    from recsys.features.read_counters import Counters
    from train.data.stats.distinct_ids import IdSample
    from train.data.stats.row_collisions import RowSharing

    samples = {name: IdSample(SAMPLE) for name in schema.tables}
    for name, ids in table_ids(folder, split, schema, "counting ids", counters, stand_ins):
        samples[name].add(ids)
    ways = {
        (name, way): RowSharing(samples[name], Table(num_embeddings=table.num_embeddings, ids=way))
        for name, table in schema.tables.items()
        for way in ("modulo", "hash")
    }
    if any(not sample.exact for sample in samples.values()):
        again = table_ids(folder, split, schema, "finding those on the sample's rows", Counters(), stand_ins)
        for name, ids in again:
            for way in ("modulo", "hash"):
                ways[name, way].add(ids)
    return {
        name: (samples[name], {way: ways[name, way].shares() for way in ("modulo", "hash")}) for name in schema.tables
    }


def table_ids(
    folder: str, split: str, schema: Schema, what: str, counters: "Counters", stand_ins: "StandIns | None"
) -> Iterator[tuple[str, np.ndarray]]:
    """(table, ids of one of its features in the next rows) through the whole split, as the reader takes them.

    ``what`` stands beside the progress that is shown. Rows that stand in for others are counted and left out.
    """
    from recsys.features.columns import feature_field
    from train.data.column_check import check_columns
    from train.data.parquet_files import chunk_rows, find_files, read_footers
    from train.data.shard_plan import Segment
    from train.data.shuffle_buffer import RowSource
    from train.run.progress import ProgressBar

    read = [(f, feature_field(f)) for f in schema.features if f.table]
    fields = list(dict.fromkeys(field for _, field in read))
    files = read_footers(find_files(folder, split))
    check_columns(files, fields, ignored=set())
    segments = [Segment(f, g, 0, int(n)) for f, file in enumerate(files) for g, n in enumerate(file.group_rows)]
    limit = chunk_rows(files, {field.column for field in fields})
    source = RowSource(files, fields, schema, [s for s in segments if s.rows], limit, stand_ins)
    remaining = sum(s.rows for s in segments)
    bar = ProgressBar(what, remaining, remaining > limit)
    while remaining:
        piece, rows, stands_in = source.take(limit)
        remaining -= rows
        bar.advance(rows)
        counters.rows += rows
        if stands_in:
            counters.corrupt += rows
            continue
        for feature, field in read:
            column = piece[field]
            yield str(feature.table), column if isinstance(column, np.ndarray) else column.values
    bar.close()


def paragraph(name: str, table: Table, sample, found: dict, share: float) -> str:
    """What was found of one table, and what to do about it."""
    from train.data.stats.row_collisions import expected_share, rows_for

    rows, (distinct, error) = table.num_embeddings, sample.distinct()
    about = "" if sample.exact else f" +- {error:,.0f} (from {sample.ids.size:,} of them)"
    lines = [
        f"table '{name}': {sample.seen:,} lookups of {distinct:,.0f}{about} distinct ids, "
        f"{rows:,} rows, ids: {table.ids}"
    ]
    for way, shared in found.items():
        lines.append(
            f"  ids: {way:7} {_percent(shared.ids, shared.ids_error)} of ids and "
            f"{_percent(shared.lookups, shared.lookups_error)} of lookups share a row"
        )
    chance = expected_share(distinct, rows)
    lines.append(
        f"  by chance    {chance:8.4%} of both; {share:.4g} of the ids with {rows_for(distinct, share):,} rows"
    )
    lines.append(f"  {_advice(table, found, chance, share, rows_for(distinct, share))}")
    return "\n".join(lines)


def _percent(share: float, error: float) -> str:
    return f"{share:8.4%}" + (f" +- {error:.4%}" if error else "")


def _advice(table: Table, found: dict, chance: float, share: float, rows: int) -> str:
    if table.ids in ("identity", "managed"):
        return f"ids: {table.ids} lets no two ids share a row" + (
            "" if table.ids == "identity" else " while rows are free"
        )
    better = min(found, key=lambda way: found[way].ids)
    if found[better].ids <= share:
        return "fine as it is" if found[table.ids].ids <= share else f"set ids: {better}"
    return f"set ids: hash and num_embeddings: {rows}, or ids: managed on CUDA"
