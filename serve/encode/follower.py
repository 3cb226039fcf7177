"""Follower: encodes what the content log has, batch after batch, into one encoder's vectors in the live index."""

import threading
import time
import traceback
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, TypeVar

import numpy as np

from embeddings.errors import InputError, first_line, for_terminal
from embeddings.index.index_writer import IndexWriter
from recsys.scl.encoders.item_encoder import ItemEncoder
from recsys.scl.encoding_faults import decoded_or_reason, vector_faults
from serve.encode.attempts import MOST, Attempts
from serve.encode.content_log import ContentLog, Dead, Entry, NotStored
from serve.encode.metrics import EncodeMetrics
from serve.encode.waiting import Outcome
from serve.http.log import log as say
from serve.http.retry_wait import RetryWait

BATCH_BYTES = 64 << 20  # of contents in memory at once
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.1, 30.0  # before an index that takes nothing is tried again
_LOOK_S = 0.5
_KEEP_S = 1.0  # between positions that are kept; what was encoded since is encoded again after a kill
Value = TypeVar("Value")


class Stopped(Exception):
    """The follower is to end, with what it could not do left undone."""


class Follower:
    """Follows the log from the position that it kept, in a thread of its own between ``start`` and ``stop``.

    Args:
        place: names its position in the log: of one index and encoder.
        content_of: bytes of the log -> what the encoder decodes.
        tell: is told of this follower and each batch's outcomes, once they are in the index.
    """

    def __init__(
        self,
        log: ContentLog,
        writer: IndexWriter,
        encoder: ItemEncoder,
        place: str,
        batch: int,
        pool: ThreadPoolExecutor,
        metrics: EncodeMetrics,
        content_of: Callable[[bytes], Any],
        tell: Callable[["Follower", Sequence[Outcome]], None],
    ) -> None:
        self.encoder, self.position = encoder, log.position(place)
        self._log, self._writer, self._place, self._batch, self._pool = log, writer, place, batch, pool
        self._metrics, self._content_of, self._tell = metrics, content_of, tell
        self._attempts = Attempts(Path(log.folder) / f"{place[:16]}.json")
        self._kept = self.position
        self._kept_at = time.monotonic()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"encode {place[:8]}", daemon=True)

    @property
    def behind(self) -> int:
        """Revisions of the log that it has not yet taken; an upper bound of the items among them."""
        return self._log.head - self.position

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End after the batch that is under way, and keep the position."""
        self._stopping.set()
        self._log.wake()
        self._thread.join()

    def _run(self) -> None:
        said: set[str] = set()
        wait = RetryWait(_FIRST_WAIT_S, _LONGEST_WAIT_S)
        while not self._stopping.is_set():
            try:
                self._step()
                wait.reset()
            except Stopped:
                break
            except Exception:  # a defect, or one of the moment
                why = traceback.format_exc()
                if why not in said:
                    said.add(why)
                    say(why)
                self._stopping.wait(wait.failed(time.monotonic()))
        self._keep(whole=True)

    def _step(self) -> None:
        """Encode a batch, or wait for one. Raises Stopped, and whatever decoding and encoding raise."""
        careful = self.position < self._attempts.careful_until
        entries = self._log.read(self.position, 1 if careful else self._batch, BATCH_BYTES)
        if entries:
            outcomes = self._encoded(entries)
            self.position = entries[-1].revision  # before anybody is told; see Encoders
            self._tell(self, outcomes)
        self._keep(whole=False)
        if not entries:
            self._log.wait(self.position, _LOOK_S)

    def _encoded(self, entries: list[Entry]) -> list[Outcome]:
        start = time.perf_counter()
        last, alone, reasons = entries[-1].revision, len(entries) == 1, dict[int, str]()
        put = [entry for entry in entries if entry.content is not None]
        if self._attempts.hopeless(last):
            reasons, put = {entry.item: f"{MOST} attempts to decode and encode it failed" for entry in put}, []
        self._attempts.begin(last, alone)
        try:
            kept, vectors = self._vectors(put, reasons)
        except Exception:
            self._attempts.failed(last, alone)
            raise
        self._attempts.end()
        gone = np.array([entry.item for entry in entries if entry.content is None], np.int64)
        sequences = dict.fromkeys(reasons, 0)
        name = self.encoder.name
        if kept:
            ids = np.array([entry.item for entry in kept], np.int64)
            sequence = self._tried(lambda: self._writer.put(ids, vectors, name))
            sequences |= dict.fromkeys(ids.tolist(), sequence)
        if gone.size:
            self._tried(lambda: self._writer.delete(gone, name))
        if reasons:
            revisions = {entry.item: entry.revision for entry in entries}
            dead = {i: Dead(revision=revisions[i], encoder=name, reason=reason) for i, reason in reasons.items()}
            self._tried(lambda: self._log.set_dead(dead))
        self._metrics.encoded(len(kept), int(gone.size), len(reasons), time.perf_counter() - start)
        return [Outcome(e.item, e.revision, sequences.get(e.item, 0), reasons.get(e.item)) for e in entries]

    def _vectors(self, entries: list[Entry], reasons: dict[int, str]) -> tuple[list[Entry], np.ndarray]:
        """Those of ``entries`` that have vectors, and these, [n, M]; ``reasons`` gets why others have none."""
        kept: list[Entry] = []
        decoded: list[Any] = []
        for entry, (value, reason) in zip(entries, self._pool.map(self._decoded, entries), strict=True):
            if reason is None:
                kept.append(entry)
                decoded.append(value)
            else:
                reasons[entry.item] = reason
        if not kept:
            return [], np.zeros((0, self.encoder.width), np.float32)
        vectors = self.encoder.vectors(decoded)
        faults = vector_faults(vectors)
        reasons.update({entry.item: fault for entry, fault in zip(kept, faults, strict=True) if fault is not None})
        whole = [place for place, fault in enumerate(faults) if fault is None]
        return [kept[place] for place in whole], vectors[whole]

    def _decoded(self, entry: Entry) -> tuple[Any, str | None]:
        if entry.damaged:
            return None, "the content log has it damaged; send it again"
        assert entry.content is not None
        return decoded_or_reason(self.encoder.decode, self._content_of(entry.content))

    def _tried(self, write: Callable[[], Value]) -> Value:
        """What ``write`` gives, tried again and again until it does. Raises Stopped."""
        wait, said = RetryWait(_FIRST_WAIT_S, _LONGEST_WAIT_S), set[str]()
        while True:
            try:
                return write()
            except (InputError, OSError) as error:
                why = for_terminal(str(error)) if isinstance(error, InputError) else first_line(error)
                self._metrics.retry()
                if why not in said:
                    said.add(why)
                    say(f"not written, and tried again until it is: {why}")
                if self._stopping.wait(wait.failed(time.monotonic())):
                    raise Stopped from None

    def _keep(self, whole: bool) -> None:
        """Keep the position now and then, or now: it only says where to go on after the next start."""
        now = time.monotonic()
        if self.position == self._kept or not (whole or now - self._kept_at >= _KEEP_S):
            return
        self._kept_at = now
        try:
            self._log.set_position(self._place, self.position)
        except NotStored:
            return  # the next start encodes some items again
        self._kept = self.position
