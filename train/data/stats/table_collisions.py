"""Ids of a split that share a row of their table: measured table by table, in words, with rows that would do."""

from collections.abc import Iterator

import numpy as np

from embeddings.files.parquet_footer import read_footers
from recsys.features.columns import feature_field
from recsys.features.read_counters import ReadCounters
from recsys.schema import Schema, TableSchema
from train.data.column_check import check_columns
from train.data.filler_rows import FillerRows
from train.data.parquet_files import announce_files, chunk_rows, find_files
from train.data.shard_plan import Segment
from train.data.shuffle_buffer import RowDecoder
from train.data.stats.distinct_ids import DistinctIdSample
from train.data.stats.id_collisions import (
    CollisionCounter,
    CollisionRates,
    expected_collision_rate,
    rows_for_collision_rate,
)
from train.run.progress import ProgressBar

SAMPLE = 1 << 20  # ids kept a table: 16 MB, and a tenth of a percent of error


def measure_collisions(
    folder: str, split: str, schema: Schema, counters: ReadCounters, filler_rows: FillerRows | None = None
) -> dict[str, tuple[DistinctIdSample, dict[str, CollisionRates]]]:
    """table -> its sample, and what share of ids collides by "modulo" and by "hash".

    Args:
        counters: where rows, and those that could not be read, are counted.
        filler_rows: None: a row group that cannot be read is an error.
    """
    samples = {name: DistinctIdSample(SAMPLE) for name in schema.tables}
    for name, ids in table_ids(folder, split, schema, "counting ids", counters, filler_rows, announce=True):
        samples[name].add(ids)
    collisions = {
        (name, way): CollisionCounter(samples[name], TableSchema(num_embeddings=table.num_embeddings, ids=way))
        for name, table in schema.tables.items()
        for way in ("modulo", "hash")
    }
    if any(not sample.exact for sample in samples.values()):
        what = "finding those on the sample's rows"
        again = table_ids(folder, split, schema, what, ReadCounters(), filler_rows, announce=False)
        for name, ids in again:
            for way in ("modulo", "hash"):
                collisions[name, way].add(ids)
    return {
        name: (sample, {way: collisions[name, way].rates() for way in ("modulo", "hash")})
        for name, sample in samples.items()
    }


def table_ids(
    folder: str,
    split: str,
    schema: Schema,
    what: str,
    counters: ReadCounters,
    filler_rows: FillerRows | None,
    announce: bool,
) -> Iterator[tuple[str, np.ndarray]]:
    """(table, ids of one of its features in the next rows) through the whole split, as the reader takes them.

    ``what`` stands beside the progress that is shown. Filler rows are counted and left out. ``announce``: say what is
    not read, and what cannot be checked.
    """
    read = [(f, feature_field(f)) for f in schema.features if f.table]
    fields = list(dict.fromkeys(field for _, field in read))
    files = read_footers(find_files(folder, split))
    check_columns(files, fields, ignored=set())
    if announce:
        announce_files(files)
    segments = [Segment(f, g, 0, int(n)) for f, file in enumerate(files) for g, n in enumerate(file.group_rows)]
    limit = chunk_rows(files, {field.column for field in fields})
    decoder = RowDecoder(files, fields, schema, [s for s in segments if s.rows], limit, filler_rows)
    remaining = sum(s.rows for s in segments)
    bar = ProgressBar(what, remaining, remaining > limit)
    while remaining:
        block = decoder.take(limit)
        remaining -= block.rows
        bar.advance(block.rows)
        counters.rows += block.rows
        if block.filler is not None:
            counters.corrupt += block.rows
            continue
        for feature, field in read:
            column = block.columns[field]
            yield str(feature.table), column if isinstance(column, np.ndarray) else column.values
    bar.close()


def describe_table(
    name: str, table: TableSchema, sample: DistinctIdSample, rates: dict[str, CollisionRates], share: float
) -> str:
    """The printed paragraph of one table: its ids, their collisions under each hash, and what to do about them."""
    rows, (distinct, error) = table.num_embeddings, sample.distinct()
    about = "" if sample.exact else f" +- {error:,.0f} (from {sample.ids.size:,} of them)"
    lines = [
        f"table '{name}': {sample.seen:,} lookups of {distinct:,.0f}{about} distinct ids, "
        f"{rows:,} rows, ids: {table.ids}"
    ]
    for way, rate in rates.items():
        lines.append(
            f"  ids: {way:7} {_percent(rate.ids, rate.ids_error)} of ids and "
            f"{_percent(rate.lookups, rate.lookups_error)} of lookups share a row"
        )
    chance = expected_collision_rate(distinct, rows)
    enough = rows_for_collision_rate(distinct, share)
    lines.append(f"  by chance    {chance:8.4%} of both; {share:.4g} of the ids with {enough:,} rows")
    lines.append(f"  {_advice(table, rates, share, enough)}")
    return "\n".join(lines)


def _percent(share: float, error: float) -> str:
    return f"{share:8.4%}" + (f" +- {error:.4%}" if error else "")


def _advice(table: TableSchema, rates: dict[str, CollisionRates], share: float, rows: int) -> str:
    if table.ids in ("identity", "zch"):
        return f"ids: {table.ids} lets no two ids share a row" + (
            "" if table.ids == "identity" else " while rows are free"
        )
    better = min(rates, key=lambda way: rates[way].ids)
    if rates[better].ids <= share:
        return "fine as it is" if rates[table.ids].ids <= share else f"set ids: {better}"
    return f"set ids: hash and num_embeddings: {rows}, or ids: zch on CUDA"
