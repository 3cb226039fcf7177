"""Run identity: the settings that a run's result depends on. Runs that agree in all of them share a row of the report.

Every leaf of the resolved config is such a setting, whatever it is and whoever adds it, unless it is named below. It is
named only where it certainly cannot change a result: a setting too many makes two rows, which say in what they differ;
one too few would average over different models.
"""

from collections.abc import Iterator
from typing import Any

from train.config import autocast_on
from train.report.run_reader import RunRecord

WITHOUT_EFFECT = {
    "run": "where results are written, and whether a run starts or goes on",
    "process": "where ranks run and how long they wait; their number and the precision are in run.json",
    "make": "changes python -m train make, which merges it into the other keys before it starts",
    "train.seed": "what the runs of a row differ in",
    "train.log_every": "how often a row of metrics.jsonl is written",
    "train.checkpoint_every": "when a checkpoint is written; a run that goes on from one ends as if it had not stopped",
    "train.checkpoint_minutes": "the same",
    "train.keep": "how many checkpoints are kept",
    "data.prefetch": "how far reading threads work ahead; workers and batch_size decide the order of rows, it does not",
}
_PART_OF = {"num_tiers": "simtier", "make": "make"}  # key of a modality's settings -> the part that alone reads it
_BY_NAME, _FOR_OTHERS = "model.modalities", "model.multimodal"  # a modality's own settings, and those of all others


def identity(run: RunRecord) -> dict[str, Any]:
    """All that a run's result depends on but the seed, by dotted key.

    Beside the config's leaves: ``ranks``, ``vectors.MODALITY`` (the first digits of the store's checksum), and in place
    of ``train.autocast: auto`` what it means on the run's device.
    """
    unread = [*WITHOUT_EFFECT, *_unread(run)]
    settings = {k: v for k, v in run.settings.items() if not any(_within(k, key) for key in unread)}
    device = run.about.get("device")
    if settings.get("train.autocast") == "auto" and device:
        settings["train.autocast"] = autocast_on("auto", device)
    stores = run.about.get("stores") or {}
    vectors = {f"vectors.{name}": str(checksum)[:10] for name, checksum in stores.items()}
    return settings | {"data.path": run.data, "ranks": run.about.get("world_size")} | vectors


def _within(key: str, section: str) -> bool:
    return key == section or key.startswith(f"{section}.")


def _unread(run: RunRecord) -> Iterator[str]:
    """Keys, and sections of keys, that the run's model never reads; of a modality none where its mode is unknown."""
    if run.settings.get("model.arch", "din") == "din" and run.settings.get("model.interaction") == "concat":
        yield from ("model.cross_layers", "model.cross_rank")
    if run.modes is None:
        return
    named = {key.split(".")[2] for key in run.settings if key.startswith(f"{_BY_NAME}.")}
    for name in named & run.modes.keys():
        yield from _unread_by(f"{_BY_NAME}.{name}", [run.modes[name]])
    others = [mode for name, mode in run.modes.items() if name not in named]
    yield from _unread_by(_FOR_OTHERS, others) if others else [_FOR_OTHERS]


def _unread_by(section: str, of_modalities: list[str]) -> Iterator[str]:
    """Keys of ``section`` that no modality of these modes reads."""
    parts = {part for mode in of_modalities for part in mode.split("+")} - {"none"}
    yield from (f"{section}.{key}" for key, part in _PART_OF.items() if part not in parts)
    if not parts:
        yield f"{section}.placement"
