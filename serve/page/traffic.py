"""Traffic of all processes in numbers that only grow, from which a page makes rates and quantiles between two looks."""

from typing import Any

from prometheus_client import CollectorRegistry
from prometheus_client.multiprocess import MultiProcessCollector


def traffic() -> dict[str, Any]:
    """Requests by status, the histogram of answered requests' times, and the single numbers of ``Metrics``.

    statuses  status -> requests
    bounds    [K] seconds, upper bounds of the histogram's bins, the last one infinite (None)
    counts    [K] requests in or below each bin
    numbers   name without ``tierwise_`` -> number, over all labels
    """
    statuses: dict[str, int] = {}
    bins: list[tuple[float, int]] = []
    numbers: dict[str, float] = {}
    for metric in MultiProcessCollector(CollectorRegistry()).collect():
        name = metric.name.removeprefix("tierwise_")
        for sample in metric.samples:
            if name == "requests":
                statuses[sample.labels["status"]] = int(sample.value)
            elif name == "request_seconds" and sample.name.endswith("_bucket"):
                bins.append((float(sample.labels["le"]), int(sample.value)))
            elif metric.type in ("counter", "gauge"):
                numbers[name] = numbers.get(name, 0) + sample.value
    bins.sort()
    bounds = [None if bound == float("inf") else bound for bound, _ in bins]
    return {"statuses": statuses, "bounds": bounds, "counts": [count for _, count in bins], "numbers": numbers}
