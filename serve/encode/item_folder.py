"""Watched folder: files of items are taken, encoded, and moved to done/ or dead/ once their vectors are in the index.

Files are parquet with a column of ids and one of content, or single ones called ID.png, ID.jpg, ... or ID.txt. One
whose name begins with a dot, or that has changed since the look before, is left for later. What is taken twice, as
after a kill, gets the same vectors.
"""

import os
import re
import threading
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import Future, wait
from pathlib import Path
from typing import Any

import pyarrow as pa

from embeddings.errors import InputError, first_line, for_terminal, listed, shown
from embeddings.files.atomic_file import atomic_write
from embeddings.files.parquet_batches import read_batches
from embeddings.files.parquet_footer import read_footer
from recsys.scl.content_columns import check_column, holds_content
from serve.encode.content_log import Change, Kind, NotStored
from serve.encode.intake import Accepted, Intake
from serve.encode.item_requests import changes_of
from serve.encode.metrics import EncodeMetrics
from serve.encode.settings import EncodeSettings
from serve.http.log import log as say
from serve.http.retry_wait import RetryWait

DONE, DEAD = "done", "dead"
LOOK_S = 0.2
AT_ONCE = 64  # files, or rows of one, that wait for their vectors together
_NAMED = 1000  # dead items of a file that are told
_SUFFIXES: dict[Kind, tuple[str, ...]] = {
    "image": (".png", ".jpg", ".jpeg", ".webp", ".gif", ".bmp", ".tif", ".tiff", ".jp2", ".avif", ".ppm"),
    "text": (".txt",),
}
_NUMBER = re.compile(r"-?[0-9]{1,19}")
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.2, 30.0


class Stopped(Exception):
    """The service ends; files that are under way stay where they are."""


