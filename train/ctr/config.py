"""Settings of a CTR run: architecture, optimizers, sharding, rows, loop. Imports no torch."""

from collections.abc import Collection, Iterable
from typing import Any, Literal

from pydantic import Field, SerializeAsAny, model_validator

from embeddings.errors import InputError, nearest
from embeddings.files.plain_scalars import typed
from embeddings.planner.sharding_types import (
    SHARDING_TYPES,
    ShardingType,
    allowed_types,
    possible_sharding_types,
)
from embeddings.planner.table_constraint import TableConstraint
from embeddings.validation import LocalPath, Strict
from recsys.models.arch_config import RegisteredArch, arch_config, make_alone
from recsys.schema import Schema
from train.config import MOST_ROWS, MOST_STEPS, LoopConfig, RunSettings, SplitsConfig, load_settings


class DenseOptimizerConfig(Strict):
    """AdamW on everything but the tables."""

    lr: float = Field(1e-3, gt=0, le=1e30)
    weight_decay: float = Field(0.0, ge=0, le=1000)
    eps: float = Field(1e-8, gt=0, le=1e3)


class SparseOptimizerConfig(Strict):
    """The tables' optimizer, fused into the backward."""

    name: Literal["rowwise_adagrad", "adagrad", "sgd"] = "rowwise_adagrad"
    lr: float = Field(0.02, gt=0, le=1e30)
    eps: float = Field(1e-8, gt=0, le=1e3, description="sgd has none")

    @model_validator(mode="before")
    @classmethod
    def _no_weight_decay(cls, raw: Any) -> Any:
        """Read 0, which configs have had, and refuse the rest: FBGEMM's fused optimizers leave it out on CPU."""
        if isinstance(raw, dict) and "weight_decay" in raw:
            raw = dict(raw)
            if decay := typed(raw.pop("weight_decay")):
                raise ValueError(
                    f"weight_decay is {decay!r}, which FBGEMM's fused optimizers leave out on CPU, so that it would "
                    f"depend on the sharding plan; remove it, or set it to 0 to score or go on with an old run"
                )
        return raw


class ShardingConfig(Strict):
    """What the embedding-sharding planner may choose from."""

    sharding_types: list[ShardingType] | None = Field(
        None,
        max_length=len(SHARDING_TYPES),
        description="for every table not named below; null: the planner's choice, on CPU small ones whole",
    )
    tables: dict[str, TableConstraint] = {}
    plan: LocalPath | None = Field(
        None, description="plan.json of python -m embeddings.plan to use as it is; null: plan at the start"
    )
    hardware: LocalPath | None = Field(
        None, description="a shipped part or a YAML file whose speeds the planner uses; null: the part nearest to "
        "this machine; memory is always this machine's own"
    )  # fmt: skip


class TrainConfig(LoopConfig):
    """The training loop: epochs, learning-rate warm-up, clipping, validation, logging, checkpoints."""

    reset_tables: Literal["never", "each_epoch"] = Field(
        "never",
        description="each_epoch: tables and their optimizer begin anew with every epoch, the dense part goes on (MEDA)",
    )
    warmup_steps: int = Field(100, ge=0, le=MOST_STEPS, description="linear warm-up of both learning rates")
    select: Literal["gauc", "auc", "ne", "log_loss"] = Field(
        "gauc", description="validation metric that picks the best epoch"
    )


class DataConfig(SplitsConfig):
    """Where rows come from and how they are read."""

    path: LocalPath = Field(description="folder with schema.yaml and the splits")
    batch_size: int = Field(1024, ge=1, le=MOST_ROWS, description="rows a step and rank")
    eval_batch_size: int = Field(8192, ge=1, le=MOST_ROWS, description="rows a step and rank in evaluation")
    shuffle_rows: int = Field(262_144, ge=0, le=10**9, description="rows shuffled together; 0 keeps the files' order")
    workers: int = Field(1, ge=1, le=256, description="reading threads a rank")
    prefetch: int = Field(8, ge=1, le=1024, description="batches each worker reads ahead")
    on_corrupt: Literal["error", "skip"] = Field(
        "error", description="row groups that cannot be decoded: end, or go on without them, counted"
    )


class Config(RunSettings):
    data: DataConfig
    model: SerializeAsAny[RegisteredArch] = Field(
        default_factory=lambda: arch_config({}), description="the architecture and its settings"
    )
    dense_optimizer: DenseOptimizerConfig = DenseOptimizerConfig()
    sparse_optimizer: SparseOptimizerConfig = SparseOptimizerConfig()
    sharding: ShardingConfig = ShardingConfig()
    train: TrainConfig = TrainConfig()
    make: dict[str, Any] = Field(
        {}, description="what python -m train make changes: any of these keys, such as train: {epochs: 10}"
    )


def load_config(path: str, overrides: tuple[str, ...] = (), command: str = "") -> Config:
    """The CTR config in ``path`` with overrides on top. Raises InputError.

    Args:
        command: "make" puts the section of that name over the rest, in the config and among the overrides.
    """
    config = load_settings(Config, path, overrides, command)
    if config.make:  # and no command: what is wrong in the section is told by all commands
        load_settings(Config, path, overrides, "make")
    return config


def check_names(config: Config, schema: Schema) -> None:
    """Refuse names in the config that the data set's schema does not have. Raises InputError naming the nearest."""
    sections: list[tuple[str, Iterable[str], Collection[str]]] = [
        *((key, names, schema.modalities) for key, names in config.model.named_modalities.items()),
        ("sharding.tables", config.sharding.tables, schema.tables),
    ]
    for section, names, known in sections:
        for name in names:
            if name not in known:
                hint = nearest(name, known) or f"; schema.yaml has {sorted(known) or 'none'}"
                raise InputError(f"{section} names '{name}', which is not in the schema of '{config.data.path}'{hint}")


def check_sharding(config: Config, schema: Schema) -> None:
    """Refuse sharding types that the schema's tables cannot have on any number of ranks. Raises InputError."""
    device = "cuda" if config.process.device == "cuda" else "cpu"
    for name, table in schema.tables.items() if config.model.has_tables else ():
        columns = table.embedding_dim or config.model.embedding_dim
        possible = possible_sharding_types(table.num_embeddings, columns, table.ids == "zch", device)
        own = config.sharding.tables.get(name)
        types = own.sharding_types if own else config.sharding.sharding_types
        allowed_types(name, types or possible[0], own is not None, possible)


def make_alone_config(name: str, config: Config, schema: Schema) -> Config:
    """The config of the run that trains the MAKE of modality ``name``. Raises InputError where there is no such one."""
    if name not in schema.modalities:
        hint = nearest(name, schema.modalities) or f"; there are {sorted(schema.modalities)}"
        raise InputError(f"--modality '{name}' is not in the schema of '{config.data.path}'{hint}")
    return config.model_copy(
        update={
            "model": make_alone(config.model, name),
            "run": config.run.model_copy(update={"root": config.run_folder, "name": name}),
            "sharding": config.sharding.model_copy(update={"plan": None, "tables": {}}),
        }
    )
