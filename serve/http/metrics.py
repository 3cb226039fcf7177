"""Prometheus metrics of all processes together, in a folder that they share."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest, values
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead

from embeddings.errors import InputError, first_line

if TYPE_CHECKING:  # which imports torch, and the supervisor none
    from serve.answer import Answer

FOLDER = "PROMETHEUS_MULTIPROC_DIR"  # the environment's variable by which prometheus_client finds the folder
_MEMORY = Path("/dev/shm")  # where no full disk ends a process that counts, and nobody tidies up
_SECONDS = (0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.0, 2.0, 4.0)
_CANDIDATES = (1, 3, 10, 30, 100, 300, 1000, 3000, 10_000)


class Refusals:
    """Counts new versions that a process refuses.

    Args:
        place: the process's, such as a worker's number. One that takes another's place counts on where that ended.
    """

    def __init__(self, place: str, registry: CollectorRegistry | None = None) -> None:
        shared = FOLDER in os.environ
        self._values = values.MultiProcessValue(lambda: place) if shared else values.MutexValue
        values.ValueClass = self._values
        registry = registry or CollectorRegistry()
        self._refused = Counter("tierwise_version_refusals", "New versions refused, by processes.", registry=registry)
        self._refused_deltas = Counter("tierwise_delta_refusals", "Deltas refused, by processes.", registry=registry)

    def refusal(self) -> None:
        """Count one version."""
        self._refused.inc()

    def delta_refusal(self) -> None:
        """Count one delta."""
        self._refused_deltas.inc()


class Metrics(Refusals):
    """What a worker counts. ``FOLDER`` of the environment holds every process's numbers; without it, its own are all.

    Args:
        place: as in ``Refusals``.
    """

    def __init__(self, place: str) -> None:
        self._own = own = CollectorRegistry()
        super().__init__(place, own)
        self._requests = Counter("tierwise_requests", "Requests by status.", ["status"], registry=own)
        self._seconds = Histogram(
            "tierwise_request_seconds", "Headers read to answer made.", buckets=_SECONDS, registry=own
        )
        self._waited = Histogram("tierwise_wait_seconds", "Body read to scored.", buckets=_SECONDS, registry=own)
        self._scored = Histogram("tierwise_candidates", "Candidates of a request.", buckets=_CANDIDATES, registry=own)
        self._items = Counter("tierwise_unknown_items", "Candidates that were not trained on.", registry=own)
        self._users = Counter("tierwise_unknown_users", "Requests whose user was not trained on.", registry=own)
        self._vectors = Counter("tierwise_missing_vectors", "Candidates without one.", ["modality"], registry=own)
        self._truncated = Counter("tierwise_truncated", "Lists cut to max_length.", ["feature"], registry=own)
        self._swaps = Counter("tierwise_version_swaps", "New versions taken, by processes.", registry=own)
        self._closed = Counter(
            "tierwise_closed_connections", "Connections closed on clients, by why.", ["why"], registry=own
        )
        self._applied = Counter("tierwise_deltas_applied", "Deltas taken, by processes.", registry=own)
        self._newest_delta = 0
        self._deltas: Gauge | None = None
        self._event_time: Gauge
        self._versions: tuple[Gauge, Gauge] | None = None  # none before one scores: they would say 0
        self._waiting = Gauge("tierwise_waiting", "Requests that wait.", multiprocess_mode="livesum", registry=own)

    def answered(self, answer: "Answer", seconds: float, waited_s: float) -> None:
        """Count one request that was scored."""
        self._seconds.observe(seconds)
        self._waited.observe(waited_s)
        self._scored.observe(answer.scores.size)
        if items := int(answer.unknown.items.sum()):
            self._items.inc(items)
        if answer.unknown.user:
            self._users.inc()
        for name, missing in answer.unknown.vectors.items():
            if count := int(missing.sum()):
                self._vectors.labels(name).inc(count)
        for name, count in answer.truncated.items():
            self._truncated.labels(name).inc(count)

    def status(self, status: str) -> None:
        """Count one request's status, or that its client has gone."""
        self._requests.labels(status).inc()

    def connection_closed(self, why: str) -> None:
        """Count one connection that was closed on its client."""
        self._closed.labels(why).inc()

    def version(self, version: str, swapped: bool) -> None:
        """Say which version scores from now on."""
        if self._versions is None:
            values.ValueClass = self._values
            newest, oldest = ("tierwise_version", "Newest version that scores."), ("tierwise_oldest_version", "Oldest.")
            self._versions = (
                Gauge(*newest, multiprocess_mode="livemax", registry=self._own),
                Gauge(*oldest, multiprocess_mode="livemin", registry=self._own),
            )
        for gauge in self._versions:
            gauge.set(int(version))
        if swapped:
            self._swaps.inc()

    def deltas(self, number: int, event_time: float | None) -> None:
        """Say how many deltas of its version score from now on, and the latest event time that they have learnt of."""
        if self._deltas is None:
            values.ValueClass = self._values
            self._deltas = Gauge(
                "tierwise_delta", "Deltas of the version that score, the least of any process.",
                multiprocess_mode="livemin", registry=self._own,
            )  # fmt: skip
            self._event_time = Gauge(
                "tierwise_event_time_seconds", "Latest event time learnt of, since 1970, the least of any process.",
                multiprocess_mode="livemin", registry=self._own,
            )  # fmt: skip
        if number > self._newest_delta:
            self._applied.inc(number - self._newest_delta)
        self._newest_delta = number
        self._deltas.set(number)
        if event_time is not None:
            self._event_time.set(event_time)

    def waiting(self, requests: int) -> None:
        """Say how many requests wait."""
        self._waiting.set(requests)

    def text(self) -> bytes:
        """Everything of every process, as Prometheus reads it."""
        if FOLDER not in os.environ:
            return generate_latest(self._own)
        registry = CollectorRegistry()
        MultiProcessCollector(registry)
        return generate_latest(registry)


@contextlib.contextmanager
def metrics_folder() -> Iterator[None]:
    """A folder for what this process and those that it starts count. Raises InputError where none can be made."""
    memory = _MEMORY if _MEMORY.is_dir() and os.access(_MEMORY, os.W_OK | os.X_OK) else None
    try:
        folder = tempfile.mkdtemp(prefix="tierwise-metrics-", dir=memory)
    except OSError as error:
        raise InputError(f"no folder for metrics can be made ({first_line(error)}); name one in TMPDIR") from None
    os.environ[FOLDER] = folder
    try:
        yield
    finally:
        del os.environ[FOLDER]
        shutil.rmtree(folder, ignore_errors=True)


def has_ended(place: str) -> None:
    """Have the gauges of a process that ended count no more."""
    mark_process_dead(place)


def remove_metrics_folder() -> None:
    """Remove the folder for a supervisor that was killed."""
    if FOLDER in os.environ:
        shutil.rmtree(os.environ[FOLDER], ignore_errors=True)
