"""What a checkpoint says of a run beside its weights, and going on from it."""

from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING

from embeddings.errors import InputError
from embeddings.planner.placed import plan_as_dict
from train.build import check_optimizer, check_stores
from train.process import on_first

if TYPE_CHECKING:
    from train.loop import Run


@dataclass
class Position:
    """How far the run has come: steps in all, the epoch, batches trained in it, the best validation so far."""

    step: int = 0
    epoch: int = 0
    batch: int = 0
    best: float | None = None
    best_epoch: int | None = None
    validated: int | None = None  # the step of the last validation


def save(run: "Run", best: bool) -> None:
    """Begin to save the run as it stands. All ranks call it."""
    progress = {
        **asdict(run.position),
        "reader": run.reader.state_dict(run.position.epoch, run.position.batch),
        "stores": {name: store.checksum for name, store in run.stores.items()},
        "config": run.config.model_dump(),
        "plan": plan_as_dict(run.trainable.plan),
        "metrics": {"rows": run.folder.rows, **run.folder.latest} if run.folder else None,
    }
    run.checkpoints.save(run.trainable, progress, best)


def resume(run: "Run") -> int:
    """Go on from the newest checkpoint that is whole; the rows of metrics.jsonl up to there. All ranks call it.

    Raises InputError where there is none, unless run.resume is auto, and where it is of another run: of other rows,
    another model or other stores.
    """
    found = run.checkpoints.newest_whole()
    if found is None and run.config.run.resume == "auto":
        return 0
    if found is None:
        raise InputError(f"run.resume is set, but '{run.checkpoints.path}' is empty; start it without run.resume")
    path, progress = found
    if progress["is_best"]:  # a kill may have come between the checkpoint's name and best.json
        on_first(run.ranks, lambda: run.checkpoints.folder.name_best(path.name))
    check_optimizer(run.config, progress["config"])
    run.reader.load_state_dict(progress["reader"])
    check_stores(run.stores, progress["stores"])
    run.checkpoints.load(path, run.trainable, progress, seed=run.config.train.seed)
    run.position = Position(**{f.name: progress[f.name] for f in fields(Position) if f.name in progress})
    run.position.batch = run.reader.batch_index  # of batches of this run's size
    if run.ranks.first:
        print(f"resumed from {path.name}: epoch {run.position.epoch + 1}, step {run.position.step}", flush=True)
    return progress["metrics"]["rows"]
