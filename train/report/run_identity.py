"""Run identity: the settings that a run's result depends on. Runs that agree in all of them share a row of the report.

Every leaf of the resolved config is such a setting, whatever it is and whoever adds it, unless it is named below. It is
named only where it certainly cannot change a result: a setting too many makes two rows, which say in what they differ;
one too few would average over different models.
"""

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


def identity(run: RunRecord) -> dict[str, Any]:
    """All that a run's result depends on but the seed, by dotted key.

    Beside the config's leaves: ``ranks``, ``schema`` (a digest of its meaning), ``vectors.MODALITY`` (the first digits
    of the store's checksum), and in place of ``train.autocast: auto`` what it means on the run's device.
    """
    unread = [] if run.model is None else run.model.unread_settings(run.modes)
    left_out = [*WITHOUT_EFFECT, *(f"model.{key}" for key in unread)]
    settings = {k: v for k, v in run.settings.items() if not any(_within(k, key) for key in left_out)}
    device = run.about.get("device")
    if settings.get("train.autocast") == "auto" and device:
        settings["train.autocast"] = autocast_on("auto", device)
    stores = run.about.get("stores") or {}
    vectors = {f"vectors.{name}": str(checksum)[:10] for name, checksum in stores.items()}
    schema = {"schema": run.about["schema"]} if run.about.get("schema") else {}  # older runs do not say
    return settings | {"data.path": run.data, "ranks": run.about.get("world_size")} | schema | vectors


def _within(key: str, section: str) -> bool:
    return key == section or key.startswith(f"{section}.")
