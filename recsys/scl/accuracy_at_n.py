"""Acc@N: the share of queries whose item is among the N candidates closest to them (Sheng et al., 2024)."""

import torch

TIE = 1e-6  # cosines closer than this are equal: equal contents in different batches differ by rounding
_QUERIES_AT_ONCE = 1024


def hits(queries: torch.Tensor, candidates: torch.Tensor, positions: torch.Tensor, at: tuple[int, ...]) -> torch.Tensor:
    """How many queries have their item in the top N, for each N of ``at``; exact, over all candidates.

    Where others are as close as the item, it takes each of their places with the same chance, and the query counts by
    the share of those within the top N: equal vectors for everything score N of C, not all.

        queries     [Q, M]  unit vectors
        candidates  [C, M]  unit vectors
        positions   [Q]     int64, the row in candidates of each query's item
        returns     [len(at)]  float64, in [0, Q]
    """
    total = torch.zeros(len(at), dtype=torch.float64)
    for start in range(0, queries.size(0), _QUERIES_AT_ONCE):
        part = slice(start, start + _QUERIES_AT_ONCE)
        scores = queries[part].float() @ candidates.float().T
        of_item = scores.gather(1, positions[part, None])
        closer = (scores > of_item + TIE).sum(1).double()
        level = (scores >= of_item - TIE).sum(1).double() - closer  # the item among them
        for i, n in enumerate(at):
            total[i] += ((n - closer) / level).clamp(0, 1).sum().cpu()
    return total
