"""Checkpoints that torch.distributed.checkpoint wrote: read as they were, damaged and harmful ones refused."""

import pickle
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch.distributed.checkpoint.filesystem import _StorageInfo
from torch.distributed.checkpoint.metadata import Metadata, MetadataIndex

from embeddings.errors import InputError
from tests.train.checkpoint import earlier
from tests.train.checkpoint.test_shard_files import SHARDS, TABLE
from train.checkpoint.dcp_files import DCPFiles
from train.checkpoint.shard_reader import ShardReader, read_shards
from train.checkpoint.shards import TensorShard, whole_tensor


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    earlier.save(tmp_path, SHARDS)
    return tmp_path


def edited(folder: Path, edit: Callable[[Metadata], None]) -> None:
    metadata = pickle.loads((folder / ".metadata").read_bytes())
    edit(metadata)
    (folder / ".metadata").write_bytes(pickle.dumps(metadata))


def test_they_are_read_under_another_cut(folder):
    columns = [TensorShard("t", (4, 6), (0, left), torch.zeros(4, width)) for left, width in ((0, 1), (1, 5))]
    number, odd = whole_tensor("n", torch.zeros((), dtype=torch.int64)), whole_tensor("odd", torch.zeros(3).bool())
    read_shards(folder, [*columns, number, odd, whole_tensor("empty", torch.zeros(0, 3))])
    assert torch.cat([s.tensor for s in columns], dim=1).equal(TABLE)
    assert number.tensor.tolist() == [7] and odd.tensor.tolist() == [True, False, True]


def test_a_shard_is_read_once_for_many_parts_of_it(folder, monkeypatch):
    read = []
    content = DCPFiles._content

    def counted(self: DCPFiles, name: str, offset: int, length: int) -> bytes:
        read.append(offset)
        return content(self, name, offset, length)

    monkeypatch.setattr(DCPFiles, "_content", counted)
    reader, rows = ShardReader(folder), []
    for row in range(4):
        rows.append(TensorShard("t", (4, 6), (row, 0), torch.zeros(1, 6)))
        reader.read([rows[-1]])
    assert torch.cat([row.tensor for row in rows]).equal(TABLE)
    assert len(read) == 2, "each of the two shards once"


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_harmful_metadata_is_not_run(folder, tmp_path, protocol):
    (folder / ".metadata").write_bytes(earlier.harmful(tmp_path / "mark", protocol))
    refused(folder)
    assert not (tmp_path / "mark").exists()


def test_a_harmful_pickle_inside_a_whole_metadata_is_not_run(folder, tmp_path):
    edited(folder, lambda metadata: setattr(metadata, "planner_data", earlier.Runs(tmp_path / "mark")))
    wanted = whole_tensor("n", torch.zeros(1, dtype=torch.int64))
    read_shards(folder, [wanted])
    assert wanted.tensor.tolist() == [7] and not (tmp_path / "mark").exists()


def refused(folder: Path, *words: str) -> None:
    with pytest.raises(InputError) as error:
        read_shards(folder, [TensorShard("t", (4, 6), (0, 0), torch.zeros(4, 6))])
    text = str(error.value)
    assert text.startswith(f"checkpoint '{folder}' is damaged: ") and text.endswith("remove it or name another"), text
    assert len(text) < 1000 and all(word in text for word in words), text


def places(**changes: object) -> Callable[[Metadata], None]:
    """The place of the first shard of t, other than it is."""

    def edit(metadata: Metadata) -> None:
        index = next(i for i in metadata.storage_data if i.fqn == "t")
        info = metadata.storage_data[index]
        metadata.storage_data[index] = _StorageInfo(
            **{"relative_path": info.relative_path, "offset": info.offset, "length": info.length, **changes}
        )

    return edit


def tensors(**changes: object) -> Callable[[Metadata], None]:
    return lambda metadata: [setattr(metadata.state_dict_metadata["t"], k, v) for k, v in changes.items()]


def chunk(**changes: object) -> Callable[[Metadata], None]:
    return lambda m: [setattr(m.state_dict_metadata["t"].chunks[0], k, v) for k, v in changes.items()]


def all_of_one_tensor(metadata: Metadata) -> None:
    """Ten thousand tensors of ten thousand shards each, by naming one list again and again."""
    one = metadata.state_dict_metadata["t"]
    one.chunks *= 5000
    for n in range(10_000):
        metadata.state_dict_metadata[f"t{n}"] = one


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (places(offset=10**12), "no file '__0_0.distcp' of"),
        (places(length=10**12), "'t' has 1000000000000 bytes"),
        (places(offset=-1), "no whole number"),
        (places(length="x"), "no whole number"),
        (places(length=10**30), "no whole number"),
        (places(offset=1), "beyond its end"),
        (places(relative_path="../x"), ".metadata: tensors.t"),
        (places(relative_path="/etc/passwd"), ".metadata: tensors.t"),
        (places(relative_path=None), "says no file"),
        (places(relative_path="no"), "no file 'no'"),
        (tensors(size=torch.Size([1 << 40, 6])), "cover"),
        (tensors(size=[4, 6]), "no size"),
        (tensors(chunks=[]), "cover"),
        (tensors(chunks=None), None),
        (tensors(properties=7), "says no dtype"),
        (chunk(sizes=torch.Size([3, 6])), "cover"),
        (chunk(offsets=torch.Size([1, 0])), "does not say where"),
        (all_of_one_tensor, "more shards than it has places of"),
        (lambda m: setattr(m, "storage_data", None), "says no places"),
        (lambda m: setattr(m, "storage_data", {1: 2}), "something else than a MetadataIndex"),
        (lambda m: setattr(m, "state_dict_metadata", [1]), "describes no tensors"),
        (lambda m: m.state_dict_metadata.update(t=torch.Size([1])), "something else than a TensorStorageMetadata"),
        (lambda m: m.state_dict_metadata.update(t=MetadataIndex("t")), "something else than a TensorStorageMetadata"),
        (lambda m: m.state_dict_metadata["t"].properties.__setattr__("dtype", torch.complex64), "tensors.t.dtype"),
        (lambda m: m.state_dict_metadata["t"].properties.__setattr__("dtype", torch.float64), "'t' is torch.float32"),
    ],
)
def test_what_does_not_fit_is_one_line(folder, edit, words):
    edited(folder, edit)
    if words is None:  # a thing that is no tensor is passed over
        with pytest.raises(InputError, match="of another model: it has no 't'"):
            read_shards(folder, [TensorShard("t", (4, 6), (0, 0), torch.zeros(4, 6))])
        return
    refused(folder, words)


def test_metadata_that_is_no_pickle_or_too_large(folder):
    whole = (folder / ".metadata").read_bytes()
    for data in (b"", whole[:100], whole[:-1], b"\x80\x04N.", b"\x80\x04}."):
        (folder / ".metadata").write_bytes(data)
        refused(folder)
    with open(folder / ".metadata", "wb") as file:
        file.truncate(1 << 40)
    refused(folder, "more than 16 MiB")
    (folder / ".metadata").unlink()
    refused(folder, "no index.json")


def test_a_shard_takes_its_own_bytes_alone(folder):
    """One that says it is all of a large file is refused before that is read."""
    with open(folder / "__0_0.distcp", "r+b") as file:
        file.truncate(1 << 40)
    edited(folder, places(length=1 << 39))
    refused(folder, "'t' has 549755813888 bytes")
    assert DCPFiles(folder).index.tensors["n"].size == (1,)
