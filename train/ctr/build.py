"""Builds the parts of a CTR run from its config: stores, readers, the sharded model, its optimizer."""

from collections.abc import Mapping
from typing import Any

import torch
from torchrec.distributed.model_parallel import DistributedModelParallel
from torchrec.distributed.types import ShardingEnv

from embeddings.errors import InputError
from embeddings.frozen.vector_store import VectorStore
from embeddings.initialise import initialise_tables
from embeddings.planner.advice import advice
from embeddings.planner.check_plan import check_plan
from embeddings.planner.no_plan import NoPlan
from embeddings.planner.plan_json import load_plan
from embeddings.planner.plan_search import PlanSearch
from embeddings.planner.sharding_plan import ShardingPlan
from embeddings.planner.topology import Topology
from embeddings.sharding import sharders, this_machine, torchrec_plan
from embeddings.zch import check_zch
from recsys.models.ctr import CTRModel
from recsys.models.sparse import table_configs
from recsys.schema import Schema, zch_tables
from train.ctr.build_planner_input import build_planner_input
from train.ctr.config import Config
from train.ctr.frozen_tables import frozen_tables
from train.ctr.optimizers import build_optimizer, fuse_sparse_optimizer
from train.ctr.trainable import Trainable
from train.data.reader import RowReader
from train.distributed.device import autocast_dtype
from train.distributed.ranks import Ranks, on_first


def build_reader(
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


def check_stores(stores: Mapping[str, VectorStore], trained_with: Mapping[str, str]) -> None:
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


def check_select(config: Config, progress: Mapping[str, Any]) -> None:
    """Refuse to compare epochs by another metric than the one that chose the best so far. Raises InputError."""
    ours = config.train.select
    theirs = progress["config"].get("train", {}).get("select", ours)
    if ours != theirs and progress.get("best") is not None:
        raise InputError(
            f"train.select is {ours}, but the run's best epoch so far was chosen by {theirs}; set it back to {theirs}, "
            "or start a new run"
        )


def build(
    schema: Schema, config: Config, stores: Mapping[str, VectorStore], mean_lengths: Mapping[str, float], ranks: Ranks
) -> Trainable:
    """Model on the meta device -> plan -> DistributedModelParallel -> weights -> optimizers.

    Args:
        mean_lengths: feature -> mean ids a row, for the planner.
    """
    tables = table_configs(schema, config.model.embedding_dim, mean_lengths) if config.model.has_tables else []
    check_zch(zch_tables(schema) if tables else {}, ranks.device.type, ranks.world_size)
    plan = on_first(ranks, lambda: choose_plan(schema, config, stores, mean_lengths, ranks))
    torch.manual_seed(config.train.seed)  # dense weights: the same on every rank
    frozen = frozen_tables(stores, plan.frozen, config, ranks)
    model = CTRModel(schema, config.model, tables, frozen, autocast_dtype(config.train.autocast, ranks.device))
    dense_parameters = sum(p.numel() for p in model.dense.parameters())
    replicated = fuse_sparse_optimizer(model, plan, config)
    world = torch.distributed.group.WORLD
    assert world is not None
    sharded = DistributedModelParallel(
        module=model,
        env=ShardingEnv.from_process_group(world),
        device=ranks.device,
        plan=torchrec_plan(plan),
        sharders=sharders(),
    )
    initialise_tables(sharded, config.train.seed)
    torch.manual_seed(config.train.seed + 1 + ranks.rank)  # dropout: different on every rank
    return Trainable(sharded, build_optimizer(sharded, replicated, config), plan, dense_parameters)


def choose_plan(
    schema: Schema, config: Config, stores: Mapping[str, VectorStore], mean_lengths: Mapping[str, float], ranks: Ranks
) -> ShardingPlan:
    """The plan in sharding.plan, or the planner's choice for this machine.

    Raises InputError where that plan is of another model or other ranks, and, with advice, where nothing fits.
    """
    planner_input = build_planner_input(config, schema, mean_lengths, stores)
    if config.sharding.plan is not None:
        plan = load_plan(config.sharding.plan)
        local = ranks.local_world_size
        check_plan(plan, planner_input, ranks.world_size, local, ranks.device.type, config.sharding.plan)
        return plan
    hardware = this_machine(ranks.device, ranks.local_world_size, config.sharding.hardware)
    try:
        return PlanSearch(planner_input, Topology.of(hardware, ranks.world_size)).best().plan
    except NoPlan as none:
        raise InputError(advice(planner_input, hardware, ranks.world_size, none)) from None
