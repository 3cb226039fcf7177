"""A run's settings: YAML files plus key.sub=value overrides, checked before torch is imported."""

from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Any, Literal, TypeVar

from omegaconf import OmegaConf
from pydantic import Field, SerializeAsAny, model_validator

from embeddings.errors import InputError, nearest
from embeddings.planner.sharding_types import ShardingType
from embeddings.planner.table_constraint import TableConstraint
from embeddings.yaml_file import load_yaml, parse_yaml
from recsys.models.config import ArchConfig
from recsys.schema import Schema
from recsys.validation import Strict, todays_key, validated


class DenseOptimizerConfig(Strict):
    """AdamW on everything but the tables."""

    lr: float = Field(1e-3, gt=0)
    weight_decay: float = Field(0.0, ge=0)
    eps: float = Field(1e-8, gt=0)


class SparseOptimizerConfig(Strict):
    """The tables' optimizer, fused into the backward."""

    name: Literal["rowwise_adagrad", "adagrad", "sgd"] = "rowwise_adagrad"
    lr: float = Field(0.02, gt=0)
    eps: float = Field(1e-8, gt=0, description="sgd has none")
    weight_decay: float = Field(0.0, ge=0, description="0 alone, for configs that name it: fused tables have none")

    @model_validator(mode="after")
    def _no_decay(self) -> "SparseOptimizerConfig":
        if self.weight_decay:
            raise ValueError(
                f"weight_decay is {self.weight_decay}, but FBGEMM's fused optimizers on CPU leave it out, so what it "
                f"does would depend on the sharding plan; set it to 0"
            )
        return self


class ShardingConfig(Strict):
    """What the embedding-sharding planner may choose from."""

    sharding_types: list[ShardingType] | None = Field(
        None, description="for every table not named below; null: the planner's choice, on CPU small ones whole"
    )
    tables: dict[str, TableConstraint] = {}
    plan: str | None = Field(
        None, description="plan.json of python -m embeddings.plan to use as it is; null: plan at the start"
    )
    hardware: str | None = Field(
        None, description="a shipped part or a YAML file whose speeds the planner uses; null: the part nearest to "
        "this machine; memory is always this machine's own"
    )  # fmt: skip


class SplitsConfig(Strict):
    """Which splits a run learns from, is judged by and is reported on."""

    path: str = Field(description="folder with the splits")
    train: str = Field("train", description="split to learn from")
    validation: str = Field("validation", description="split that chooses the epoch")
    test: str | None = Field("test", description="split that is only reported; null skips it")


class LoopConfig(Strict):
    """The loop that every kind of training shares."""

    epochs: int = Field(1, ge=1)
    max_steps: int | None = Field(None, ge=1, description="stop after so many steps in all")
    seed: int = 0
    clip_grad_norm: float | None = Field(10.0, gt=0, description="of the dense gradients; null does not clip")
    autocast: Literal["auto", "bfloat16", "off"] = Field("auto", description="auto: bfloat16 on CUDA, off elsewhere")
    log_every: int = Field(50, ge=1, description="steps of an epoch between rows of metrics.jsonl")
    evaluate_every: int = Field(
        1, ge=1, description="epochs between validations; the last one is always followed by one"
    )
    patience: int | None = Field(None, ge=1, description="stop after so many validations without a better one")
    checkpoint_every: int | None = Field(None, ge=1, description="steps between checkpoints; null: at validations")
    checkpoint_minutes: float | None = Field(
        None, gt=0, description="minutes between checkpoints, on top of the others"
    )
    keep: int = Field(2, ge=1, description="checkpoints kept besides the best")


def autocast_on(autocast: str, device_type: str) -> Literal["bfloat16", "off"]:
    """What ``train.autocast`` means on a kind of device, cpu or cuda."""
    return "bfloat16" if autocast == "bfloat16" or (autocast == "auto" and device_type == "cuda") else "off"


class TrainConfig(LoopConfig):
    """The loop."""

    reset_tables: Literal["never", "each_epoch"] = Field(
        "never",
        description="each_epoch: tables and their optimizer begin anew with every epoch, the dense part goes on (MEDA)",
    )
    warmup_steps: int = Field(100, ge=0, description="linear warm-up of both learning rates")
    select: Literal["gauc", "auc", "ne", "log_loss"] = Field(
        "gauc", description="validation metric that picks the best epoch"
    )


