"""Files of a checkpoint: safetensors, as others read them; what is at odds with the index."""

import json
from pathlib import Path

import pytest
import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file

from train.checkpoint.checksums import checksum
from train.checkpoint.shard_files import INDEX, ShardFiles, write_index, write_shards
from train.checkpoint.shard_index import DTYPES
from train.checkpoint.shards import TensorShard, whole_tensor

TABLE = torch.arange(24.0).view(4, 6)
SHARDS = [
    TensorShard("t", (4, 6), (0, 0), TABLE[:2].clone()),
    TensorShard("t", (4, 6), (2, 0), TABLE[2:].clone()),
    whole_tensor("n", torch.tensor(7)),
    whole_tensor("odd", torch.tensor([True, False, True])),
    whole_tensor("empty", torch.zeros(0, 3)),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    index, files = write_shards(tmp_path, 3, SHARDS)
    files |= write_index(tmp_path, [index])
    assert files == {p.name: [p.stat().st_size, checksum(p)] for p in tmp_path.iterdir()}
    return tmp_path


def test_other_readers_of_safetensors_read_them(folder):
    tensors = load_file(folder / "rank-00003.safetensors")
    assert sorted(tensors) == ["empty", "n", "odd", "t@0,0", "t@2,0"]
    assert torch.cat([tensors["t@0,0"], tensors["t@2,0"]]).equal(TABLE) and tensors["n"].tolist() == [7]
    assert tensors["odd"].tolist() == [True, False, True] and tensors["empty"].size() == (0, 3)


def test_every_dtype_is_kept(tmp_path):
    shards = [whole_tensor(name, torch.arange(5).to(dtype)) for name, dtype in DTYPES.items()]
    index, _ = write_shards(tmp_path, 0, shards)
    write_index(tmp_path, [index])
    opened = ShardFiles(tmp_path)
    for shard in shards:
        saved = opened.index.tensors[shard.key]
        assert opened.part(shard.key, saved, saved.shards[0], [1], [3]).equal(shard.tensor[1:4])
    with open(tmp_path / "rank-00000.safetensors", "rb") as file:
        assert int.from_bytes(file.read(8), "little") % 8 == 0, "the widest numbers are aligned"


def test_a_part_of_a_shard(folder):
    opened = ShardFiles(folder)
    saved = opened.index.tensors["t"]
    assert opened.part("t", saved, saved.shards[1], [1, 2], [1, 3]).equal(TABLE[3:4, 2:5])


def edited(folder: Path, edit) -> ShardFiles:
    index = json.loads((folder / INDEX).read_text())
    edit(index["tensors"])
    (folder / INDEX).write_text(json.dumps(index))
    return ShardFiles(folder)


@pytest.mark.parametrize(
    ("key", "edit", "error"),
    [
        ("n", {"dtype": "F64"}, r"'n' is I64 \[1\] in 'rank-00003.safetensors', F64 \[1\] in the index"),
        ("n", {"size": [2], "shards": [{"file": "rank-00003.safetensors", "offsets": [0], "size": [2]}]}, "'n' is I64"),
        ("odd", {"size": [1 << 40], "shards": [{"file": "rank-00003.safetensors", "offsets": [0], "size": [1 << 40]}]},
         "'odd' is BOOL"),
        ("n", {"shards": [{"file": "no.safetensors", "offsets": [0], "size": [1]}]}, "no file 'no.safetensors'"),
        ("n", {"shards": [{"file": INDEX, "offsets": [0], "size": [1]}]}, "."),
    ],
)  # fmt: skip
def test_what_the_index_says_and_the_file_does_not(folder, key, edit, error):
    opened = edited(folder, lambda tensors: tensors[key].update(edit))
    saved = opened.index.tensors[key]
    with pytest.raises((ValueError, SafetensorError), match=error):
        opened.part(key, saved, saved.shards[0], [0], [1])


def test_a_tensor_that_the_file_lacks(folder):
    opened = edited(folder, lambda tensors: tensors.update(other=tensors["n"]))
    saved = opened.index.tensors["other"]
    with pytest.raises(SafetensorError):
        opened.part("other", saved, saved.shards[0], [0], [1])


def test_two_shards_of_one_place_are_never_written(tmp_path):
    with pytest.raises(AssertionError):
        write_shards(tmp_path, 0, [SHARDS[0], SHARDS[0]])


def test_a_number_without_dimensions(tmp_path):
    save_file({"n": torch.tensor(5)}, tmp_path / "a.safetensors")
    shard = {"file": "a.safetensors", "offsets": [], "size": []}
    (tmp_path / INDEX).write_text(json.dumps({"tensors": {"n": {"dtype": "I64", "size": [], "shards": [shard]}}}))
    opened = ShardFiles(tmp_path)
    saved = opened.index.tensors["n"]
    assert opened.part("n", saved, saved.shards[0], [], []) == 5


def test_the_library_refuses_headers_beyond_the_file(folder):
    """What the reader rests on: sizes and places in a file's header are compared with the file."""
    path = folder / "rank-00003.safetensors"
    whole = path.read_bytes()
    length = int.from_bytes(whole[:8], "little")
    for data in (
        whole[:-1], whole + b"x", whole[:4], b"", b"\xff" * 8 + whole[8:],
        whole[:8] + whole[8 : 8 + length].replace(b'"shape":[2,6]', b'"shape":[9,6]', 1) + whole[8 + length :],
        whole[:8] + b"[" * length + whole[8 + length :],
    ):  # fmt: skip
        path.write_bytes(data)
        with pytest.raises(SafetensorError):
            safe_open(path, "pt").get_slice("n")
