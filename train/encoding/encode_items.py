"""Encodes items into a frozen store over ranks: each encodes a share of the missing parts, rank 0 builds the store."""

import os
from collections.abc import Sequence

import numpy as np
import torch.distributed as dist
from tqdm import tqdm

from embeddings.errors import InputError
from embeddings.frozen.build_store import build_from_parquet
from embeddings.frozen.store import FrozenStore
from recsys.scl.encoding_faults import vector_faults
from train.distributed.ranks import Ranks, on_first
from train.encoding.decode_pipeline import DecodedBatch, decoded_batches
from train.encoding.item_files import ItemFiles
from train.encoding.open_encoder import ItemEncoder
from train.encoding.resumable_parts import ID, NAMED, VECTOR, Part, PartsFolder
from train.encoding.store_report import report


def encode(
    encoder: ItemEncoder,
    items: ItemFiles,
    out: str,
    ranks: Ranks,
    *,
    dtype: str,
    batch_size: int,
    workers: int,
    data: str | None,
    overwrite: bool,
) -> None:
    """Write the store ``out`` of all items that have a vector, and print the report. All ranks call it.

    Parts are cut, and batched, by the items alone, so that ranks and kills change no vector.
    The caller has ``out``'s lock, hours before the store is built. Raises InputError where no item has a vector.
    """
    parts = PartsFolder(out)
    plan = {"items": items.identity, "encoder": encoder.identity, "part_rows": items.part_rows, "batch": batch_size}

    def begin() -> list[int]:
        parts.begin(plan, overwrite=overwrite)
        missing = parts.missing(items.parts)
        if len(missing) < items.parts:
            print(f"going on: {items.parts - len(missing)} of {items.parts} parts are there", flush=True)
        return missing

    missing = on_first(ranks, begin)
    mine = missing[len(missing) * ranks.rank // ranks.world_size : len(missing) * (ranks.rank + 1) // ranks.world_size]
    with tqdm(
        total=sum(items.rows(part) for part in mine), unit="item", desc="encode", disable=None if ranks.first else True
    ) as bar:
        waiting: list[DecodedBatch] = []
        vectors: list[np.ndarray] = []
        for batch in decoded_batches(items, consecutive(mine), encoder.decode, batch_size, workers):
            good = [value for value, reason in batch.values if reason is None]
            vectors.append(encoder.vectors(good) if good else np.zeros((0, 1), np.float32))
            waiting.append(batch)
            bar.update(len(batch.ids))
            ranks.mark(f"encoding part {batch.part}")
            if batch.last:
                parts.write(batch.part, _part(waiting, vectors))
                waiting, vectors = [], []
    dist.barrier()
    if ranks.first:
        store = _store(parts, encoder, out, dtype, overwrite)
        report(store, parts, items.ids.size, data)
        parts.remove()


def consecutive(numbers: Sequence[int]) -> list[range]:
    """Sorted numbers as ranges without gaps."""
    runs: list[range] = []
    for number in numbers:
        if runs and runs[-1].stop == number:
            runs[-1] = range(runs[-1].start, number + 1)
        else:
            runs.append(range(number, number + 1))
    return runs


def _part(batches: list[DecodedBatch], vectors: list[np.ndarray]) -> Part:
    """What to keep of a part's batches: vectors that have a direction. Raises InputError where none is finite."""
    ids = np.concatenate([batch.ids for batch in batches])
    reasons = [reason for batch in batches for _, reason in batch.values]
    good = np.flatnonzero([reason is None for reason in reasons])
    whole = np.concatenate([v for v in vectors if len(v)] or [np.zeros((0, 1), np.float32)])
    faults = vector_faults(whole)
    if faults and not np.isfinite(whole).all(axis=1).any():
        raise InputError(
            f"the encoder gives no vector that is finite: none of {len(faults)} items from item {ids[good[0]]} on; its "
            "weights are broken, or its numbers overflow; train it again, or name another"
        )
    usable = np.array([fault is None for fault in faults], bool)
    for place in np.flatnonzero(~usable):
        reasons[good[place]] = faults[place]
    named = [f"item {i}: {reason}" for i, reason in zip(ids.tolist(), reasons, strict=True) if reason is not None]
    return Part(ids[good[usable]], whole[usable], len(named), named[:NAMED])


def _store(parts: PartsFolder, encoder: ItemEncoder, out: str, dtype: str, overwrite: bool) -> FrozenStore:
    count, reasons = parts.left_out()
    if not parts.norms().size:
        parts.remove()
        raise InputError(
            f"none of the {count} items has a vector ({reasons[0]}); fix the items, or name another column"
        )
    return build_from_parquet(
        out,
        os.fspath(parts.path),
        id_column=ID,
        vector_column=VECTOR,
        dtype=dtype,
        encoder=encoder.name,
        overwrite=overwrite,
    )
