"""The index of a checkpoint: shards that cover their tensors once, names without a path, numbers within bounds."""

import pytest
import torch

from embeddings.errors import InputError
from embeddings.validation import validated
from train.checkpoint.shard_index import ShardIndex, index_of, joined
from train.checkpoint.shards import TensorShard, whole_tensor


def index(size: list[int], boxes: list[tuple[list[int], list[int]]], **other: object) -> dict:
    shards = [{"file": "a.safetensors", "offsets": offsets, "size": part} for offsets, part in boxes]
    return {"tensors": {"t": {"dtype": "F32", "size": size, "shards": shards, **other}}}


@pytest.mark.parametrize(
    ("size", "boxes"),
    [
        ([4, 6], [([0, 0], [4, 6])]),
        ([4, 6], [([2, 0], [2, 6]), ([0, 0], [2, 6])]),  # rows
        ([4, 6], [([0, 4], [4, 2]), ([0, 0], [4, 4])]),  # columns
        ([4, 6], [([0, 0], [1, 3]), ([1, 0], [3, 3]), ([0, 3], [2, 3]), ([2, 3], [2, 3])]),  # columns, of other rows
        ([0, 6], [([0, 0], [0, 6])]),
        ([], [([], [])]),
        ([5], [([0], [2]), ([2], [3])]),
    ],
)
def test_shards_that_cover_their_tensor(size, boxes):
    read = validated(ShardIndex, index(size, boxes), "index.json")
    assert [list(s.offsets) for s in read.tensors["t"].shards] == [offsets for offsets, _ in boxes]


@pytest.mark.parametrize(
    ("size", "boxes"),
    [
        ([4, 6], []),
        ([4, 6], [([0, 0], [4, 5])]),
        ([4, 6], [([0, 0], [2, 6]), ([1, 0], [3, 6])]),  # a row twice
        ([4, 6], [([0, 0], [1, 6]), ([2, 0], [2, 6])]),  # a row is missing
        ([4, 6], [([0, 0], [4, 6]), ([0, 0], [4, 6])]),
        ([4, 6], [([0, 0], [4, 3]), ([0, 3], [4, 4])]),  # beyond the end
        ([4, 6], [([0], [4])]),
        ([], [([], []), ([], [])]),
        ([4, 6], [([0, 0], [0, 6])] * 3),
    ],
)
def test_shards_that_do_not(size, boxes):
    with pytest.raises(InputError, match=r"^index.json: tensors.t: its shards"):
        validated(ShardIndex, index(size, boxes), "index.json")


@pytest.mark.parametrize(
    "file", ["../a", "/etc/passwd", "a/b", "..", ".", "", "a\\b", "a\nb", "a\0", "-a", "x" * 300, 7, None, ["a"]]
)
def test_a_file_is_a_name_in_the_folder(file):
    raw = index([1], [([0], [1])])
    raw["tensors"]["t"]["shards"][0]["file"] = file
    with pytest.raises(InputError, match=r"^index.json: tensors.t.shards.0.file"):
        validated(ShardIndex, raw, "index.json")


@pytest.mark.parametrize("n", [-1, 1 << 62, 10**40, 1.5, "x", None, float("nan"), [], {}])
def test_sizes_are_whole_numbers_of_64_bits(n):
    for raw in (index([n], [([0], [1])]), index([1], [([n], [1])]), index([1], [([0], [n])])):
        with pytest.raises(InputError, match=r"^index.json: tensors.t"):
            validated(ShardIndex, raw, "index.json")


@pytest.mark.parametrize(
    "raw",
    [None, [], 7, "x", {}, {"tensors": []}, {"tensors": {"t": []}}, {"format": 2, "tensors": {}},
     index([1], [([0], [1])], dtype="object"), index([1], [([0], [1])], dtype=None), index([1], [([0], [1])], more=1),
     index([1] * 17, [([0] * 17, [1] * 17)])],
)  # fmt: skip
def test_anything_else_is_refused_in_one_line(raw):
    with pytest.raises(InputError) as error:
        validated(ShardIndex, raw, "index.json")
    assert len(str(error.value).splitlines()) == 1 and len(str(error.value)) < 1000


def test_many_shards_are_compared_in_no_time():
    boxes = [([row, column], [1, 1]) for row in range(2000) for column in range(10)]
    assert validated(ShardIndex, index([2000, 10], boxes), "index.json")


def test_what_ranks_wrote_is_joined():
    top = TensorShard("t", (4, 2), (0, 0), torch.zeros(2, 2))
    bottom = TensorShard("t", (4, 2), (2, 0), torch.zeros(2, 2))
    own = whole_tensor("n", torch.tensor([True]))
    both = joined([index_of([("a", top), ("a", own)]), index_of([("b", bottom)])])
    assert {key: [s.file for s in tensor.shards] for key, tensor in both.tensors.items()} == {
        "t": ["a", "b"],
        "n": ["a"],
    }
    assert both.tensors["n"].dtype == "BOOL" and both.tensors["t"].size == (4, 2)
    with pytest.raises(ValueError, match="cover"):
        joined([index_of([("a", top)])])
