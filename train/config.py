"""Settings that every kind of training shares, and their YAML files with key.sub=value overrides. Imports no torch."""

from pathlib import Path
from typing import Any, Literal, TypeVar

from pydantic import Field, TypeAdapter, ValidationError, field_validator, model_validator

from embeddings.errors import InputError, shown
from embeddings.files.file_name import file_names
from embeddings.files.plain_scalars import NULL
from embeddings.files.yaml_file import MOST_DEPTH, parse_plain, parse_yaml, read_yaml, write_yaml
from embeddings.validation import FileName, FileNames, LocalPath, Strict, todays_names, validated

# Far above what anybody uses, and what everything that takes the numbers can hold.
MOST_EPOCHS, MOST_STEPS, MOST_DAYS = 100_000, 10**12, 30
MOST_ROWS = 2**22  # of a batch
MOST_THREADS = 1024  # of a rank


class SplitsConfig(Strict):
    """Which splits a run learns from, is judged by and is reported on."""

    path: LocalPath = Field(description="folder with the splits")
    train: FileName = Field("train", description="split to learn from")
    validation: FileName = Field("validation", description="split that chooses the epoch")
    test: FileName | None = Field("test", description="split that is only reported; null skips it")


class LoopConfig(Strict):
    """Epochs, seed, clipping, validation, logging and checkpoints of a training loop."""

    epochs: int = Field(1, ge=1, le=MOST_EPOCHS)
    max_steps: int | None = Field(None, ge=1, le=MOST_STEPS, description="stop after so many steps in all")
    seed: int = Field(0, ge=-(10**18), le=10**18)
    clip_grad_norm: float | None = Field(10.0, gt=0, le=1e9, description="of the dense gradients; null does not clip")
    autocast: Literal["auto", "bfloat16", "off"] = Field("auto", description="auto: bfloat16 on CUDA, off elsewhere")
    log_every: int = Field(50, ge=1, le=MOST_STEPS, description="steps of an epoch between rows of metrics.jsonl")
    evaluate_every: int = Field(
        1, ge=1, le=MOST_EPOCHS, description="epochs between validations; the last one is always followed by one"
    )
    patience: int | None = Field(
        None, ge=1, le=MOST_EPOCHS, description="stop after so many validations without a better one"
    )
    checkpoint_every: int | None = Field(
        None, ge=1, le=MOST_STEPS, description="steps between checkpoints; null: at validations"
    )
    checkpoint_minutes: float | None = Field(
        None, gt=0, le=MOST_DAYS * 1440, description="minutes between checkpoints, on top of the others"
    )
    keep: int = Field(2, ge=1, le=MOST_EPOCHS, description="checkpoints kept besides the best")


def autocast_on(autocast: str, device_type: str) -> Literal["bfloat16", "off"]:
    """What ``train.autocast`` means on a kind of device, cpu or cuda."""
    return "bfloat16" if autocast == "bfloat16" or (autocast == "auto" and device_type == "cuda") else "off"


class ProcessConfig(Strict):
    """Device and threads of each process (rank); how long it waits for other ranks and for a checkpoint."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    threads: int | None = Field(
        None,
        ge=1,
        le=MOST_THREADS,
        description="torch threads a rank; null: OMP_NUM_THREADS (but torchrun's 1), else the usable cores over the "
        "machine's ranks",
    )
    timeout_s: int = Field(600, ge=10, le=MOST_DAYS * 86_400, description="longest wait for another rank")
    grace_s: int = Field(
        25, ge=1, le=86_400, description="longest wait, after a signal that saves or ^C, for a checkpoint"
    )


class RunConfig(Strict):
    """The folder of a run's results, and whether to resume or to overwrite it."""

    name: FileNames | None = Field(
        None, description="folder below root, which may be one in another (exp/one); null: the config's file name"
    )
    root: LocalPath = "runs"
    resume: bool | Literal["auto"] = Field(
        False, description="go on from the run's newest checkpoint; `auto`: where there is one, else start"
    )
    overwrite: bool = Field(False, description="delete an existing run of that name first")

    @field_validator("resume", mode="before")
    @classmethod
    def _known(cls, value: Any) -> bool | str:
        try:
            return value if value == "auto" else TypeAdapter(bool).validate_python(value)
        except ValidationError:
            raise ValueError(f"allowed: true, false, auto; got {shown(value)}") from None


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
        raise InputError(f"config {shown(path)} does not exist; the shipped ones are in configs/")
    given: dict[str, Any] = {}
    for item in overrides:
        key, found, value = item.partition("=")
        if not found:
            raise InputError(f"override {shown(item)} is not of the form key.sub=value, such as train.epochs=2")
        if key.count(".") > MOST_DEPTH:
            raise InputError(f"override {shown(item)} goes {key.count('.')} keys deep, and no setting does")
        _put(given, key.split("."), override_value(key, value))
    where = f"config '{path}'"
    base = read_yaml(path, "config")
    layers = [base, given]
    if command and isinstance(base, dict):
        where += f", with its section '{command}' over the rest"
        layers = [base, base.pop(command, None) or {}, given, given.pop(command, None) or {}]
    for layer in layers:
        if not isinstance(layer, dict):
            raise InputError(f"{where}: keys are expected, such as data: {{path: FOLDER}}, got {shown(layer)}")
    raw: dict[str, Any] = {}
    for layer in layers:
        raw = _merged(raw, todays_names(model, base, layer))
    config = validated(model, raw, where=where)
    if config.run.name is None:
        name = f"{Path(path).stem}-{command}" if command else Path(path).stem
        config = config.model_copy(update={"run": config.run.model_copy(update={"name": file_names(name)})})
    return config


def override_value(key: str, value: str) -> Any:
    """What the text after an override's first ``=`` stands for: itself, but for null, quotes, lists and mappings.

    So ``#``, ``:`` and blanks in a path stay, and the setting's type says whether ``5`` is a number.
    """
    if value != "~" and NULL.fullmatch(value):  # a lone ~ is the home folder here
        return None
    if value[0] in "[{" or (value[0] in "'\"" and value[-1] == value[0]):
        return parse_yaml(value, f"override {shown(f'{key}={value}')}, which begins as a list, mapping or quote,")
    return parse_plain(value, f"override {shown(f'{key}={value}')}")


def _put(mapping: dict[str, Any], keys: list[str], value: Any) -> None:
    """Set ``value`` at the path ``keys``."""
    for key in keys[:-1]:
        if not isinstance(mapping.get(key), dict):
            mapping[key] = {}
        mapping = mapping[key]
    mapping[keys[-1]] = value


def _merged(below: dict[str, Any], above: dict[str, Any]) -> dict[str, Any]:
    """``below`` with what ``above`` says put over it, key by key."""
    merged = dict(below)
    for key, value in above.items():
        old = merged.get(key)
        merged[key] = _merged(old, value) if isinstance(old, dict) and isinstance(value, dict) else value
    return merged


def save_config(config: RunSettings, path: str) -> None:
    """Write the resolved config as YAML, atomically."""
    write_yaml(path, config.model_dump())
