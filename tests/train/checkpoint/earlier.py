"""Checkpoints as earlier versions wrote them, by torch.distributed.checkpoint, and pickles that run something."""

import json
import pickle
import shutil
import warnings
from pathlib import Path

import torch
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint.default_planner import DefaultSavePlanner
from torch.distributed.checkpoint.metadata import ChunkStorageMetadata, MetadataIndex, TensorProperties
from torch.distributed.checkpoint.planner import SavePlan, TensorWriteData, WriteItem, WriteItemType

from train.checkpoint.checksums import checksum
from train.checkpoint.shard_files import INDEX, ShardFiles
from train.checkpoint.shards import TensorShard


class _Planner(DefaultSavePlanner):
    def __init__(self, shards: list[TensorShard]) -> None:
        super().__init__(flatten_state_dict=False, flatten_sharded_tensors=False)
        self._shards = {(s.key, s.offsets): s for s in shards}

    def create_local_plan(self) -> SavePlan:
        self.plan = SavePlan([self._item(s) for s in self._shards.values()])
        return self.plan

    def resolve_data(self, write_item: WriteItem) -> torch.Tensor:
        assert write_item.index.offset is not None
        return self._shards[write_item.index.fqn, tuple(write_item.index.offset)].tensor

    @staticmethod
    def _item(shard: TensorShard) -> WriteItem:
        chunk = ChunkStorageMetadata(torch.Size(shard.offsets), shard.tensor.size())
        data = TensorWriteData(chunk, TensorProperties.create_from_tensor(shard.tensor), torch.Size(shard.size))
        return WriteItem(MetadataIndex(shard.key, torch.Size(shard.offsets)), WriteItemType.SHARD, tensor_data=data)


def save(folder: Path, shards: list[TensorShard]) -> None:
    """``.metadata`` and ``__0_0.distcp`` in ``folder``."""
    with warnings.catch_warnings():  # torch says that no other rank takes part
        warnings.simplefilter("ignore")
        dcp.save({}, checkpoint_id=str(folder), planner=_Planner(shards), no_dist=True)


def make_earlier(checkpoint: Path) -> None:
    """Turn a run's checkpoint into what an earlier version would have written of it."""
    files = ShardFiles(checkpoint)
    shards = [
        TensorShard(key, saved.size, shard.offsets, files.part(key, saved, shard, [0] * len(shard.size), shard.size))
        for key, saved in files.index.tensors.items()
        for shard in saved.shards
    ]
    shards = [TensorShard(s.key, s.size, s.offsets, s.tensor.clone()) for s in shards]
    for old in [*checkpoint.glob("*.safetensors"), checkpoint / INDEX]:
        old.unlink()
    save(checkpoint, shards)
    count_again(checkpoint)


def count_again(checkpoint: Path) -> None:
    """Have progress.json hold sizes and checksums of the files as they are now, as whoever plants one would."""
    path = checkpoint / "progress.json"
    others = [p for p in checkpoint.iterdir() if p != path]
    files = {p.name: [p.stat().st_size, checksum(p)] for p in others}
    path.write_text(json.dumps({**json.loads(path.read_text()), "files": files}))


class Runs:
    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self):
        return shutil.copyfile, ("/dev/null", str(self.mark))


def harmful(mark: Path, protocol: int = 4) -> bytes:
    """A pickle that makes the file ``mark`` when it is loaded."""
    data = pickle.dumps(Runs(mark), protocol)
    pickle.loads(data)
    assert mark.exists(), "it does what it says"
    mark.unlink()
    return data
