"""Between the planner and TorchRec: sharders that offer what truly runs, this machine, plans as TorchRec wants them."""

import warnings

import torch
from torch import nn
from torch.distributed._shard.sharding_spec import EnumerableShardingSpec, ShardMetadata
from torchrec.distributed.embeddingbag import EmbeddingBagCollectionSharder
from torchrec.distributed.types import EmbeddingModuleShardingPlan, ModuleSharder, ParameterSharding, ShardingPlan

from embeddings.errors import InputError
from embeddings.host_memory import host_bytes
from embeddings.planner.hardware import GIB, Hardware, load_hardware
from embeddings.planner.shard_layout import TYPES
from embeddings.planner.sharding_plan import Placed, Plan
from embeddings.sequences import SequenceSharder
from embeddings.tables import module_name
from embeddings.zch import managed_sharders

_PARTS = {"H200": "h200", "H100": "h100-80", "L4": "l4", "A100": "a100-40"}  # as CUDA names devices


class BagSharder(EmbeddingBagCollectionSharder):
    """Offers every sharding type on every device: row-wise ones run on gloo too, though TorchRec hides them on CPU."""

    def sharding_types(self, compute_device_type: str) -> list[str]:
        return list(TYPES)


def sharders() -> list[ModuleSharder[nn.Module]]:
    return [BagSharder(), SequenceSharder(), *managed_sharders(BagSharder(), SequenceSharder())]


def this_machine(device: torch.device, ranks_of_host: int, speeds: str | None = None) -> Hardware:
    """The machine that runs this: its own memory, and the speeds of ``speeds`` or of the shipped part nearest to it.

    Raises InputError where ``speeds`` is of another kind of device.
    """
    host_gib = host_bytes() / GIB
    name, hbm_gib = "cpu-host", 0.0
    if device.type == "cuda":
        found = torch.cuda.get_device_properties(device)
        hbm_gib = found.total_memory / GIB
        words = found.name.replace("-", " ").split()
        known = next((_PARTS[w] for w in words if w in _PARTS), None)
        name = known or "a100-40"
        if name == "a100-40" and hbm_gib > 60:
            name = "a100-80"
        if known is None and speeds is None:
            warnings.warn(
                f"no speeds of '{found.name}' ship with the planner; it takes this device's own memory and the speeds "
                f"of {name}, so its times may be far off: describe the device in a file, docs/planner.md says how, and "
                f"name it with sharding.hardware=FILE or --hardware FILE",
                stacklevel=2,
            )
    hardware = load_hardware(speeds or name)
    if hardware.device != device.type:
        raise InputError(f"sharding.hardware '{speeds}' describes {hardware.device}, this run is on {device.type}")
    return hardware.with_(ddr_gib=host_gib, hbm_gib=hbm_gib, local_world_size=ranks_of_host)


def torchrec_plan(plan: Plan) -> ShardingPlan:
    """``plan`` as TorchRec wants it."""
    modules: dict[str, EmbeddingModuleShardingPlan] = {}
    for name, placed in plan.tables.items():
        modules.setdefault(placed.module, EmbeddingModuleShardingPlan())[module_name(name)] = _parameter(placed, plan)
    return ShardingPlan(dict(modules))


def _parameter(placed: Placed, plan: Plan) -> ParameterSharding:
    spec = None
    if placed.sharding_type != "data_parallel":
        spec = EnumerableShardingSpec(
            [
                ShardMetadata(
                    shard_offsets=[row, column],
                    shard_sizes=[height, width],
                    placement=f"rank:{rank}/{_device(plan, rank)}",
                )
                for row, column, height, width, rank in placed.shards.tolist()
            ]
        )
    return ParameterSharding(
        sharding_spec=spec,
        sharding_type=placed.sharding_type,
        compute_kernel=placed.compute_kernel,
        ranks=placed.ranks,
    )


def _device(plan: Plan, rank: int) -> str:
    return "cpu" if plan.device == "cpu" else f"{plan.device}:{rank % plan.ranks_of_host}"
