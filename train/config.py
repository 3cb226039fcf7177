"""Settings that every kind of training shares, and their YAML files with key.sub=value overrides. Imports no torch."""

from pathlib import Path
from typing import Any, Literal, TypeVar

from omegaconf import DictConfig, OmegaConf
from pydantic import Field, model_validator

from embeddings.errors import InputError
from embeddings.file_name import file_names
from embeddings.validation import FileName, FileNames, Strict, todays_names, validated
from embeddings.yaml_file import load_yaml, parse_yaml, write_yaml


class SplitsConfig(Strict):
    """Which splits a run learns from, is judged by and is reported on."""

    path: str = Field(description="folder with the splits")
    train: FileName = Field("train", description="split to learn from")
    validation: FileName = Field("validation", description="split that chooses the epoch")
    test: FileName | None = Field("test", description="split that is only reported; null skips it")


class LoopConfig(Strict):
    """Epochs, seed, clipping, validation, logging and checkpoints of a training loop."""

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


class ProcessConfig(Strict):
    """Device and threads of each process (rank); how long it waits for other ranks and for a checkpoint."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int | None = Field(
        None, ge=1, description="torch threads a rank; null: the machine's cores over its ranks"
    )
    timeout_s: int = Field(600, ge=10, description="longest wait for another rank")
    grace_s: int = Field(25, ge=1, description="longest wait, after SIGTERM or ^C, for a checkpoint")


class RunConfig(Strict):
    """The folder of a run's results, and whether to resume or to overwrite it."""

    name: FileNames | None = Field(
        None, description="folder below root, which may be one in another (exp/one); null: the config's file name"
    )
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


def load_settings(model: type[Settings], path: str, overrides: tuple[str, ...] = (), command: str = "") -> Settings:
    """The config in ``path`` with ``key.sub=value`` overrides on top. Raises InputError."""
    if not Path(path).is_file():
        raise InputError(f"config '{path}' does not exist; the shipped ones are in configs/")
    for item in overrides:
        if "=" not in item:
            raise InputError(f"override '{item}' is not of the form key.sub=value, such as train.epochs=2")
    try:
        base = load_yaml(path)
        if not isinstance(base, DictConfig):
            raise ValueError(f"it is {base!r}")
        layers = [base, base.pop(command, None) or {}] if command else [base]
        given = OmegaConf.create()
        for item in overrides:
            key, _, value = item.partition("=")
            OmegaConf.update(given, key, parse_yaml(value))
        plain: list[Any] = [OmegaConf.to_container(OmegaConf.create(layer)) for layer in (*layers, given)]
        merged = OmegaConf.merge(*(todays_names(model, plain[0], layer) for layer in plain))
        raw: Any = OmegaConf.to_container(merged, resolve=True)
    except Exception as error:  # the YAML parsers raise many kinds
        reason = " ".join(str(error).split())
        raise InputError(f"config '{path}' with {list(overrides)} is not readable as keys: {reason}") from error
    config = validated(model, raw, where=f"config '{path}'")
    if config.run.name is None:
        name = f"{Path(path).stem}-{command}" if command else Path(path).stem
        config = config.model_copy(update={"run": config.run.model_copy(update={"name": file_names(name)})})
    return config


def save_config(config: RunSettings, path: str) -> None:
    """Write the resolved config as YAML, atomically."""
    write_yaml(path, config.model_dump())
