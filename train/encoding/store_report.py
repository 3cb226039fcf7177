"""Report on a frozen store: norms, equal vectors, and how much of a data set has a vector."""

import numpy as np

from embeddings.frozen.store import FrozenStore
from embeddings.hashing import GOLDEN_RATIO, splitmix64
from recsys.schema import load_schema
from train.data.stats.item_counts import item_counts
from train.encoding.resumable_parts import PartsFolder

BLOCK_BYTES = 32 << 20
SPLITS = ("train", "validation", "test")


def report(store: FrozenStore, parts: PartsFolder, items: int, data: str | None) -> None:
    """Print what was encoded of ``items`` items. Raises InputError where ``data`` is given and is no data folder."""
    left_out, reasons = parts.left_out()
    print(f"items       {items:,}; {store.count:,} encoded, {left_out:,} left out")
    for reason in reasons:
        print(f"            {reason}")
    if left_out > len(reasons):
        print(f"            and {left_out - len(reasons):,} more")
    norms = parts.norms()
    low, middle, high = norms.min(), np.median(norms), norms.max()
    print(f"norms       {low:.4g} to {high:.4g}, median {middle:.4g}, before they are made 1")
    same, largest, example = duplicates(store)
    most = f"; {largest:,} share that of item {example}" if same else ""
    print(f"duplicates  {same:,} items have a vector that another has too{most}")
    if data:
        print(f"coverage    {coverage_text(store, data)}")
    print(f"written to  {store.path}: {store.dtype}, width {store.width}, {store.nbytes:,} bytes", flush=True)


def duplicates(store: FrozenStore) -> tuple[int, int, int]:
    """Items whose stored vector is exactly another's, those in the largest group of equals, and one of these.

    Vectors are compared by a 64-bit hash: 8 bytes of memory for each.
    """
    hashes = np.empty(store.count, np.uint64)
    step = max(1, BLOCK_BYTES // (8 * store.width))
    for start in range(0, store.count, step):
        block = np.ascontiguousarray(store.vectors[start : start + step])
        raw = block.view(np.uint8).reshape(len(block), -1)
        padded = np.zeros((len(raw), -(-raw.shape[1] // 8) * 8), np.uint8)
        padded[:, : raw.shape[1]] = raw
        total = np.zeros(len(raw), np.uint64)
        for column in padded.view(np.int64).T:
            total = splitmix64(total + column.view(np.uint64) + np.uint64(GOLDEN_RATIO))
        hashes[start : start + step] = total
    _, first, count = np.unique(hashes, return_index=True, return_counts=True)
    place = count.argmax()
    return int(count[count > 1].sum()), int(count[place]), int(store.ids[first[place]])


def coverage(store: FrozenStore, data: str) -> tuple[int, int, int, int]:
    """Of a data folder's target items those with a vector, and all; of its impressions the same."""
    schema = load_schema(data).model_copy(update={"frequency": "rows"})
    counts_of_splits = [item_counts(data, split, schema) for split in SPLITS]
    ids = np.concatenate([ids for ids, _ in counts_of_splits])
    counts = np.concatenate([counts for _, counts in counts_of_splits])
    known = store.rows(ids) >= 0
    items = np.unique(ids)
    return int((store.rows(items) >= 0).sum()), items.size, int(counts[known].sum()), int(counts.sum())


def coverage_text(store: FrozenStore, data: str) -> str:
    """``coverage`` in words."""
    known, items, shown, impressions = coverage(store, data)
    return (
        f"{data}: {known / max(items, 1):.2%} of {items:,} items, and {shown / max(impressions, 1):.2%} of "
        f"{impressions:,} impressions, have a vector"
    )
