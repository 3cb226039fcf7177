"""A rank of benchmarks.planner: trains each case on random ids with its plan; time of a step and memory of the rank."""

import gc
import itertools
import statistics
import time
from collections.abc import Iterator
from typing import Any

from benchmarks.process_memory import status_bytes
from benchmarks.ranks import read_job, write_result

_WARM_UP = 4
_BLOCK = 4  # steps timed together


def main() -> None:
    import torch
    import torch.distributed as dist

    from train.ctr.config import Config
    from train.distributed.process_group import process_group

    jobs = read_job()["jobs"]
    results = []
    with process_group(Config.model_validate(jobs[0]["config"]).process) as ranks:
        for job in jobs:
            every: list[dict[str, Any] | None] = [None] * ranks.world_size
            dist.all_gather_object(every, _measure(job, ranks))
            results.append(every)
            gc.collect()
        if ranks.first:
            write_result(results)
    torch.set_num_threads(1)


def _measure(job: dict[str, Any], ranks: Any) -> dict[str, Any]:
    """Milliseconds a step, the median over blocks of steps, and bytes in memory: at the end, and at the peak."""
    import torch.distributed as dist
    from torchrec.distributed.train_pipeline import TrainPipelineSparseDist

    from recsys.batch import Batch
    from recsys.schema import Schema
    from train.ctr.build import build
    from train.ctr.config import Config

    config, schema = Config.model_validate(job["config"]), Schema.model_validate(job["schema"])
    pool = list(_batches(schema, config.data.batch_size, job["lengths"], job["pool"], ranks.rank))
    trainable = build(schema, config, {}, job["lengths"], ranks)
    pipeline: TrainPipelineSparseDist[Batch, Any] = TrainPipelineSparseDist(
        trainable.model.train(), trainable.optimizer, ranks.device
    )
    batches = itertools.cycle(pool)
    for _ in range(_WARM_UP):
        pipeline.progress(batches)
    blocks = []
    for _ in range(max(1, job["steps"] // _BLOCK)):
        dist.barrier()
        start = time.perf_counter()
        for _ in range(_BLOCK):
            pipeline.progress(batches)
        blocks.append((time.perf_counter() - start) * 1e3 / _BLOCK)
    memory = {"bytes": status_bytes("VmRSS"), "peak_bytes": status_bytes("VmHWM")}
    return {"step_ms": statistics.median(blocks), **memory}


def _batches(schema: Any, batch: int, lengths: dict[str, float], count: int, rank: int) -> Iterator[Any]:
    """Random rows of every table; every bag and sequence has its length."""
    import torch
    from torchrec.sparse.jagged_tensor import KeyedJaggedTensor

    from recsys.batch import Batch

    random = torch.Generator().manual_seed(rank)

    def jagged(features: list) -> KeyedJaggedTensor | None:
        if not features:
            return None
        parts, sizes = [], []
        for f in features:
            n = int(lengths.get(f.name, 1))
            parts.append(torch.randint(schema.tables[f.table].num_embeddings, (batch * n,), generator=random))
            sizes.append(torch.full((batch,), n, dtype=torch.int64))
        return KeyedJaggedTensor(
            keys=[f.name for f in features], values=torch.cat(parts), lengths=torch.cat(sizes), stride=batch
        )

    for _ in range(count):
        yield Batch(
            labels=torch.randint(2, (batch,), generator=random).float(),
            dense=torch.zeros(batch, 0),
            pooled=jagged(schema.pooled),
            sequence=jagged(schema.sequential),
            frozen={},
            users=torch.zeros(batch, dtype=torch.int64),
            targets=torch.zeros(batch, dtype=torch.int64),
            extra={},
        )


if __name__ == "__main__":
    main()
