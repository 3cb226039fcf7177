"""Checkpoints: model, optimizer, random states and data position, written beside and then renamed."""

import errno
import json
import shutil
from pathlib import Path
from typing import Any

import torch
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint.api import CheckpointException

from embeddings.errors import InputError
from train.build import Trainable
from train.process import Ranks, on_first
from train.run_folder import write_json


class Checkpoints:
    """The folder ``checkpoints`` of a run: ``step-00000100/`` and so on, and ``best.json`` naming the best one."""

    def __init__(self, run: str | Path, ranks: Ranks, keep: int) -> None:
        self.path = Path(run) / "checkpoints"
        self._ranks = ranks
        self._keep = keep

    def save(self, trainable: Trainable, progress: dict[str, Any], best: bool) -> None:
        """Write one checkpoint; all ranks call it. ``progress`` is plain data, the same on every rank.

        Raises InputError where the disk is full; what was there before stays.
        """
        name = f"step-{progress['step']:08d}"
        beside = self.path / f".writing-{name}"
        on_first(self._ranks, lambda: _fresh(beside))
        try:
            dcp.save(self._state(trainable), checkpoint_id=str(beside), no_dist=False)
        except CheckpointException as error:
            raise _disk_error(error, self.path) from error
        on_first(self._ranks, lambda: self._publish(beside, name, progress, best))

    def _publish(self, beside: Path, name: str, progress: dict[str, Any], best: bool) -> None:
        write_json(beside / "progress.json", progress)
        if (self.path / name).exists():
            shutil.rmtree(self.path / name)
        beside.rename(self.path / name)
        if best:
            write_json(self.path / "best.json", {"checkpoint": name})
        kept = {self.best().name if self.best() else name, *(p.name for p in self._all()[-self._keep :])}
        for old in self._all():
            if old.name not in kept:
                shutil.rmtree(old)

    def newest(self) -> Path | None:
        found = self._all()
        return found[-1] if found else None

    def best(self) -> Path | None:
        path = self.path / "best.json"
        return self.path / json.loads(path.read_text())["checkpoint"] if path.is_file() else None

    def load(self, path: Path, trainable: Trainable, *, weights_only: bool = False) -> dict[str, Any]:
        """Fill ``trainable`` from ``path`` and return the progress that was saved with it.

        Args:
            weights_only: leave the optimizer and random states as they are.

        Raises InputError where the checkpoint is incomplete or of another model.
        """
        state = self._state(trainable)
        if weights_only:
            state = {"model": state["model"]}
        try:
            progress = json.loads((path / "progress.json").read_text())
            dcp.load(state, checkpoint_id=str(path))
        except (CheckpointException, OSError, ValueError, KeyError) as error:
            reason = str(error).strip().splitlines()[0][:200]
            raise InputError(f"checkpoint '{path}' does not fit or is incomplete: {reason}; remove it or name another") from error
        trainable.model.load_state_dict(state["model"])
        if not weights_only:
            trainable.optimizer.load_state_dict(state["optimizer"])
            torch.set_rng_state(state["random"][str(self._ranks.rank)])
        return progress

    def _state(self, trainable: Trainable) -> dict[str, Any]:
        return {
            "model": trainable.model.state_dict(),
            "optimizer": trainable.optimizer.state_dict(),
            "random": {str(self._ranks.rank): torch.get_rng_state()},
        }

    def _all(self) -> list[Path]:
        return sorted(p for p in self.path.glob("step-*") if p.is_dir())


def _fresh(folder: Path) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)


def _disk_error(error: CheckpointException, path: Path) -> Exception:
    causes = [c[0] if isinstance(c, tuple) else c for c in error.failures.values()]
    if any(isinstance(c, OSError) and c.errno in (errno.ENOSPC, errno.EDQUOT) for c in causes):
        return InputError(f"no space left for a checkpoint in '{path}'; the one before is whole: free space, then run.resume=true")
    return error