class DataConfig(SplitsConfig):
    """Where rows come from and how they are read."""

    path: str = Field(description="folder with schema.yaml and the splits")
    batch_size: int = Field(1024, ge=1, description="rows a step and rank")
    eval_batch_size: int = Field(8192, ge=1, description="rows a step and rank in evaluation")
    shuffle_rows: int = Field(262_144, ge=0, description="rows shuffled together; 0 keeps the files' order")
    workers: int = Field(1, ge=1, description="reading threads a rank")
    prefetch: int = Field(8, ge=1, description="batches each worker reads ahead")
    on_corrupt: Literal["error", "skip"] = Field(
        "error", description="row groups that cannot be decoded: end, or go on without them, counted"
    )


class ProcessConfig(Strict):
    """The ranks."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int | None = Field(
        None, ge=1, description="torch threads a rank; null: the machine's cores over its ranks"
    )
    timeout_s: int = Field(600, ge=10, description="longest wait for another rank")
    grace_s: int = Field(25, ge=1, description="longest wait, after SIGTERM or ^C, for a checkpoint")


class RunConfig(Strict):
    """Where results go."""

    name: str | None = Field(None, description="folder below root; null: the config's file name")
    root: str = "runs"
    resume: bool | Literal["auto"] = Field(
        False, description="go on from the run's newest checkpoint; `auto`: where there is one, else start"
    )
    overwrite: bool = Field(False, description="delete an existing run of that name first")


class RunSettings(Strict):
    """The settings of a command that trains; each kind of training has more sections, and more keys in these."""

    data: SplitsConfig
    train: LoopConfig = LoopConfig()
    process: ProcessConfig = ProcessConfig()
    run: RunConfig = RunConfig()

    @model_validator(mode="after")
    def _consistent(self) -> "RunSettings":
        if self.run.resume and self.run.overwrite:
            raise ValueError("run.resume and run.overwrite exclude each other; keep one")
        return self

    @property
    def run_folder(self) -> str:
        return str(Path(self.run.root) / str(self.run.name))


Settings = TypeVar("Settings", bound=RunSettings)


class Config(RunSettings):
    data: DataConfig
    model: SerializeAsAny[ArchConfig] = Field(
        default_factory=lambda: ArchConfig.model_validate({}), description="the architecture and its settings"
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
        command: "make" puts the config's section of that name over the rest, below the overrides.
    """
    return load_settings(Config, path, overrides, command)


def load_settings(model: type[Settings], path: str, overrides: tuple[str, ...] = (), command: str = "") -> Settings:
    """The config in ``path`` with ``key.sub=value`` overrides on top. Raises InputError."""
    if not Path(path).is_file():
        raise InputError(f"config '{path}' does not exist; the shipped ones are in configs/")
    for item in overrides:
        if "=" not in item:
            raise InputError(f"override '{item}' is not of the form key.sub=value, such as train.epochs=2")
    try:
        merged: Any = load_yaml(path)  # a DictConfig, or what is refused below
        if command:
            own = merged.pop(command, {})
            merged = OmegaConf.merge(merged, own)
        given, plain = OmegaConf.create(), OmegaConf.to_container(merged)
        for item in overrides:
            key, _, value = item.partition("=")
            OmegaConf.update(given, todays_key(model, plain, key), parse_yaml(value))
        merged = OmegaConf.merge(merged, given)
        raw: Any = OmegaConf.to_container(merged, resolve=True)
    except Exception as error:  # the YAML parsers raise many kinds
        reason = " ".join(str(error).split())
        raise InputError(f"config '{path}' with {list(overrides)} is not readable as keys: {reason}") from error
    config = validated(model, raw, where=f"config '{path}'")
    if config.run.name is None:
        name = f"{Path(path).stem}-{command}" if command else Path(path).stem
        config = config.model_copy(update={"run": config.run.model_copy(update={"name": name})})
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


def save_config(config: RunSettings, path: str) -> None:
    """Write the resolved config as YAML."""
    OmegaConf.save(OmegaConf.create(config.model_dump()), path)
