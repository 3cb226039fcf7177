"""Initial table weights: the same whatever the shard, uniform, and of a stream of their own."""

import math
import zlib

import numpy as np
import pytest
import torch
from torch import nn

from embeddings import initialise
from embeddings.initialise import initialise_tables, uniform_rows
from embeddings.tables import module_name

MASK = (1 << 64) - 1


def by_splitmix64(seed: int, row: int, column: int, width: int) -> float:
    """One number, with Python's own integers: Steele, Lea and Flood's mixer on the counter."""
    z = ((row * width + column + 1) * 0x9E3779B97F4A7C15 + seed * 0xD1B54A32D192ED03) & MASK
    z = ((z ^ (z >> 30)) * 0xBF58476D1CE4E5B9) & MASK
    z = ((z ^ (z >> 27)) * 0x94D049BB133111EB) & MASK
    z ^= z >> 31
    return (z >> 40) / 2**23 - 1


@pytest.mark.parametrize("seed", [0, 1, 2**32 + 7, (2**31 << 32) + 5])
@pytest.mark.parametrize("first", [0, 3, 2**40])
def test_equals_the_mixer_in_exact_integers(seed, first):
    rows = uniform_rows(seed, first, 4, slice(1, 6), 9)
    wanted = [[by_splitmix64(seed, first + r, c, 9) for c in range(1, 6)] for r in range(4)]
    assert rows.dtype == torch.float32 and rows.tolist() == wanted


@pytest.mark.parametrize(
    ("rows", "columns"), [((0, 1), (0, 1)), ((0, 50), (3, 8)), ((17, 40), (0, 8)), ((49, 50), (7, 8))]
)
def test_any_block_equals_the_same_block_of_the_whole(rows, columns):
    whole = uniform_rows(3, 0, 50, slice(0, 8), 8)
    block = uniform_rows(3, rows[0], rows[1] - rows[0], slice(*columns), 8)
    assert torch.equal(block, whole[slice(*rows), slice(*columns)])


def test_uniform_between_minus_one_and_one():
    values = uniform_rows(1, 0, 4000, slice(0, 32), 32).double().numpy().ravel()
    assert values.min() >= -1 and values.max() < 1
    counts = np.histogram(values, bins=64, range=(-1, 1))[0]
    expected = values.size / 64
    chi_square = ((counts - expected) ** 2 / expected).sum()
    assert chi_square < 63 + 5 * math.sqrt(2 * 63)
    assert abs(values.mean()) < 5 / math.sqrt(3 * values.size)
    pairs = values.reshape(4000, 32)
    for a, b in ((pairs[:, :-1], pairs[:, 1:]), (pairs[:-1], pairs[1:])):  # neighbours in a row, in a column
        assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 0.02
    assert np.unique(values).size > 0.99 * values.size


class Tables(nn.Module):
    """Parameters under the names that TorchRec's collections give them."""

    def __init__(self, **sizes: tuple[int, int]) -> None:
        super().__init__()
        bags = {n: nn.Embedding(*s) for n, s in sizes.items()}
        self.sparse = nn.Module()
        self.sparse.bags = nn.Module()
        self.sparse.bags.embedding_bags = nn.ModuleDict(bags)
        self.sparse.sequences = nn.Module()
        self.sparse.sequences.embeddings = nn.ModuleDict({"seq": nn.Embedding(5, 4)})
        self.dense = nn.Linear(2, 2)


def weights(seed: int, epoch: int = 0, **sizes: tuple[int, int]) -> dict[str, torch.Tensor]:
    model = Tables(**sizes)
    for p in model.parameters():
        nn.init.constant_(p, 9.0)
    initialise_tables(model, seed, epoch)
    assert (model.dense.weight == 9).all(), "only tables are filled"
    return {k.split(".")[-2]: v.clone() for k, v in model.state_dict().items() if k.startswith("sparse.")}


def test_range_follows_the_rows_and_every_table_is_filled():
    for name, table in weights(0, a=(100, 4), b=(1, 4)).items():
        bound = 1 / math.sqrt(table.shape[0])
        assert table.abs().max() <= bound and (table.abs().max() > 0.5 * bound), name


def test_differs_by_seed_and_name_and_repeats():
    sizes = {"a": (50, 4), "b": (50, 4)}
    one, again, other = weights(0, **sizes), weights(0, **sizes), weights(1, **sizes)
    for name in ("a", "b", "seq"):
        assert torch.equal(one[name], again[name])
        assert not torch.isin(one[name], other[name]).any()
    assert not torch.isin(one["a"], one["b"]).any()


def test_weights_follow_the_name_in_the_schema():
    """Not the key of the module, which has a prefix where torch has taken the name."""
    expected = uniform_rows(zlib.crc32(b"items") + (3 << 32), 0, 50, slice(0, 4), 4) / math.sqrt(50)
    assert module_name("items") != "items"
    torch.testing.assert_close(weights(3, **{module_name("items"): (50, 4)})[module_name("items")], expected)


def test_every_epoch_has_weights_of_its_own():
    tables = [weights(2, epoch, a=(50, 4))["a"] for epoch in range(4)]
    for epoch, table in enumerate(tables):
        assert torch.equal(weights(2, epoch, a=(50, 4))["a"], table)
        for other in tables[:epoch]:
            assert not torch.isin(table, other).any()


def test_chunks_make_no_difference(monkeypatch):
    whole = weights(0, a=(50, 4))["a"]
    monkeypatch.setattr(initialise, "_CHUNK", 28)
    assert torch.equal(weights(0, a=(50, 4))["a"], whole)
