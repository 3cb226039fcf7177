"""Checkpoints: model, optimizer, random states and data position, written beside and then renamed."""

import json
import shutil
from pathlib import Path
from typing import Any

import torch
import torch.distributed.checkpoint as dcp
from torch.distributed.checkpoint.api import CheckpointException

from embeddings.errors import DISK_FULL, InputError
from train.build import Trainable, fill_optimizer_state
from train.process import Ranks, on_first
from train.run_folder import write_json

_BESIDE = ".writing-"


class Checkpoints:
    """The folder ``checkpoints`` of a run: ``step-00000100/`` and so on, and ``best.json`` naming the best one."""

    def __init__(self, run: str | Path, ranks: Ranks, keep: int) -> None:
        self.path = Path(run) / "checkpoints"
        self._ranks = ranks
        self._keep = keep

    def save(self, trainable: Trainable, progress: dict[str, Any], best: bool) -> None:
        """Write one checkpoint; all ranks call it. ``progress`` is plain data, the same on every rank.

        Raises InputError where the disk is full, and OSError where it cannot be written; what was there before stays.
        """
        name = f"step-{progress['step']:08d}"
        beside = self.path / f"{_BESIDE}{name}"
        on_first(self._ranks, lambda: self._begin(beside))
        try:
            try:
                dcp.save(self._state(trainable), checkpoint_id=str(beside), no_dist=False)
            except CheckpointException as error:
                raise self._own_part(error) from error
            on_first(self._ranks, lambda: self._publish(beside, name, progress, best))
        except BaseException as error:
            shutil.rmtree(beside, ignore_errors=True)
            if isinstance(error, OSError) and error.errno in DISK_FULL:
                raise InputError(
                    f"no space left for a checkpoint in '{self.path}'; those before are whole: free space, then go on "
                    f"with run.resume=true"
                ) from error
            raise

    def _begin(self, beside: Path) -> None:
        """Clear what an interrupted process left half-written, and make the folder to write into."""
        for left in self.path.glob(f"{_BESIDE}*"):
            shutil.rmtree(left, ignore_errors=True)
        beside.mkdir(parents=True)

    def _publish(self, beside: Path, name: str, progress: dict[str, Any], best: bool) -> None:
        sizes = {p.name: p.stat().st_size for p in sorted(beside.iterdir())}
        write_json(beside / "progress.json", {**progress, "file_bytes": sizes})
        aside = self.path / f"{_BESIDE}old-{name}"
        if (self.path / name).exists():  # the step was saved before its epoch's validation
            (self.path / name).rename(aside)
        beside.rename(self.path / name)
        shutil.rmtree(aside, ignore_errors=True)
        if best:
            write_json(self.path / "best.json", {"checkpoint": name})
        chosen = self.best()
        kept = {chosen.name if chosen else name, *(p.name for p in self._all()[-self._keep :])}
        for old in self._all():
            if old.name not in kept:
                shutil.rmtree(old)

    def newest(self) -> Path | None:
        found = self._all()
        return found[-1] if found else None

    def best(self) -> Path | None:
        path = self.path / "best.json"
        if not path.is_file():
            return None
        try:
            return self.path / json.loads(path.read_text())["checkpoint"]
        except (ValueError, KeyError, TypeError) as error:
            raise InputError(f"'{path}' is damaged ({_reason(error)}); name a checkpoint instead of 'best'") from error

    def progress(self, path: Path) -> dict[str, Any]:
        """What was saved as ``progress`` with the checkpoint ``path``.

        Raises InputError where a file is missing or was cut short.
        """
        try:
            progress = json.loads((path / "progress.json").read_text())
            for name, wanted in progress.pop("file_bytes").items():
                got = (path / name).stat().st_size
                if got != wanted:
                    raise ValueError(f"'{name}' has {got} bytes instead of {wanted}")
        except (OSError, ValueError, KeyError) as error:
            raise _unusable(path, error) from error
        return progress

    def load(self, path: Path, trainable: Trainable, *, weights_only: bool = False) -> None:
        """Fill ``trainable`` from ``path``. All ranks call it.

        Args:
            weights_only: leave the optimizer and random states as they are.

        Raises InputError where the checkpoint is incomplete or of another model.
        """
        if weights_only:
            state = {"model": trainable.model.state_dict()}
        else:
            fill_optimizer_state(trainable)
            state = self._state(trainable)
        try:
            dcp.load(state, checkpoint_id=str(path))
        except CheckpointException as error:
            cause = self._own_part(error)
            raise _unusable(path, cause) if isinstance(cause, Exception) else cause from error
        trainable.model.load_state_dict(state["model"])
        if not weights_only:
            trainable.optimizer.load_state_dict(state["optimizer"])
            torch.set_rng_state(state["random"][str(self._ranks.rank)])

    def _own_part(self, error: CheckpointException) -> BaseException:
        """This rank's reason why saving or loading failed; SystemExit where only other ranks have one to tell.

        torch collects the failures of all ranks and raises them together on each, ^C among them.
        """
        failures = {rank: f[0] if isinstance(f, tuple) else f for rank, f in error.failures.items()}
        if any(isinstance(f, KeyboardInterrupt) for f in failures.values()):
            return KeyboardInterrupt()
        if self._ranks.rank not in failures:
            return SystemExit(2)
        own: BaseException | None = failures[self._ranks.rank]
        while own is not None and not isinstance(own, OSError):  # a full disk is the context of torch's own error
            own = own.__cause__ or own.__context__
        return own or failures[self._ranks.rank]

    def _state(self, trainable: Trainable) -> dict[str, Any]:
        return {
            "model": trainable.model.state_dict(),
            "optimizer": trainable.optimizer.state_dict(),
            "random": {str(self._ranks.rank): torch.get_rng_state()},
        }

    def _all(self) -> list[Path]:
        return sorted(p for p in self.path.glob("step-*") if p.is_dir())


def _unusable(path: Path, cause: Exception) -> InputError:
    return InputError(
        f"checkpoint '{path}' is incomplete or of another model: {_reason(cause)}; remove it or name another"
    )


def _reason(error: Exception) -> str:
    """The first line of what ``error`` says, with its kind where it says little."""
    text = (str(error).strip().splitlines() or [""])[0][:200]
    return text if " " in text else f"{type(error).__name__} {text}".strip()
