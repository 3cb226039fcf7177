"""TorchRec sharders that offer every sharding type, this machine's Hardware, and plans as TorchRec's ShardingPlan."""

import warnings
from typing import Any

import torch
from torch import nn
from torch.distributed._shard.sharding_spec import EnumerableShardingSpec, ShardMetadata
from torchrec.distributed import types as torchrec_types
from torchrec.distributed.embeddingbag import EmbeddingBagCollectionSharder, ShardedEmbeddingBagCollection

from embeddings.empty_shards import skip_empty_groups
from embeddings.errors import InputError
from embeddings.host_memory import host_bytes
from embeddings.planner.hardware import GIB, Hardware, load_hardware
from embeddings.planner.sharding_plan import ParameterSharding, ShardingPlan
from embeddings.planner.sharding_types import SHARDING_TYPES
from embeddings.sequences import SequenceSharder
from embeddings.tables import module_name
from embeddings.zch import zch_sharders

_PARTS = {"H200": "h200", "H100": "h100-80", "L4": "l4", "A100": "a100-40"}  # as CUDA names devices


class BagSharder(EmbeddingBagCollectionSharder):
    """Shards an EmbeddingBagCollection in any sharding type on any device.

    Row-wise types run on gloo too, though TorchRec hides them on CPU.
    """

    def sharding_types(self, compute_device_type: str) -> list[str]:
        return list(SHARDING_TYPES)

    def shard(self, *args: Any, **kwargs: Any) -> ShardedEmbeddingBagCollection:
        sharded = super().shard(*args, **kwargs)
        skip_empty_groups(sharded)
        return sharded


def sharders() -> list[torchrec_types.ModuleSharder[nn.Module]]:
    """Sharders of all four collections: bags and sequences, each without and with ZCH."""
    return [BagSharder(), SequenceSharder(), *zch_sharders(BagSharder(), SequenceSharder())]


def this_machine(device: torch.device, ranks_of_host: int, speeds: str | None = None) -> Hardware:
    """Hardware of the machine that runs this: its own memory, and the speeds of the shipped part nearest to it.

    Args:
        ranks_of_host: ranks on this host.
        speeds: shipped part or YAML file whose speeds are taken instead.

    Raises InputError where ``speeds`` is of another kind of device.
    """
    host_gib = host_bytes() / GIB
    name, hbm_gib = "cpu-host", 0.0
    if device.type == "cuda":
        properties = torch.cuda.get_device_properties(device)
        hbm_gib = properties.total_memory / GIB
        words = properties.name.replace("-", " ").split()
        known = next((_PARTS[w] for w in words if w in _PARTS), None)
        name = known or "a100-40"
        if name == "a100-40" and hbm_gib > 60:
            name = "a100-80"
        if known is None and speeds is None:
            warnings.warn(
                f"no speeds of '{properties.name}' ship with the planner; it takes this device's own memory and "
                f"the speeds of {name}, so its times may be far off: describe the device in a file, docs/planner.md "
                f"says how, and name it with sharding.hardware=FILE or --hardware FILE",
                stacklevel=2,
            )
    hardware = load_hardware(speeds or name)
    if hardware.device != device.type:
        raise InputError(f"sharding.hardware '{speeds}' describes {hardware.device}, this run is on {device.type}")
    return hardware.with_(ddr_gib=host_gib, hbm_gib=hbm_gib, local_world_size=ranks_of_host)


def torchrec_plan(plan: ShardingPlan) -> torchrec_types.ShardingPlan:
    """``plan`` as TorchRec's ShardingPlan, which DistributedModelParallel takes."""
    modules: dict[str, torchrec_types.EmbeddingModuleShardingPlan] = {}
    for name, sharding in plan.tables.items():
        module = modules.setdefault(sharding.module, torchrec_types.EmbeddingModuleShardingPlan())
        module[module_name(name)] = _parameter(sharding, plan)
    return torchrec_types.ShardingPlan(dict(modules))


def _parameter(sharding: ParameterSharding, plan: ShardingPlan) -> torchrec_types.ParameterSharding:
    spec = None
    if sharding.sharding_type != "data_parallel":
        spec = EnumerableShardingSpec(
            [
                ShardMetadata(
                    shard_offsets=[row, column],
                    shard_sizes=[height, width],
                    placement=f"rank:{rank}/{_device(plan, rank)}",
                )
                for row, column, height, width, rank in sharding.shards.tolist()
            ]
        )
    return torchrec_types.ParameterSharding(
        sharding_spec=spec,
        sharding_type=sharding.sharding_type,
        compute_kernel=sharding.compute_kernel,
        ranks=sharding.ranks,
    )


def _device(plan: ShardingPlan, rank: int) -> str:
    return "cpu" if plan.device == "cpu" else f"{plan.device}:{rank % plan.ranks_of_host}"
