"""Traffic is read from what Prometheus is told."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from serve.page.traffic import traffic


def test_has_statuses_the_histogram_and_single_numbers():
    own = CollectorRegistry()
    requests = Counter("tierwise_requests", "...", ["status"], registry=own)
    seconds = Histogram("tierwise_request_seconds", "...", buckets=(0.1, 1.0), registry=own)
    vectors = Counter("tierwise_missing_vectors", "...", ["modality"], registry=own)
    Gauge("tierwise_version", "...", registry=own).set(7)
    requests.labels("200").inc(3)
    requests.labels("429").inc()
    vectors.labels("image").inc(2)
    vectors.labels("text").inc(4)
    for value in (0.05, 0.5, 0.6, 5.0):
        seconds.observe(value)
    assert traffic(generate_latest(own)) == {
        "statuses": {"200": 3, "429": 1},
        "bounds": [0.1, 1.0, None],
        "counts": [1, 3, 4],
        "numbers": {"missing_vectors": 6, "version": 7},
    }
