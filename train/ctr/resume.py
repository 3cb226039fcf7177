"""What a checkpoint says of a run beside its weights, and going on from it."""

from dataclasses import asdict
from typing import TYPE_CHECKING

from embeddings.planner.plan_json import plan_as_dict
from train.ctr.build import check_optimizer, check_stores
from train.run.lifecycle import Position

if TYPE_CHECKING:
    from train.ctr.trainer import Run


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
    found = run.checkpoints.to_resume(run.config.run.resume)
    if found is None:
        return 0
    path, progress = found
    check_optimizer(run.config, progress["config"])
    run.reader.load_state_dict(progress["reader"])
    check_stores(run.stores, progress["stores"])
    run.checkpoints.load(path, run.trainable, progress, seed=run.config.train.seed)
    run.position = Position.of(progress)
    run.position.batch = run.reader.batch_index  # of batches of this run's size
    if run.ranks.first:
        print(f"resumed from {path.name}: epoch {run.position.epoch + 1}, step {run.position.step}", flush=True)
    return progress["metrics"]["rows"]
