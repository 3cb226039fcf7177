"""What the encode service counts, for Prometheus."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

_SECONDS = (0.005, 0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24)


class EncodeMetrics:
    """Of one process."""

    def __init__(self) -> None:
        self._own = own = CollectorRegistry()
        self._requests = Counter("tierwise_requests", "Requests by status.", ["status"], registry=own)
        self._closed = Counter(
            "tierwise_closed_connections", "Connections closed on clients, by why.", ["why"], registry=own
        )
        self._items = Counter("tierwise_items", "Items by what became of them.", ["outcome"], registry=own)
        self._batch = Histogram("tierwise_batch_seconds", "Read to in the index.", buckets=_SECONDS, registry=own)
        self._retries = Counter("tierwise_index_retries", "Writes that were tried again.", registry=own)
        self._files = Counter("tierwise_files", "Files of the folder by where they went.", ["to"], registry=own)
        self._behind = Gauge("tierwise_behind", "Revisions of the log yet to be encoded.", ["encoder"], registry=own)

    def status(self, status: str) -> None:
        """Count one request's status, or that its client has gone."""
        self._requests.labels(status).inc()

    def connection_closed(self, why: str) -> None:
        """Count one connection that was closed on its client."""
        self._closed.labels(why).inc()

    def encoded(self, encoded: int, deleted: int, dead: int, seconds: float) -> None:
        """Count a batch."""
        for outcome, count in (("encoded", encoded), ("deleted", deleted), ("dead", dead)):
            self._items.labels(outcome).inc(count)
        self._batch.observe(seconds)

    def retry(self) -> None:
        """Count a write that is to be tried again."""
        self._retries.inc()

    def file(self, to: str) -> None:
        """Count a file that was moved to ``done`` or ``dead``."""
        self._files.labels(to).inc()

    def behind(self, encoder: str, revisions: int) -> None:
        """Say how far an encoder is behind the log."""
        self._behind.labels(encoder).set(revisions)

    def text(self) -> bytes:
        """Everything, as Prometheus reads it."""
        return generate_latest(self._own)
