"""One rank of benchmarks.planner: trains each case on random ids with its plan, and says how long and how large."""

import gc
import json
import statistics
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

_WARM_UP = 4
_BLOCK = 4  # steps timed together


def main(jobs: str) -> None:
    import torch
    import torch.distributed as dist
    from torchrec.distributed.train_pipeline import TrainPipelineSparseDist

    from recsys.schema import Schema
    from train.config import Config
    from train.ctr.build import build
    from train.distributed.process_group import process_group

    work = json.loads(Path(jobs).read_text())
    results = []
    first = Config.model_validate(work["jobs"][0]["config"])
    with process_group(first.process) as ranks:
        for job in work["jobs"]:
            config, schema = Config.model_validate(job["config"]), Schema.model_validate(job["schema"])
            pool = list(_batches(schema, config.data.batch_size, job["lengths"], job["pool"], ranks.rank))
            trainable = build(schema, config, {}, job["lengths"], ranks)
            pipeline = TrainPipelineSparseDist(trainable.model.train(), trainable.optimizer, ranks.device)
            batches = (pool[i % len(pool)] for i in range(10**9))
            for _ in range(_WARM_UP):
                pipeline.progress(batches)
            blocks = []
            for _ in range(max(1, job["steps"] // _BLOCK)):
                dist.barrier()
                start = time.perf_counter()
                for _ in range(_BLOCK):
                    pipeline.progress(batches)
                blocks.append((time.perf_counter() - start) * 1e3 / _BLOCK)
            mine = {"step_ms": statistics.median(blocks), **_memory()}
            every: list[dict[str, Any] | None] = [None] * ranks.world_size
            dist.all_gather_object(every, mine)
            results.append(every)
            del pipeline, trainable, pool, batches
            gc.collect()
        if ranks.first:
            Path(work["out"]).write_text(json.dumps(results))
    torch.set_num_threads(1)


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


def _memory() -> dict[str, int]:
    """Bytes that this process has in memory, and the most that it ever had."""
    facts = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
    return {"bytes": int(facts["VmRSS"].split()[0]) << 10, "peak_bytes": int(facts["VmHWM"].split()[0]) << 10}


if __name__ == "__main__":
    main(sys.argv[1])
