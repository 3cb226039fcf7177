"""Settings of near-line training beside the run's config: stream, model folder, how often what is published."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from embeddings.errors import InputError
from train.ctr.config import Config

NAME = "nearline"  # of a training's folder, in that of the CTR run


@dataclass(frozen=True, kw_only=True)
class NearlineSettings:
    """
    stream      folder of numbered files
    first       number of its first file
    checkpoint  of the CTR run, that is trained on from: best, newest or a folder's name
    model       folder of the exported model that is published to; None publishes nothing
    publish_s   seconds between deltas
    full_every  deltas of a version before the next full one
    keep        full versions that stay
    dtype, dtypes  of the tables: of all, and table -> of some
    stop_after  files after which to end; None: at the stream's end
    """

    stream: str
    first: int = 1
    checkpoint: str = "newest"
    model: str | None = None
    publish_s: float = 10.0
    full_every: int = 100
    keep: int = 3
    dtype: str = "float32"
    dtypes: Mapping[str, str] = field(default_factory=dict)
    stop_after: int | None = None


def nearline_config(config: Config) -> Config:
    """The config of the training in the folder ``nearline`` of the run that ``config`` is of."""
    run = {"root": config.run_folder, "name": NAME, "resume": "auto", "overwrite": False}
    loop = {"checkpoint_minutes": config.train.checkpoint_minutes or 1.0}
    return config.model_copy(
        update={"run": config.run.model_copy(update=run), "train": config.train.model_copy(update=loop)}
    )


def refuse_nothing_to_do(config: Config, settings: NearlineSettings) -> None:
    """Raise InputError where the stream or the CTR run is not there."""
    if not Path(settings.stream).is_dir():
        raise InputError(f"stream '{settings.stream}' is no folder; make it, or fix --stream")
    if not Path(config.run_folder, "checkpoints").is_dir():
        raise InputError(
            f"'{config.run_folder}' has no checkpoints to train on from; train it first by python -m train ctr, or "
            "name another run by run.name"
        )
