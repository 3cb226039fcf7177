"""Steps of pairs: as many as there are rows for, the same over any number of ranks."""

from pathlib import Path
from types import SimpleNamespace

import torch

from recsys.scl.config import AugmentConfig
from recsys.scl.encoders.image_decoder import PictureDecoder
from recsys.scl.pairs_schema import load_pairs
from tests.train.launch import one_line
from tests.train.scl.tiny import scl
from train.scl.decoded_contents import DecodedContents
from train.scl.item_contents import ItemContents
from train.scl.pair_reader import PairBatch, PairReader
from train.scl.pair_rows import PairRows


def test_more_rows_a_step_than_there_are(config):
    one_line(scl(config, "data.batch_size=49"), "has 48 rows, and a step takes 49; lower data.batch_size")


def steps(folder: Path, ranks: int) -> list[list[PairBatch]]:
    """Of each step of an epoch, the batches of all ranks."""
    pairs = load_pairs(str(folder))
    items = ItemContents(str(folder), pairs.items)
    rows = PairRows(str(folder), "train", pairs, items)
    encoder = SimpleNamespace(decoder=PictureDecoder(16), kind="image")
    readers = [
        PairReader(
            rows, items, DecodedContents(encoder, str, 0), DecodedContents(encoder, str, 0), AugmentConfig(),
            batch_size=8 // ranks, rank=rank, world_size=ranks, seed=3, shuffle_rows=20, workers=1, prefetch=2,
            with_negatives=True,
        )
        for rank in range(ranks)
    ]  # fmt: skip
    return [list(batches) for batches in zip(*(reader.epoch(1) for reader in readers), strict=True)]


def test_two_ranks_share_the_steps_of_one_picture_by_picture(own_pairs):
    one, two = steps(own_pairs, 1), steps(own_pairs, 2)
    assert len(one) == len(two) == 6
    for (whole,), parts in zip(one, two, strict=True):
        for name in ("queries", "positives", "negatives", "items"):
            assert torch.equal(getattr(whole, name), torch.cat([getattr(part, name) for part in parts])), name
        first, second = (part.negative_rows.tolist() for part in parts)
        assert whole.negative_rows.tolist() == [*first, *(row + 4 for row in second)]
