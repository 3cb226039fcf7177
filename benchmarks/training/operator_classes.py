"""Classes of a training step's operators (input, wait, sparse, backward, optimizer, forward) and the time in each."""

import re
from collections import defaultdict
from collections.abc import Iterable

# An operator belongs to the first class that its own name, or that of a caller, matches; the innermost name decides.
# TorchRec labels its stages. Time inside the backward but in no operator is DDP's wait for its all-reduces.
CLASSES = [
    ("input", r"## next_batch"),
    (
        "wait",
        r"^c10d::|_Wait\b|_Wait$|_Req\w*Backward|Awaitable wait|wait_sparse_data_dist|wait_for_batch|^## backward",
    ),
    ("sparse", r"fbgemm|Lookup|\[(lookup|input_dist|output_dist|splits_dist)\]|start_sparse_data_dist|all2all_data"),
    ("backward", r"^autograd::engine|Backward"),
    ("optimizer", r"## optimizer|## zero_grad|Optimizer\."),
    ("forward", r"^## forward|DistributedDataParallel"),
]
SHARES = [name for name, _ in CLASSES] + ["rest"]


def shares(events: Iterable[tuple[list[str], float]], total: float) -> dict[str, float]:
    """Share of ``total`` by class, the rest included.

    Args:
        events: names from an operator outwards to its outermost caller, and the time in it that is not in a callee.
    """
    times: dict[str, float] = defaultdict(float)
    for names, own in events:
        times[_class(names)] += own
    times["rest"] = max(0.0, total - sum(v for k, v in times.items() if k != "rest"))
    return {name: round(times[name] / total, 4) for name in SHARES}


def _class(names: list[str]) -> str:
    for name in names:
        for kind, pattern in CLASSES:
            if re.search(pattern, name):
                return kind
    return "rest"
