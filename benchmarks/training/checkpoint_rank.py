"""A rank of benchmarks.training.checkpoint: trains in turns with and without a save, and times them."""

import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch.distributed as dist
from torchrec.distributed.train_pipeline import TrainPipelineSparseDist

from benchmarks import ROOT
from benchmarks.ranks import read_job, write_result
from recsys.batch import Batch
from recsys.schema import Schema, load_schema, save_schema
from train.checkpoint.checkpointer import Checkpointer
from train.ctr.build import build, build_reader
from train.ctr.checkpoint_state import CTRCheckpointState
from train.ctr.config import load_config
from train.distributed.process_group import process_group
from train.distributed.ranks import Ranks, on_first

_USERS = 100_000


def build_data(folder: Path, items: int, rows: int) -> None:
    """Rows of one user, one item and a history of 20 items, all of them drawn evenly: no row is in a cache."""
    schema = {
        "tables": {"user": {"num_embeddings": _USERS}, "item": {"num_embeddings": items}},
        "features": [
            {"name": "user", "kind": "id", "table": "user"},
            {"name": "item", "kind": "id", "table": "item"},
            {"name": "history", "kind": "sequence", "table": "item", "target": "item", "max_length": 20},
        ],
    }
    save_schema(Schema.model_validate(schema), str(folder))
    draw = np.random.default_rng(0).integers
    history = pa.ListArray.from_arrays(np.arange(0, 20 * rows + 1, 20, dtype=np.int32), draw(0, items, 20 * rows))
    columns = {
        "label": draw(0, 2, rows),
        "user": draw(0, _USERS, rows),
        "item": draw(0, items, rows),
        "history": history,
    }
    (folder / "train").mkdir()
    rows_file = folder / "train" / "part-0.parquet"
    pq.write_table(pa.table(columns), rows_file, row_group_size=20_000, write_page_checksum=True)
    (folder / "run.yaml").write_text(
        f"data: {{path: {folder}, shuffle_rows: 0}}\n"
        "model: {embedding_dim: 16, over_arch: [256, 128]}\n"
        "sharding: {sharding_types: [row_wise]}\n"
    )


class Turns:
    """Training without an end, so many steps in a turn."""

    def __init__(self, folder: Path, ranks: Ranks, batch_size: int) -> None:
        config = load_config(str(folder / "run.yaml"), (f"data.batch_size={batch_size}", f"run.root={folder}"))
        schema = load_schema(config.data.path)
        self.reader = build_reader(config, schema, {}, ranks, "train", training=True)
        self.trainable = build(schema, config, {}, {"history": 20.0}, ranks)
        self.pipeline: TrainPipelineSparseDist[Batch, Any] = TrainPipelineSparseDist(
            self.trainable.model.train(), self.trainable.optimizer, ranks.device
        )
        self.checkpoints = Checkpointer(folder, ranks, keep=1)
        self.batches = self._endless()
        self.step = 0

    def _endless(self) -> Generator[Batch, None, None]:
        epoch = 0
        while True:
            yield from self.reader.epoch(epoch)
            epoch += 1

    def run(self, steps: int, save: bool) -> tuple[float, float, float]:
        """Seconds of a turn; of them, of the copy, and until the save was on disk (0 without one).

        A turn with a save begins with its copy, and goes on until its last file is on disk.
        """
        dist.barrier()
        began, copied, written = time.monotonic(), 0.0, 0.0
        if save:
            self.checkpoints.save(CTRCheckpointState(self.trainable), {"step": self.step}, best=False)
            copied = time.monotonic() - began
        for _ in range(steps):
            self.pipeline.progress(self.batches)
            self.step += 1
            if save and not written and not self.checkpoints.writing:
                written = time.monotonic() - began
        self.checkpoints.finish()
        dist.barrier()
        took = time.monotonic() - began
        return took, copied, (written or took) if save else 0.0

    def checkpoint_bytes(self) -> int:
        """Bytes of the newest checkpoint's files."""
        newest = self.checkpoints.folder.newest()
        assert newest is not None
        return sum(file.stat().st_size for file in newest.iterdir())


def main() -> None:
    job = read_job()
    folder = Path(job["folder"])
    config = load_config(str(ROOT / "configs" / "shop.yaml"), ("process.device=cpu",))
    with process_group(config.process) as ranks:
        on_first(ranks, lambda: build_data(folder, job["rows"], 400_000))
        turns = Turns(folder, ranks, job["batch_size"])
        turns.run(5, save=False)
        turns.run(job["steps"], save=True)  # the memory of the copy is there from the first save on
        seconds: dict[str, list[float]] = {"with": [], "without": [], "copy_s": [], "write_s": []}
        for pair in range(job["pairs"]):
            for save in (True, False) if pair % 2 == 0 else (False, True):
                took, copied, written = turns.run(job["steps"], save)
                seconds["with" if save else "without"].append(round(took, 3))
                if save:
                    seconds["copy_s"].append(round(copied, 3))
                    seconds["write_s"].append(round(written, 3))
        if ranks.first:
            write_result({**seconds, "checkpoint_bytes": turns.checkpoint_bytes()})
        turns.batches.close()


if __name__ == "__main__":
    main()
