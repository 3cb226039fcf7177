"""Traffic of all processes in numbers that only grow, from which a page makes rates and quantiles between two looks."""

from typing import Any

from prometheus_client.parser import text_string_to_metric_families


def traffic(metrics: bytes) -> dict[str, Any]:
    """Requests by status, the histogram of answered requests' times, and the single numbers of ``metrics``.

    Args:
        metrics: what GET /metrics answers.

    statuses  status -> requests
    bounds    [K] seconds, upper bounds of the histogram's bins, the last one infinite (None)
    counts    [K] requests in or below each bin
    numbers   name without ``tierwise_`` -> number, over all labels
    """
    statuses: dict[str, int] = {}
    bins: list[tuple[float, int]] = []
    numbers: dict[str, float] = {}
    for metric in text_string_to_metric_families(metrics.decode()):
        name = metric.name.removeprefix("tierwise_")
        for sample in metric.samples:
            if name == "requests" and sample.name.endswith("_total"):
                statuses[sample.labels["status"]] = int(sample.value)
            elif name == "request_seconds" and sample.name.endswith("_bucket"):
                bins.append((float(sample.labels["le"]), int(sample.value)))
            elif metric.type in ("counter", "gauge") and not name.endswith("_created"):
                numbers[name] = numbers.get(name, 0) + sample.value
    bins.sort()
    bounds = [None if bound == float("inf") else bound for bound, _ in bins]
    return {"statuses": statuses, "bounds": bounds, "counts": [count for _, count in bins], "numbers": numbers}
