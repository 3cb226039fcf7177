"""The folder ``checkpoints`` of a run: ``step-00000100/`` and so on, and ``best.json`` naming the best one.

Rank 0 alone changes it. What is half-written, or was found damaged, has another name and is no checkpoint.
"""

import os
import shutil
from pathlib import Path
from typing import Annotated, Any

from pydantic import Field

from embeddings.errors import InputError, first_line, shown
from embeddings.files.atomic_file import sync_path
from embeddings.files.json_file import read_json, write_json
from embeddings.validation import Strict, validated
from train.checkpoint.checksums import PROGRESS

BEST = "best.json"
_UNFINISHED = ".writing-"
_OLD = f"{_UNFINISHED}old-"
_DAMAGED = "damaged-"


class _Best(Strict):
    """best.json: the name of a checkpoint beside it, no path."""

    checkpoint: Annotated[str, Field(pattern=r"^step-[0-9]{8,20}$")]


class CheckpointFolder:
    """``keep`` checkpoints are kept besides the best."""

    def __init__(self, path: Path, keep: int) -> None:
        self.path, self._keep = path, keep

    def recover(self) -> None:
        """Give a checkpoint its name back that was put aside for a newer one of its step, before a kill."""
        for aside in self.path.glob(f"{_OLD}step-*"):
            named = self.path / aside.name.removeprefix(_OLD)
            if not named.exists():
                os.rename(aside, named)

    def begin(self, step: int) -> Path:
        """Clear what an interrupted process left half-written, and make the folder to write into."""
        for left in self.path.glob(f"{_UNFINISHED}*"):
            shutil.rmtree(left, ignore_errors=True)
        unfinished = self.unfinished(step)
        unfinished.mkdir(parents=True)
        return unfinished

    def unfinished(self, step: int) -> Path:
        """Where the checkpoint of ``step`` is written until it is whole."""
        return self.path / f"{_UNFINISHED}{_name(step)}"

    def publish(self, step: int, progress: dict[str, Any], best: bool) -> None:
        """Give the checkpoint its name, and prune."""
        name, unfinished = _name(step), self.unfinished(step)
        write_json(unfinished / PROGRESS, {**progress, "is_best": best})
        sync_path(unfinished)
        aside = self.path / f"{_OLD}{name}"
        if (self.path / name).exists():  # the step was saved before its epoch's validation
            os.rename(self.path / name, aside)
        os.rename(unfinished, self.path / name)
        sync_path(self.path)
        if best:
            self.name_best(name)
        shutil.rmtree(aside, ignore_errors=True)
        chosen = self.best()
        kept = {chosen.name if chosen else name, *(p.name for p in self.all()[-self._keep :])}
        for old in self.all():
            if old.name not in kept:
                shutil.rmtree(old)

    def name_best(self, name: str) -> None:
        """Have best.json name the checkpoint ``name``."""
        write_json(self.path / BEST, {"checkpoint": name})
        sync_path(self.path)  # before those that it does not name any more are removed

    def discard(self, step: int) -> None:
        """Remove what was written of the checkpoint of ``step``."""
        shutil.rmtree(self.unfinished(step), ignore_errors=True)

    def set_aside(self, path: Path) -> Path:
        """Rename a damaged checkpoint, so that it neither counts as one nor takes the place of a good one."""
        aside = path.with_name(f"{_DAMAGED}{path.name}")
        shutil.rmtree(aside, ignore_errors=True)
        os.rename(path, aside)
        return aside

    def all(self) -> list[Path]:
        """Checkpoints, oldest first."""
        return sorted(p for p in self.path.glob("step-*") if p.is_dir())

    def newest(self) -> Path | None:
        checkpoints = self.all()
        return checkpoints[-1] if checkpoints else None

    def best(self) -> Path | None:
        """The best one by validation. Raises InputError where best.json is damaged."""
        path = self.path / BEST
        if not path.is_file():
            return None
        try:
            return self.path / validated(_Best, read_json(path, "file"), BEST).checkpoint
        except (OSError, InputError) as error:
            raise InputError(
                f"'{path}' is damaged ({first_line(error)}); name a checkpoint instead of 'best'"
            ) from None

    def named(self, name: str) -> Path:
        """The checkpoint that a user calls best, newest or by the name of its folder. Raises InputError for no such."""
        there = {p.name: p for p in self.all()}
        path = {"best": self.best, "newest": self.newest}.get(name, lambda: there.get(name))()
        if path is None or path.name not in there:
            names = list(there) or "none"
            step = "; name one of them, or newest, by --checkpoint" if there else ""
            raise InputError(f"run '{self.path.parent}' has no checkpoint {shown(name)}; there are: {names}{step}")
        return path


def _name(step: int) -> str:
    return f"step-{step:08d}"
