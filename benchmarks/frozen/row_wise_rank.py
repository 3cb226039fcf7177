"""A rank of benchmarks.frozen's row-wise case: time and network bytes of each contender's step."""

import functools
import time
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import torch
import torch.distributed as dist
from torch import nn
from torchrec.distributed.model_parallel import DistributedModelParallel
from torchrec.distributed.sharding_plan import construct_module_sharding_plan, row_wise
from torchrec.distributed.types import ModuleSharder, ShardingEnv, ShardingPlan
from torchrec.modules.embedding_configs import EmbeddingConfig
from torchrec.modules.embedding_modules import EmbeddingCollection
from torchrec.sparse.jagged_tensor import KeyedJaggedTensor

from benchmarks.frozen.network_bytes import sent_bytes
from benchmarks.ranks import read_job, write_result
from embeddings.frozen.frozen_rows import FrozenRows
from embeddings.frozen.row_wise_table import RowWiseTable
from embeddings.frozen.store import FrozenStore
from embeddings.frozen.table import FrozenTable
from embeddings.sequences import SequenceSharder
from recsys.models.make import MAKEAttention

BATCHES = 8


class Fetched(nn.Module):
    """The peer without row-wise kernels: TorchRec's row-wise EmbeddingCollection fetches every vector to this rank."""

    def __init__(self, store: FrozenStore) -> None:
        super().__init__()
        device = torch.device("cpu")
        tables = [
            EmbeddingConfig(
                name="item",
                num_embeddings=store.count,
                embedding_dim=store.width,
                feature_names=["target", "history"],
            )
        ]
        bare = EmbeddingCollection(tables=tables, device=torch.device("meta"))
        sharder = cast(ModuleSharder[nn.Module], SequenceSharder())  # TorchRec asks for any module's sharder
        assert dist.group.WORLD is not None
        env = ShardingEnv.from_process_group(dist.group.WORLD)
        plan = construct_module_sharding_plan(
            bare,
            {"item": row_wise(compute_kernel="fused")},
            sharder,
            world_size=dist.get_world_size(),
            device_type="cpu",
        )
        self.model = DistributedModelParallel(
            bare, env, device, ShardingPlan({"": plan}), [sharder], init_data_parallel=False
        )
        for shards in self.model.state_dict().values():
            for shard in shards.local_shards():
                first, rows = shard.metadata.shard_offsets[0], shard.metadata.shard_sizes[0]
                shard.tensor.copy_(torch.from_numpy(store.vectors[first : first + rows]))

    @torch.no_grad()
    def forward(self, rows: FrozenRows) -> tuple[FrozenTable, FrozenRows]:
        """Targets' and behaviours' vectors in one table, and the rows of it."""
        targets, lengths = rows.target.numel(), rows.offsets.diff()
        features = KeyedJaggedTensor(
            ["target", "history"],
            torch.cat([rows.target, rows.history]),
            lengths=torch.cat([torch.ones_like(lengths), lengths]),
        )
        embeddings = self.model(features)
        vectors = torch.cat([embeddings["target"].values(), embeddings["history"].values()])
        history = torch.arange(targets, vectors.shape[0])
        return FrozenTable.of(vectors, None), FrozenRows(torch.arange(targets), history, rows.offsets)


def batch(seed: int, count: int, targets: int, length: int) -> FrozenRows:
    """Rows drawn evenly, the same distribution for every owner."""
    draw = np.random.default_rng(seed)
    target, history = draw.integers(0, count, targets), draw.integers(0, count, targets * length)
    offsets = np.arange(0, targets * length + 1, length)
    return FrozenRows(*(torch.from_numpy(x) for x in (target, history, offsets)))


def simtier_and_make(attention: MAKEAttention, tiers: int, table: Any, rows: FrozenRows) -> torch.Tensor:
    """SimTier forward, MAKE forward and backward."""
    attention.table = table
    attention.zero_grad()
    counts = table.tier_counts(rows, tiers)
    attention(rows).square().mean().backward()
    return counts


def contenders(job: dict[str, Any], stores: dict[str, FrozenStore]) -> dict[str, Callable[[FrozenRows], Any]]:
    """Name -> one step on one batch. Every step ends with this rank's results."""
    ranks = dist.get_world_size()
    fetched = Fetched(stores["float32"])
    attention = MAKEAttention(FrozenTable(stores["float32"]), job["hidden"])
    run = functools.partial(simtier_and_make, attention, job["tiers"])

    def counted(rows: FrozenRows) -> torch.Tensor:
        table, fetched_rows = fetched(rows)
        return table.tier_counts(fetched_rows, job["tiers"])

    steps: dict[str, Callable[[FrozenRows], Any]] = {
        "fetch": fetched,
        "fetch, SimTier": counted,
        "fetch, SimTier and MAKE": lambda rows: run(*fetched(rows)),
    }
    for dtype, store in stores.items():
        table = RowWiseTable(store, dist.new_group(), room=ranks * job["targets"])
        steps[f"ours {dtype}, SimTier"] = functools.partial(table.tier_counts, num_tiers=job["tiers"])
        steps[f"ours {dtype}, SimTier and MAKE"] = functools.partial(run, table)
    return steps


def main() -> None:
    job = read_job()
    torch.set_num_threads(1)
    dist.init_process_group("gloo")
    rank = dist.get_rank()
    stores = {dtype: FrozenStore.open(path) for dtype, path in job["stores"].items()}
    steps = contenders(job, stores)
    batches = [(lambda s=s: batch(rank + 100 * s, job["rows"], job["targets"], job["length"])) for s in range(BATCHES)]
    expected = steps["fetch, SimTier"](batches[0]())
    assert torch.equal(steps["ours float32, SimTier"](batches[0]()), expected), (
        "a time without the right answer is none"
    )
    times: dict[str, list[float]] = {name: [] for name in steps}
    sent: dict[str, float] = {}
    for _ in range(job["rounds"]):
        for name, step in steps.items():
            fresh = [draw() for draw in batches]  # an exchange stays with its rows
            step(batches[0]())
            dist.barrier()
            before, start = sent_bytes(), time.perf_counter()
            for rows in fresh:
                step(rows)
            seconds = time.perf_counter() - start
            figures = torch.tensor([seconds, sent_bytes() - before], dtype=torch.float64)
            every = [torch.empty_like(figures) for _ in range(dist.get_world_size())]
            dist.all_gather(every, figures)
            times[name].append(max(float(f[0]) for f in every) / BATCHES * 1e3)
            sent[name] = sum(float(f[1]) for f in every) / BATCHES
    if rank == 0:
        write_result({name: {"samples_ms": times[name], "bytes": sent[name]} for name in steps})
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
