"""The predict command: a run's scores of a split as parquet."""

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from embeddings.atomic_file import atomic_folder
from embeddings.errors import InputError

if TYPE_CHECKING:
    from train.ctr.trained_run import TrainedRun
    from train.distributed.ranks import Ranks


@click.command()
@click.argument("run")
@click.option("--out", required=True, help="Folder for part-<rank>.parquet; must not exist.")
@click.option("--split", default="test", show_default=True, help="Split of the data folder.")
@click.option("--checkpoint", default="best", show_default=True, help="best, newest, or a folder of RUN/checkpoints.")
@click.option("--labels/--no-labels", default=False, help="Read the label column and copy it.")
@click.argument("overrides", nargs=-1, metavar="[KEY.SUB=VALUE]...")
def command(run: str, out: str, split: str, checkpoint: str, labels: bool, overrides: tuple[str, ...]) -> None:
    """Score a split with RUN, a folder such as runs/shop.

    Writes columns user, target, score (a probability), and the timestamp and label where there are, in the order
    of the split's rows: rank after rank.
    """
    from train.ctr.trained_run import open_run, run_config
    from train.distributed.process_group import process_group
    from train.distributed.ranks import on_first
    from train.run.run_folder import RECORDS

    config = run_config(run, overrides)
    with process_group(config.process, Path(config.run_folder, RECORDS)) as ranks:
        on_first(ranks, lambda: _refuse_old(Path(out)))
        opened = open_run(config, split, checkpoint, ranks, with_labels=labels, in_order=True)
        with ExitStack() as unnamed:  # rank 0's folder, in which all ranks write, has its name once all have
            folder = on_first(ranks, lambda: unnamed.enter_context(atomic_folder(out)))
            written = _over_ranks(_write_part(opened, ranks, folder / f"part-{ranks.rank:05d}.parquet", labels), ranks)
            on_first(ranks, unnamed.close)
        if ranks.first:
            left = opened.reader.num_rows - written
            without = f"; {left:,} rows could not be read and have none" if left else ""
            click.echo(f"wrote {written:,} scores to {out}{without}")


def _refuse_old(out: Path) -> None:
    if out.exists():
        raise InputError(f"'{out}' exists; name another --out, or remove it")


def _over_ranks(count: int, ranks: "Ranks") -> int:
    import torch
    import torch.distributed as dist

    total = torch.tensor(count)
    if ranks.world_size > 1:
        dist.all_reduce(total)
    return int(total)


def _write_part(opened: "TrainedRun", ranks: "Ranks", path: Path, labels: bool) -> int:
    """This rank's scores to ``path``; how many they are."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from train.ctr.scoring import scored
    from train.run.progress import ProgressBar

    bar = ProgressBar("predict", opened.reader.num_rows, ranks.first)
    writer, written = None, 0
    for batch, logits in scored(opened.model, opened.reader.epoch(0), ranks.device):
        columns = {"user": batch.users, "target": batch.targets, **batch.extra, "score": logits.sigmoid()}
        if labels:
            columns["label"] = batch.labels.to(dtype=batch.labels.new_zeros(0).char().dtype)
        rows = pa.table({name: column[batch.repeated :].numpy() for name, column in columns.items()})
        writer = writer or pq.ParquetWriter(path, rows.schema)
        writer.write_table(rows)
        written += rows.num_rows
        bar.advance(len(batch) * ranks.world_size)
    bar.close()
    assert writer is not None, "every rank has a batch"
    writer.close()
    return written
