"""Asynchronous checkpoints, written by a background thread; loaded on any number of ranks, under any sharding."""

import datetime
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import torch.distributed as dist

from embeddings.errors import DISK_FULL, InputError
from train.checkpoint import rng_state
from train.checkpoint.background_writer import BackgroundWriter
from train.checkpoint.checkpoint_folder import CheckpointFolder
from train.checkpoint.checksums import Progress, check_files, damaged, read_progress
from train.checkpoint.shard_files import write_index, write_shards
from train.checkpoint.shard_reader import read_shards
from train.checkpoint.shards import TensorShard, copy_to_host
from train.distributed.ranks import Ranks, on_all, on_first

_WORTH_SAYING_S = 1.0


class Checkpointable(Protocol):
    """What a checkpoint is of. All ranks have one, and the checkpointer calls its methods on all of them together."""

    def shards(self) -> list[TensorShard]:
        """What this rank holds, under keys that depend neither on ranks nor on their plan."""

    def layout(self) -> dict[str, Any]:
        """Plain data that ``restore`` needs in order to read the shards under another plan; added to ``progress``."""

    def restore(self, read: Callable[[list[TensorShard]], None], progress: dict[str, Any] | None) -> None:
        """Fill the model with what ``read`` puts into the tensors of the shards that it is given.

        Args:
            progress: what was saved with the checkpoint; None: the weights alone, optimizers stay as they are.
        """


