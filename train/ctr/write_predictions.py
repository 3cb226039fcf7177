"""Scores of a split as parquet files, one a rank, in a folder that appears once all are written."""

from collections.abc import Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import torch
import torch.distributed as dist

from embeddings.errors import DISK_FULL, InputError
from embeddings.files.atomic_file import atomic_folder
from embeddings.files.folder_lock import folder_lock
from embeddings.frozen.check_store import refuse_changed
from recsys.batch import Batch
from train.data.reader import RowReader
from train.distributed.ranks import Ranks, on_first
from train.run.progress import ProgressBar

Scored = Iterator[tuple[Batch, torch.Tensor]]


def write_predictions(reader: RowReader, scored: Scored, ranks: Ranks, out: Path, labels: bool) -> int:
    """Write a split's scores into ``out``/part-<rank>.parquet; how many rows all ranks wrote. All ranks call it.

    Args:
        reader: of the split.
        scored: its batches, each with its logits [B] on the host.

    Columns are user, target, those of ``Batch.extra``, score (a probability, float32) and, with ``labels``, label.
    Raises InputError where ``out`` has appeared in the meantime, and stays, and where the disk is full.
    """
    with ExitStack() as unnamed:  # rank 0's folder, in which all ranks write, has its name once all have
        folder = on_first(ranks, lambda: unnamed.enter_context(atomic_folder(out)))
        try:
            part = _write_part(reader, scored, ranks, folder / f"part-{ranks.rank:05d}.parquet", labels)
        except OSError as error:
            if error.errno not in DISK_FULL:
                raise
            raise InputError(
                f"no space left on the disk of '{out}', and nothing was kept there; free some or name another --out"
            ) from error
        written = _sum_over_ranks(part, ranks)

        def name_folder() -> None:
            refuse_changed(reader.stores.values())
            refuse_existing(out)
            unnamed.close()

        on_first(ranks, name_folder)
    return written


def claimed_output(out: Path) -> AbstractContextManager[None]:
    """Keep other processes from writing ``out`` while inside. Raises InputError where it exists or one writes it."""
    return folder_lock(out, "output folder", "name another --out", check=lambda: refuse_existing(out))


def refuse_existing(out: Path) -> None:
    """Raises InputError where there is anything at ``out``."""
    if out.exists():
        raise InputError(f"'{out}' exists; name another --out, or remove it")


def _sum_over_ranks(count: int, ranks: Ranks) -> int:
    total = torch.tensor(count)
    if ranks.world_size > 1:
        dist.all_reduce(total)
    return int(total)


def _write_part(reader: RowReader, scored: Scored, ranks: Ranks, path: Path, labels: bool) -> int:
    """This rank's scores to ``path``; how many they are."""
    bar = ProgressBar("predict", reader.num_rows, ranks.first)
    writer, written = None, 0
    with ExitStack() as opened:  # the columns are known with the first batch
        for batch, logits in scored:
            columns = {"user": batch.users, "target": batch.targets, **batch.extra, "score": logits.sigmoid()}
            if labels:
                columns["label"] = batch.labels.to(dtype=torch.int8)
            rows = pa.table({name: column[batch.repeated :].numpy() for name, column in columns.items()})
            writer = writer or opened.enter_context(pq.ParquetWriter(path, rows.schema, write_page_checksum=True))
            writer.write_table(rows)
            written += rows.num_rows
            bar.advance(len(batch) * ranks.world_size)
    bar.close()
    assert writer is not None, "every rank has a batch"
    return written
