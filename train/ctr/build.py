"""A run's parts from its config: readers, frozen tables, the sharded model, its optimizer."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import torchrec.optim
from torch import nn
from torch.distributed.optim import _apply_optimizer_in_backward as apply_in_backward
from torchrec.distributed.model_parallel import DistributedModelParallel
from torchrec.distributed.types import ShardingEnv
from torchrec.optim.clipping import GradientClipping, GradientClippingOptimizer
from torchrec.optim.keyed import CombinedOptimizer, KeyedOptimizer, KeyedOptimizerWrapper
from torchrec.optim.warmup import WarmupOptimizer, WarmupPolicy, WarmupStage

from embeddings.errors import InputError
from embeddings.frozen.store import FrozenStore
from embeddings.initialise import initialise_tables
from embeddings.planner.advice import advice
from embeddings.planner.bin_packing import NoPlan
from embeddings.planner.cost_model import Machine
from embeddings.planner.search import Search
from embeddings.planner.sharding_plan import Plan, check_plan, load_plan
from embeddings.sharding import sharders, this_machine, torchrec_plan
from embeddings.tables import schema_name
from embeddings.zch import check_managed
from recsys.models.config import ArchConfig
from recsys.models.ctr import CTRModel
from recsys.models.sparse import table_configs
from recsys.schema import Schema, managed_tables
from train.config import Config
from train.ctr.frozen_tables import frozen_tables
from train.ctr.planner_input import build_planner_input
from train.data.reader import RowReader
from train.distributed.process_group import Ranks, on_first

_SPARSE_OPTIMIZERS = {
    "rowwise_adagrad": torchrec.optim.RowWiseAdagrad,
    "adagrad": torch.optim.Adagrad,
    "sgd": torch.optim.SGD,
}


@dataclass(frozen=True)
class Trainable:
    """A sharded model, the one optimizer over all of it, and how many parameters are dense."""

    model: DistributedModelParallel
    optimizer: CombinedOptimizer
    plan: Plan
    dense_parameters: int


def open_stores(schema: Schema, model: ArchConfig, folder: str) -> dict[str, FrozenStore]:
    """The stores of the modalities that the model uses, by modality."""
    return {
        name: FrozenStore.open(m.store if "://" in m.store else str(Path(folder) / m.store))
        for name, m in schema.modalities.items()
        if model.uses(name)
    }


def make_reader(
    config: Config,
    schema: Schema,
    stores: dict,
    ranks: Ranks,
    split: str,
    *,
    training: bool,
    with_labels: bool = True,
    in_order: bool = False,
) -> RowReader:
    """This rank's reader of ``split``: shuffled for training, not for evaluation.

    Args:
        in_order: one thread, so that batches come in the files' order; threads read a part each, in turns.
    """
    c = config.data
    return RowReader(
        c.path,
        split,
        schema,
        stores,
        batch_size=c.batch_size if training else c.eval_batch_size,
        rank=ranks.rank,
        world_size=ranks.world_size,
        seed=config.train.seed,
        shuffle_rows=c.shuffle_rows if training else 0,
        workers=1 if in_order else c.workers,
        prefetch=c.prefetch,
        with_labels=with_labels,
        skip_corrupt=c.on_corrupt == "skip",
    )


def check_stores(stores: Mapping[str, FrozenStore], trained_with: Mapping[str, str]) -> None:
    """Refuse a store whose checksum is not the one of ``trained_with`` (modality -> checksum). Raises InputError."""
    for name, store in stores.items():
        wanted = trained_with.get(name)
        if wanted is not None and wanted != store.checksum:
            raise InputError(
                f"frozen store '{store.path}' has checksum {store.checksum}, but the run was trained with {wanted}; "
                f"bring that store back, or train again"
            )


def check_optimizer(config: Config, saved: Mapping[str, Any]) -> None:
    """Refuse to go on with another tables' optimizer than that of the ``saved`` config. Raises InputError."""
    ours, theirs = config.sparse_optimizer.name, saved["sparse_optimizer"]["name"]
    if ours != theirs:
        raise InputError(
            f"sparse_optimizer.name is {ours}, but the checkpoint's is {theirs}, whose state it cannot go on with; "
            f"set it back to {theirs}, or start a new run"
        )


def build(
    schema: Schema, config: Config, stores: Mapping[str, FrozenStore], mean_lengths: Mapping[str, float], ranks: Ranks
) -> Trainable:
    """Model on the meta device -> plan -> DistributedModelParallel -> weights -> optimizers.

    Args:
        mean_lengths: feature -> mean ids a row, for the planner.
    """
    tables = table_configs(schema, config.model.embedding_dim, mean_lengths) if config.model.has_tables else []
    check_managed(managed_tables(schema) if tables else {}, ranks.device.type, ranks.world_size)
    plan = on_first(ranks, lambda: choose_plan(schema, config, stores, mean_lengths, ranks))
    torch.manual_seed(config.train.seed)  # dense weights: the same on every rank
    frozen = frozen_tables(stores, plan.frozen, config, ranks)
    model = CTRModel(schema, config.model, tables, frozen, _autocast(config, ranks.device))
    dense_parameters = sum(p.numel() for p in model.dense.parameters())
    replicated = _fuse_sparse_optimizer(model, plan, config)
    sharded = DistributedModelParallel(
        module=model,
        env=ShardingEnv.from_process_group(torch.distributed.group.WORLD),
        device=ranks.device,
        plan=torchrec_plan(plan),
        sharders=sharders(),
    )
    initialise_tables(sharded, config.train.seed)
    torch.manual_seed(config.train.seed + 1 + ranks.rank)  # dropout: different on every rank
    return Trainable(sharded, _optimizer(sharded, replicated, config), plan, dense_parameters)