class Checkpointer:
    """The checkpoints of a run. Every rank has one.

    A checkpoint is copied to the host's memory between two steps, and written by a thread with a process group of its
    own. Training waits only where the checkpoint before is not yet on disk.

    Args:
        progress: what progress.json has to hold to be read.
    """

    def __init__(
        self, run: str | Path, ranks: Ranks, keep: int, timeout_s: int = 600, progress: type[Progress] = Progress
    ) -> None:
        self.folder = CheckpointFolder(Path(run) / "checkpoints", keep)
        self._ranks, self._progress = ranks, progress
        self._writing = BackgroundWriter("checkpoint")
        self._timeout = datetime.timedelta(seconds=timeout_s)
        self._group: dist.ProcessGroup | None = None
        self._staged: list[TensorShard] = []  # the memory of the last copy, kept for the next

    @property
    def path(self) -> Path:
        return self.folder.path

    @property
    def failed(self) -> bool:
        """Whether this rank knows that the last save failed; ``finish`` says why once all ranks call it."""
        return self._writing.failed

    @property
    def writing(self) -> bool:
        """Whether a checkpoint is not yet on disk."""
        return self._writing.running

    def save(self, state: Checkpointable, progress: dict[str, Any], best: bool) -> None:
        """Begin to write one checkpoint; all ranks call it. ``progress`` is plain data, the same on every rank.

        Raises what ``finish`` raises, for the checkpoint before.
        """
        waited = self.finish()
        if waited > _WORTH_SAYING_S and self._ranks.first:
            print(f"waited {waited:.1f} s for the checkpoint before; save less often", file=sys.stderr, flush=True)
        if self._group is None:
            self._group = dist.new_group(backend="gloo", timeout=self._timeout)
        ranks = {"world_size": self._ranks.world_size, "device": self._ranks.device.type}
        progress = {**progress, **ranks, **state.layout()}
        self._staged = copy_to_host(self._written_by_this_rank(state), self._staged)
        self._writing.start(lambda: self._write(progress, best))

    def finish(self) -> float:
        """Wait until what was saved is on disk, on all ranks, which all call this; the seconds that it took.

        Raises InputError where it could not be written, as where the disk is full; what was there before stays. On
        ranks that have nothing to tell, SystemExit.
        """
        return self._writing.finish()

    def settle(self, timeout_s: float) -> None:
        """At the end of a run that failed or was interrupted: let what is being written end, or leave it unnamed."""
        if not self._writing.settle(timeout_s) and self._ranks.first:
            print(f"a checkpoint was not written within {timeout_s:g} s; those before are whole", file=sys.stderr)

    def _written_by_this_rank(self, state: Checkpointable) -> list[TensorShard]:
        """Its own shards, its share of the replicated ones, its random generators."""
        shards = state.shards()
        replicated = [s for s in shards if s.replicated][self._ranks.rank :: self._ranks.world_size]
        return [s for s in shards if not s.replicated] + replicated + rng_state.rng_shards(self._ranks)

    def _write(self, progress: dict[str, Any], best: bool) -> None:
        """In the thread: all ranks write, then rank 0 gives the checkpoint its name."""
        step, rank = progress["step"], self._ranks.rank
        try:
            on_first(self._ranks, lambda: self.folder.begin(step), self._group)
            new = self.folder.unfinished(step)
            written = on_all(self._ranks, lambda: write_shards(new, rank, self._staged), self._group)

            def publish() -> None:
                files = write_index(new, [index for index, _ in written])
                for _, own in written:
                    files |= own
                self.folder.publish(step, {**progress, "files": files}, best)

            on_first(self._ranks, publish, self._group)
        except BaseException as error:
            if self._ranks.first:  # by whom the folder is locked
                self.folder.discard(step)
            if isinstance(error, OSError):
                raise self._not_written(error) from error
            raise

    def _not_written(self, error: OSError) -> InputError:
        then = "go on with run.resume=true"
        if error.errno in DISK_FULL:
            return InputError(
                f"no space left for a checkpoint in '{self.path}'; those before are whole: free space, then {then}"
            )
        return InputError(
            f"a checkpoint cannot be written to '{self.path}': {error.strerror}; those before are whole: check the "
            f"disk and its limits, then {then}"
        )

    def newest_whole(self) -> tuple[Path, dict[str, Any]] | None:
        """The newest checkpoint that is whole, and its ``progress``; None where there is no checkpoint at all.

        All ranks call it, and share the reading. Damaged ones are set aside, said aloud. Raises InputError where all
        are damaged.
        """
        on_first(self._ranks, self.folder.recover)
        names = on_first(self._ranks, lambda: [p.name for p in self.folder.all()])
        passed_over: dict[str, InputError] = {}
        for name in reversed(names):
            try:
                progress = self.progress(self.path / name)
            except InputError as error:
                passed_over[name] = error
                continue
            on_first(
                self._ranks, lambda: self._set_aside(passed_over)
            )  # only now: a run that has nothing else keeps all
            return self.path / name, progress
        if not names:
            return None

        def refuse() -> None:
            raise InputError(f"all {len(names)} checkpoints in '{self.path}' were damaged; start a new run")

        return on_first(self._ranks, refuse)

    def to_resume(self, resume: bool | str) -> tuple[Path, dict[str, Any]] | None:
        """The checkpoint to go on from and its progress, named the best if it is; None: ``auto`` finds none.

        All ranks call it. Raises InputError where there is none, unless ``resume`` is auto, or none is whole.
        """
        newest = self.newest_whole()
        if newest is None:
            if resume == "auto":
                return None
            raise InputError(f"run.resume is set, but '{self.path}' is empty; start it without run.resume")
        path, progress = newest
        if progress["is_best"]:  # a kill may have come between the checkpoint's name and best.json
            on_first(self._ranks, lambda: self.folder.name_best(path.name))
        return path, progress

    def _set_aside(self, passed_over: dict[str, InputError]) -> None:
        for name, error in passed_over.items():
            aside = self.folder.set_aside(self.path / name)
            print(f"{error}; it is now '{aside.name}', and the one before is used", file=sys.stderr, flush=True)

    def progress(self, path: Path) -> dict[str, Any]:
        """What was saved as ``progress`` with the checkpoint ``path``. All ranks call it, and share the reading.

        Raises InputError on all ranks where a file is missing or is not what was written.
        """
        progress = self._agreed(lambda: read_progress(path, self._progress))
        names = sorted(progress["files"])[self._ranks.rank :: self._ranks.world_size]
        wrong = on_all(self._ranks, lambda: check_files(path, {n: progress["files"][n] for n in names}))
        if damage := [w for w in wrong if w]:
            raise damaged(path, damage[0])
        return progress

    @staticmethod
    def _agreed(read: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """What rank 0 reads, or its InputError, on every rank."""
        answer: list[Any] = [None]
        if dist.get_rank() == 0:
            try:
                answer[0] = read()
            except InputError as error:
                answer[0] = str(error)
        dist.broadcast_object_list(answer, src=0)
        if isinstance(answer[0], str):
            raise InputError(answer[0])
        return answer[0]

    def load(self, path: Path, state: Checkpointable, progress: dict[str, Any] | None = None, *, seed: int = 0) -> None:
        """Fill ``state`` from ``path``, a checkpoint that is whole. All ranks call it.

        Args:
            progress: of that checkpoint; None: the weights alone, optimizer and generators stay as they are.
            seed: of new random numbers, where the number of ranks or their kind of device has changed.

        Raises InputError where the checkpoint is of another model.
        """
        state.restore(lambda shards: self._read(path, shards), progress)
        if progress is None:
            return
        if rng_state.has_rng_of(progress, self._ranks):
            generators = rng_state.rng_shards(self._ranks)
            self._read(path, generators)
            rng_state.set_rng(generators, self._ranks)
        else:
            rng_state.reseed(seed, progress["step"], self._ranks)

    def load_best(self, state: Checkpointable) -> None:
        """Fill ``state`` with the weights of the best checkpoint. Raises InputError where it is gone or damaged."""
        best = self.folder.best()
        if best is None or not best.is_dir():
            raise InputError(f"'{self.path}' has lost its best checkpoint; start the run again")
        self.progress(best)  # refuses a damaged one
        self.load(best, state)

    def _read(self, path: Path, shards: list[TensorShard]) -> None:
        on_all(self._ranks, lambda: read_shards(path, shards))
