"""A run's folder: config, versions and git state, metrics.jsonl, TensorBoard events. Written by rank 0 alone."""

import contextlib
import json
import platform
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from embeddings.errors import InputError
from embeddings.files.atomic_file import atomic_write, sync_path
from embeddings.files.folder_lock import LOCK, folder_lock
from embeddings.files.json_file import write_json
from train.config import RunSettings, save_config
from train.run.metrics_file import LOST, METRICS, read_lines
from train.run.versions import PACKAGES, installed

LOGS = "logs"  # folder in a run's folder that launchers write to, before the run starts and while it lasts
RECORDS = f"{LOGS}/nccl"  # what NCCL's ranks did last, should one of them hang
_NOT_THE_RUN = (LOGS, LOCK)  # of what is in its folder: no part of it
_MOST_LOST = 1_000_000  # rows that are written in the place of lost ones; a checkpoint may count any number
_LEASE_S = 100.0  # for which a network disk may keep the locks of a machine that is lost


@contextlib.contextmanager
def claimed(config: RunSettings) -> Iterator[None]:
    """``claim`` the run's folder, and keep other processes out of it while inside.

    A run that goes on, or takes another's place, waits for one that may be about to end: orphans of a launcher that was
    killed, or ranks of a machine that is lost. Raises InputError as ``claim``, and where another process writes it.
    """
    most_s = min(config.process.grace_s + _LEASE_S, config.process.timeout_s / 2)  # for which other ranks wait too
    patience_s = most_s if config.run.resume or config.run.overwrite else 0.0
    step = "choose another run.name"
    with folder_lock(
        config.run_folder, "run folder", step, check=lambda: claim(config), inside=True, patience_s=patience_s
    ):
        yield


def claim(config: RunSettings) -> None:
    """Make the run's folder, or accept the old one. RunFolder deletes the old one, once all else is known to be right.

    Raises InputError where it exists and neither run.resume nor run.overwrite is set, where run.resume is true and
    there is nothing to go on with, and where run.overwrite would delete, or run.resume=auto write into, something that
    is no run.
    """
    path = Path(config.run_folder)
    if path.exists() and not path.is_dir():
        raise InputError(f"run folder '{path}' is a file; set run.name or run.root to another place")
    exists = path.exists() and any(p.name not in _NOT_THE_RUN for p in path.iterdir())
    if exists and config.run.overwrite:
        if not (path / "run.json").is_file():
            raise InputError(f"'{path}' holds no run, and run.overwrite deletes runs only; choose another run.name")
    elif exists and config.run.resume == "auto":
        if not any((path / name).exists() for name in ("config.yaml", "run.json")):
            raise InputError(f"'{path}' holds no run to go on with, but other files; choose another run.name")
    elif exists and not config.run.resume:
        raise InputError(
            f"run folder '{path}' exists; set run.name to another name, run.resume=true to go on with it, "
            f"or run.overwrite=true to delete it"
        )
    elif config.run.resume is True and not (path / "checkpoints").is_dir():
        raise InputError(f"run.resume is set, but '{path}' has no checkpoint; start it without run.resume")
    path.mkdir(parents=True, exist_ok=True)


class RunFolder:
    """A claimed folder, open for writing."""

    def __init__(self, config: RunSettings, about: dict[str, Any]) -> None:
        from torch.utils.tensorboard import SummaryWriter  # slow to import

        self.path = Path(config.run_folder)
        if config.run.overwrite:
            for old in self.path.iterdir():
                if old.name not in _NOT_THE_RUN:
                    shutil.rmtree(old) if old.is_dir() and not old.is_symlink() else old.unlink()
        save_config(config, str(self.path / "config.yaml"))
        self._about = {"name": config.run.name, "status": "running", "seed": config.train.seed}
        self.update(**about, versions=versions(), git=git_state())
        self.rows = 0  # of metrics.jsonl
        self.latest: dict[str, dict] = {}  # kind -> its last row
        self._board = SummaryWriter(str(self.path / "tensorboard"))

    def update(self, **about: Any) -> None:
        """Add to run.json."""
        self._about |= about
        write_json(self.path / "run.json", self._about)

    def log(self, row: dict[str, Any]) -> None:
        """One row of metrics.jsonl, and its numbers as TensorBoard scalars."""
        with open(self.path / METRICS, "a") as out:
            out.write(json.dumps(row) + "\n")
        self.rows, self.latest[row["kind"]] = self.rows + 1, row
        prefix = row.get("split", row["kind"])
        for key, value in row.items():
            if isinstance(value, (int, float)) and key not in ("step", "epoch"):
                self._board.add_scalar(f"{prefix}/{key}", value, row["step"])

    def sync(self) -> None:
        """Have the rows on disk, before a checkpoint counts them."""
        if self.rows:
            sync_path(self.path / METRICS)
            sync_path(self.path)

    def rewind(self, count: int, step: int) -> list[dict[str, Any]]:
        """Keep the first ``count`` rows of metrics.jsonl, and return them; a resumed run writes the others again.

        A row that is gone or damaged leaves one of the kind ``LOST`` in its place, so that the checkpoint's count stays
        right, and is said aloud: it cannot be made again, and no weight depends on it.

        Args:
            step: of the checkpoint that counts the rows.
        """
        path = self.path / METRICS
        rows: list[dict[str, Any]] = []
        wrong = ""
        for _, row in zip(range(count), read_lines(path), strict=False):
            wrong = wrong or (str(row) if isinstance(row, InputError) else "")
            rows.append({"kind": LOST, "step": step} if isinstance(row, InputError) else row)
        wrong = wrong or (f"there are {len(rows)}" if len(rows) < count else "")
        rows += [{"kind": LOST, "step": step}] * min(count - len(rows), _MOST_LOST)
        if lost := sum(row["kind"] == LOST for row in rows):
            print(
                f"note: of the {count} rows of '{path}' before the checkpoint, {lost} are lost"
                f"{f' ({wrong})' if wrong else ''}; training goes on all the same, its curves have a gap",
                file=sys.stderr,
                flush=True,
            )
        with atomic_write(path) as out:
            out.writelines(json.dumps(row).encode() + b"\n" for row in rows)
        self.rows, self.latest = len(rows), {row["kind"]: row for row in rows if row["kind"] != LOST}
        return rows

    def close(self) -> None:
        self._board.close()


def versions() -> dict[str, str]:
    """Versions of what a result depends on."""
    python = {"python": platform.python_version()}
    return python | {name: there for name in PACKAGES if (there := installed(name)) is not None}


def git_state() -> dict[str, Any]:
    """Commit of the code and whether the tree differs from it; empty outside a checkout."""
    here = Path(sys.modules["train"].__file__ or ".").resolve().parent

    def git(*args: str) -> str:
        return subprocess.run(["git", *args], cwd=here, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return {"commit": git("rev-parse", "HEAD"), "changed": bool(git("status", "--porcelain"))}
    except (OSError, subprocess.CalledProcessError):
        return {}