def choose_plan(
    schema: Schema, config: Config, stores: Mapping[str, FrozenStore], mean_lengths: Mapping[str, float], ranks: Ranks
) -> Plan:
    """The plan in sharding.plan, or the planner's choice for this machine.

    Raises InputError where that plan is of another model or other ranks, and, with advice, where nothing fits.
    """
    problem = build_planner_input(config, schema, mean_lengths, stores)
    if config.sharding.plan is not None:
        plan = load_plan(config.sharding.plan)
        local = ranks.local_world_size
        check_plan(plan, problem, ranks.world_size, local, ranks.device.type, config.sharding.plan)
        return plan
    hardware = this_machine(ranks.device, ranks.local_world_size, config.sharding.hardware)
    try:
        return Search(problem, Machine.of(hardware, ranks.world_size)).best().plan
    except NoPlan as none:
        raise InputError(advice(problem, hardware, ranks.world_size, none)) from None


def fill_optimizer_state(trainable: Trainable) -> None:
    """Make the state that torch's optimizers make at their first step, so that a checkpoint's can be loaded into it.

    Steps once with zero gradients, which may decay the weights: load them afterwards.
    """
    for part, optimizer in trainable.optimizer.optimizers:
        for parameter in optimizer.params.values():
            if part != "fused":
                parameter.grad = torch.zeros_like(parameter)
    trainable.optimizer.step()


def _autocast(config: Config, device: torch.device) -> torch.dtype | None:
    wanted = config.train.autocast
    return torch.bfloat16 if wanted == "bfloat16" or (wanted == "auto" and device.type == "cuda") else None


def _sparse_settings(config: Config) -> dict[str, float]:
    c = config.sparse_optimizer
    eps = {} if c.name == "sgd" else {"eps": c.eps}
    return {"lr": c.lr, "weight_decay": c.weight_decay, **eps}


def _fuse_sparse_optimizer(model: nn.Module, plan: Plan, config: Config) -> set[str]:
    """Give every sharded table its optimizer in backward; return the names of replicated tables, which cannot."""
    replicated = {table for table, placed in plan.tables.items() if placed.sharding_type == "data_parallel"}
    weights = [
        (name, p) for name, p in model.sparse.named_parameters() if p.requires_grad
    ]  # a managed table's ids do not
    fused = [p for name, p in weights if schema_name(name.split(".")[-2]) not in replicated]
    apply_in_backward(_SPARSE_OPTIMIZERS[config.sparse_optimizer.name], fused, _sparse_settings(config))
    return replicated


def _optimizer(model: DistributedModelParallel, replicated: set[str], config: Config) -> CombinedOptimizer:
    """Fused tables, replicated tables and dense parameters, each warmed up; the dense gradients clipped."""
    tables, dense = {}, {}
    assert all(name.startswith("sparse.") for name in model.fused_optimizer.params)
    for name, parameter in model.named_parameters():
        if not name.startswith("sparse."):
            if parameter.requires_grad:  # a frozen MAKE's do not
                dense[name] = parameter
        elif schema_name(name.split(".")[-2]) in replicated:  # others are fused, another rank's table is an empty one
            tables[name] = parameter
    sparse = _SPARSE_OPTIMIZERS[config.sparse_optimizer.name]
    parts = []
    if model.fused_optimizer.params:
        parts.append(("fused", _warm(model.fused_optimizer, config, config.sparse_optimizer.lr)))
    if tables:
        keyed = KeyedOptimizerWrapper(tables, lambda p: sparse(p, **_sparse_settings(config)))
        parts.append(("replicated", _warm(keyed, config, config.sparse_optimizer.lr)))
    adam = config.dense_optimizer
    keyed = KeyedOptimizerWrapper(
        dense, lambda p: torch.optim.AdamW(p, lr=adam.lr, weight_decay=adam.weight_decay, eps=adam.eps, fused=True)
    )
    if config.train.clip_grad_norm is not None:
        keyed = GradientClippingOptimizer(keyed, GradientClipping.NORM, config.train.clip_grad_norm)
    parts.append(("dense", _warm(keyed, config, adam.lr)))
    return CombinedOptimizer(parts)


def _warm(optimizer: KeyedOptimizer, config: Config, lr: float) -> KeyedOptimizer:
    steps = config.train.warmup_steps
    stages = [WarmupStage(WarmupPolicy.LINEAR, max_iters=steps, value=1.0 / (steps + 1))] if steps else []
    return WarmupOptimizer(optimizer, stages, lr)
