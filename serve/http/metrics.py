"""Prometheus metrics of all worker processes together."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector

from serve.scorer import Answer

_SECONDS = (0.0005, 0.001, 0.002, 0.004, 0.008, 0.016, 0.032, 0.064, 0.128, 0.256, 0.512, 1.0, 2.0, 4.0)
_CANDIDATES = (1, 3, 10, 30, 100, 300, 1000, 3000, 10_000)


class Metrics:
    """What is counted. The folder in PROMETHEUS_MULTIPROC_DIR holds every process's numbers."""

    def __init__(self) -> None:
        own = CollectorRegistry()
        self._requests = Counter("tierwise_requests", "Requests by status.", ["status"], registry=own)
        self._seconds = Histogram("tierwise_request_seconds", "Read to answered.", buckets=_SECONDS, registry=own)
        self._waited = Histogram("tierwise_wait_seconds", "Read to scored.", buckets=_SECONDS, registry=own)
        self._scored = Histogram("tierwise_candidates", "Candidates of a request.", buckets=_CANDIDATES, registry=own)
        self._items = Counter("tierwise_unknown_items", "Candidates that were not trained on.", registry=own)
        self._users = Counter("tierwise_unknown_users", "Requests whose user was not trained on.", registry=own)
        self._vectors = Counter("tierwise_missing_vectors", "Candidates without one.", ["modality"], registry=own)
        self._truncated = Counter("tierwise_truncated", "Lists cut to max_length.", ["feature"], registry=own)
        self._swaps = Counter("tierwise_version_swaps", "New versions taken, by processes.", registry=own)
        self._refused = Counter("tierwise_version_refusals", "New versions refused, by processes.", registry=own)
        self._version = Gauge(
            "tierwise_version", "Newest version that scores.", multiprocess_mode="livemax", registry=own
        )
        self._oldest = Gauge("tierwise_oldest_version", "Oldest one.", multiprocess_mode="livemin", registry=own)
        self._waiting = Gauge("tierwise_waiting", "Requests that wait.", multiprocess_mode="livesum", registry=own)

    def answered(self, answer: Answer, seconds: float, waited_s: float) -> None:
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

    def status(self, status: int) -> None:
        """Count one request's status."""
        self._requests.labels(str(status)).inc()

    def version(self, version: str, swapped: bool) -> None:
        """Say which version scores from now on."""
        self._version.set(int(version))
        self._oldest.set(int(version))
        if swapped:
            self._swaps.inc()

    def refusal(self) -> None:
        """Count a version that was refused."""
        self._refused.inc()

    def waiting(self, requests: int) -> None:
        """Say how many requests wait."""
        self._waiting.set(requests)

    @staticmethod
    def text() -> bytes:
        """Everything of every process, as Prometheus reads it."""
        registry = CollectorRegistry()
        MultiProcessCollector(registry)
        return generate_latest(registry)
