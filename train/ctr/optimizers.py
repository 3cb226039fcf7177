"""Optimizers of a CTR model: fused into the backward of sharded tables, plain for replicated ones, AdamW elsewhere."""

import torch
import torchrec.optim
from torch.distributed.optim import _apply_optimizer_in_backward as apply_in_backward
from torchrec.distributed.model_parallel import DistributedModelParallel
from torchrec.optim.clipping import GradientClipping, GradientClippingOptimizer
from torchrec.optim.keyed import CombinedOptimizer, KeyedOptimizer, KeyedOptimizerWrapper
from torchrec.optim.warmup import WarmupOptimizer, WarmupPolicy, WarmupStage

from embeddings.planner.sharding_plan import ShardingPlan
from embeddings.tables import schema_name
from recsys.models.ctr import CTRModel
from train.ctr.config import Config

WARMUP = "__warmup"  # how the state of a warm-up ends in an optimizer's state dict
_SPARSE_OPTIMIZERS = {
    "rowwise_adagrad": torchrec.optim.RowWiseAdagrad,
    "adagrad": torch.optim.Adagrad,
    "sgd": torch.optim.SGD,
}


def _sparse_settings(config: Config) -> dict[str, float]:
    c = config.sparse_optimizer
    return {"lr": c.lr} if c.name == "sgd" else {"lr": c.lr, "eps": c.eps}


def fuse_sparse_optimizer(model: CTRModel, plan: ShardingPlan, config: Config) -> set[str]:
    """Give every sharded table its optimizer in backward; return the names of replicated tables, which cannot."""
    replicated = {table for table, placed in plan.tables.items() if placed.sharding_type == "data_parallel"}
    weights = [(name, p) for name, p in model.sparse.named_parameters() if p.requires_grad]  # a ZCH table's ids do not
    fused = [p for name, p in weights if schema_name(name.split(".")[-2]) not in replicated]
    apply_in_backward(_SPARSE_OPTIMIZERS[config.sparse_optimizer.name], fused, _sparse_settings(config))
    return replicated


def build_optimizer(model: DistributedModelParallel, replicated: set[str], config: Config) -> CombinedOptimizer:
    """Fused tables, replicated tables and dense parameters, each warmed up; the dense gradients clipped."""
    tables, dense = {}, {}
    assert all(name.startswith("sparse.") for name in model.fused_optimizer.params)
    for name, parameter in model.named_parameters():
        if not name.startswith("sparse."):
            if parameter.requires_grad:  # a frozen MAKE's do not
                dense[name] = parameter
        elif schema_name(name.split(".")[-2]) in replicated:  # others are fused; another rank's are here as empty ones
            tables[name] = parameter
    sparse = _SPARSE_OPTIMIZERS[config.sparse_optimizer.name]
    parts: list[KeyedOptimizer | tuple[str, KeyedOptimizer]] = []
    if model.fused_optimizer.params:
        parts.append(("fused", _warmed_up(model.fused_optimizer, config, config.sparse_optimizer.lr)))
    if tables:
        keyed = KeyedOptimizerWrapper(tables, lambda p: sparse(p, **_sparse_settings(config)))
        parts.append(("replicated", _warmed_up(keyed, config, config.sparse_optimizer.lr)))
    adam = config.dense_optimizer
    others: KeyedOptimizer = KeyedOptimizerWrapper(
        dense, lambda p: torch.optim.AdamW(p, lr=adam.lr, weight_decay=adam.weight_decay, eps=adam.eps, fused=True)
    )
    if config.train.clip_grad_norm is not None:
        others = GradientClippingOptimizer(others, GradientClipping.NORM, config.train.clip_grad_norm)
    parts.append(("dense", _warmed_up(others, config, adam.lr)))
    return CombinedOptimizer(parts)


def _warmed_up(optimizer: KeyedOptimizer, config: Config, lr: float) -> KeyedOptimizer:
    steps = config.train.warmup_steps
    stages = [WarmupStage(WarmupPolicy.LINEAR, max_iters=steps, value=1.0 / (steps + 1))] if steps else []
    return WarmupOptimizer(optimizer, stages, lr)


def fill_optimizer_state(optimizers: CombinedOptimizer) -> None:
    """Make the state that torch's optimizers make at their first step, so that a checkpoint's can be loaded into it.

    Steps once with zero gradients, which may decay the weights: load them afterwards.
    """
    for part, optimizer in optimizers.optimizers:
        for parameter in optimizer.params.values():
            if part != "fused":
                parameter.grad = torch.zeros_like(parameter)
    optimizers.step()