class ItemFolder:
    """Takes the files of ``folder`` in a thread of its own, from ``start`` to ``stop``.

    Raises InputError where the folder cannot be made or written to.
    """

    def __init__(
        self,
        settings: EncodeSettings,
        folder: str,
        kind: Kind,
        intake: Intake,
        metrics: EncodeMetrics,
    ) -> None:
        self._folder, self._kind, self._intake, self._metrics = Path(folder), kind, intake, metrics
        self._most, self._id, self._column = settings.body_bytes, settings.id_column, settings.column
        self._seen: dict[str, tuple[int, int]] = {}  # name -> size and time at the look before
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="folder", daemon=True)
        try:
            for place in (self._folder / DONE, self._folder / DEAD):
                place.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise InputError(f"folder '{folder}' cannot be used ({first_line(error)}); check the path") from None

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End; what is under way is left."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        failing = RetryWait(_FIRST_WAIT_S, _LONGEST_WAIT_S)
        said: set[str] = set()
        pause_s = 0.0
        while not self._stopping.wait(pause_s):
            pause_s = LOOK_S
            try:
                self.look()
                failing.reset()
                said.clear()
            except Stopped:
                return
            except Exception as error:  # the disk is full, or the folder is gone; it may come again
                known = isinstance(error, (InputError, OSError))
                why = for_terminal(first_line(error)) if known else traceback.format_exc()
                pause_s = failing.failed(time.monotonic())
                if why not in said:
                    said.add(why)
                    say(f"folder '{self._folder}' is looked at again until it can be used: {why}")

    def look(self) -> None:
        """Take all files that have not changed since the look before. Raises InputError, OSError, Stopped."""
        seen, taken = {}, []
        with os.scandir(self._folder) as entries:
            for entry in entries:
                if entry.name.startswith(".") or not entry.is_file():
                    continue
                about = entry.stat()
                seen[entry.name] = (about.st_size, about.st_mtime_ns)
                if self._seen.get(entry.name) == seen[entry.name]:
                    taken.append(entry.name)
        self._seen = seen
        single = []
        for name in sorted(taken):
            if name.endswith(".parquet"):
                self._take_parquet(name)
            else:
                single.append(name)
        for first in range(0, len(single), AT_ONCE):
            self._take_single(single[first : first + AT_ONCE])

    def _take_single(self, names: list[str]) -> None:
        accepted: dict[str, Future[Accepted]] = {}
        for name in names:
            try:
                accepted[name] = self._intake.accept([self._change(name)])
            except InputError as error:
                self._move(name, [str(error)], dead=True)
            except FileNotFoundError:  # somebody took it back
                continue
        for name, future in accepted.items():
            reasons = self._reasons(future)
            self._move(name, reasons, dead=bool(reasons))

    def _change(self, name: str) -> Change:
        stem, suffix = os.path.splitext(name)
        allowed = _SUFFIXES[self._kind]
        if suffix.lower() not in allowed or not _NUMBER.fullmatch(stem) or not -(2**63) <= int(stem) < 2**63:
            raise InputError(f"its name is {shown(name)}; allowed: ID{', ID'.join(allowed)} and parquet files")
        with open(self._folder / name, "rb") as source:
            content = source.read(self._most + 1)
        if len(content) > self._most:
            raise InputError(f"it has more than {self._most:,} bytes, which is what a file of an item may have")
        return Change(int(stem), content)

    def _take_parquet(self, name: str) -> None:
        reasons: list[str] = []
        count = rows = 0
        before: Future[Accepted] | None = None
        try:
            for changes in self._parquet(self._folder / name):
                rows += len(changes)
                following = self._intake.accept(changes)
                if before is not None:
                    count, reasons = self._added(before, count, reasons)
                before = following
        except NotStored:
            raise
        except InputError as error:
            if before is not None:
                count, reasons = self._added(before, count, reasons)
            self._move(name, [str(error), *reasons], dead=True)
            return
        if before is not None:
            count, reasons = self._added(before, count, reasons)
        more = [f"and {count - len(reasons):,} more"] if count > len(reasons) else []
        self._move(name, [*reasons, *more], dead=count == rows)

    def _added(self, future: Future[Accepted], count: int, reasons: list[str]) -> tuple[int, list[str]]:
        new = self._reasons(future)
        return count + len(new), [*reasons, *new][:_NAMED]

    def _parquet(self, path: Path) -> Iterator[list[Change]]:
        """Its items, some at a time. Raises InputError."""
        file = read_footer(str(path))
        check_column(file, self._id, "ids", fix="cast it first")
        column = self._column or self._only_content(file.columns)
        check_column(file, column, self._kind, wanted=", but the encoder reads others", fix="name another column")
        for _, batch in read_batches(file, [self._id, column], AT_ONCE):
            contents = batch.column(batch.schema.get_field_index(column)).cast("large_binary")
            ids = batch.column(batch.schema.get_field_index(self._id))
            yield changes_of(ids.to_pylist(), contents.to_pylist())

    def _only_content(self, columns: pa.Schema) -> str:
        fitting = [field.name for field in columns if holds_content(field.type, self._kind)]
        if len(fitting) != 1:
            raise InputError(
                f"columns that can hold content of kind {self._kind}: {listed(fitting) or 'none'}; wanted one, or name "
                "it by --column"
            )
        return fitting[0]

    def _reasons(self, future: Future[Accepted]) -> list[str]:
        """Why items have no vector, once all others have. Raises NotStored, Stopped."""
        outcomes = self._result(self._result(future))
        return [f"item {outcome.item}: {outcome.reason}" for outcome in outcomes if outcome.reason is not None]

    def _result(self, future: Future) -> Any:
        while not wait([future], LOOK_S).done:
            if self._stopping.is_set():
                raise Stopped
        return future.result()

    def _move(self, name: str, reasons: list[str], dead: bool) -> None:
        """Move a file to where it belongs, and write beside what has no vector. Raises OSError."""
        if reasons:
            with atomic_write(self._folder / DEAD / f"{name}.reason.txt") as out:
                out.write("".join(f"{for_terminal(reason)}\n" for reason in reasons).encode())
            say(f"file {shown(name)}: {len(reasons)} without a vector, the first: {for_terminal(reasons[0])}")
        to = DEAD if dead else DONE
        os.replace(self._folder / name, self._folder / to / name)
        self._metrics.file(to)
