"""The losses as loops over numbers, in float64: what a reader believes on sight."""

import math


def info_nce(queries, positives, items, temperature, bank=(), keys=None) -> list[float]:
    """Of each query; ``bank`` holds (vector, item), ``keys`` what the bank's encoder makes of the positives."""
    losses = []
    for i, query in enumerate(queries):
        positive = math.exp(dot(query, positives[i]) / temperature)
        others = sum(
            math.exp(dot(query, p) / temperature) for p, item in zip(positives, items, strict=True) if item != items[i]
        )
        moved = dot(query, positives[i]) - dot(query, (keys or positives)[i])
        others += sum(math.exp((dot(query, k) + moved) / temperature) for k, item in bank if item != items[i])
        losses.append(-math.log(positive / (positive + others)))
    return losses


def triplet(query, positive, negative, margin) -> float:
    return max(0.0, (1 - dot(query, positive)) - (1 - dot(query, negative)) + margin)


def dot(a, b) -> float:
    return sum(float(x) * float(y) for x, y in zip(a, b, strict=True))


def accuracy(queries, candidates, positions, n) -> float:
    """Share of queries with their candidate in the first n of a sorted list."""
    right = 0
    for query, position in zip(queries, positions, strict=True):
        order = sorted(range(len(candidates)), key=lambda c: -dot(query, candidates[c]))
        right += position in order[:n]
    return right / len(queries)
