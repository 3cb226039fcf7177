"""The comparison that SimTier's tests rest on rejects these wrong versions, and accepts the right one."""

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from tests.embeddings.kernels.simtier.cases import Case, agrees, edge_case, random_case

CASES = [
    random_case(1, [7, 0, 12, 5], 8, 10),
    random_case(2, [7, 3, 12], 8, 7, dtype=torch.int8, shared_by=6, before=4, after=3),
    random_case(3, [30] * 8, 6, 5, rows=12),  # many a target among its own behaviours: similarity 1
    edge_case(4, [-1.0, -0.5, 0.0, 0.5, 1.0, 1.5, -1.5], torch.float32),
]


def _floor(similarity: float, num_tiers: int) -> int:
    position = (min(max(similarity, -1.0), 1.0) + 1) * num_tiers / 2
    return min(math.floor(position), num_tiers - 1)


def _loop(
    tier: Callable[[float, int], int] = _floor,
    missing_target: float | None = None,
    missing_behaviour: float | None = None,
    target_scaled: bool = True,
    behaviour_scaled: bool = True,
    first_offset_ignored: bool = False,
    bag_index_ignored: bool = False,
    last_dropped: bool = False,
    each_item_once: bool = False,
) -> Callable[..., torch.Tensor]:
    """SimTier with one thing wrong. Tiers outside 0..N-1 are not counted."""

    def counted(*arguments) -> torch.Tensor:
        case = Case(*arguments)
        raw, right = case.table.double().numpy(), case.dequantised()
        counts = np.zeros((len(case.target_rows), case.num_tiers), dtype=np.float32)
        begin = case.offsets - case.offsets[0] if first_offset_ignored else case.offsets
        shared = case.bag_index is not None and not bag_index_ignored
        for b, target in enumerate(case.target_rows.tolist()):
            u = int(case.bag_index[b]) if shared else min(b, len(begin) - 2)
            bag = case.history_rows[begin[u] : begin[u + 1]].tolist()
            bag = bag[:-1] if last_dropped else sorted(set(bag)) if each_item_once else bag
            for row in bag:
                if target < 0:
                    similarity = missing_target
                elif row < 0:
                    similarity = missing_behaviour
                else:
                    similarity = (right if target_scaled else raw)[target] @ (right if behaviour_scaled else raw)[row]
                if similarity is not None and 0 <= (n := tier(similarity, case.num_tiers)) < case.num_tiers:
                    counts[b, n] += 1
        return torch.from_numpy(counts)

    return counted


def _position(similarity: float, num_tiers: int) -> float:
    return (similarity + 1) * num_tiers / 2


WRONG = {
    "ceil, as in the paper's pseudo-code": _loop(lambda s, n: math.ceil(_position(s, n))),
    "ceil less one": _loop(lambda s, n: min(max(math.ceil(_position(s, n)) - 1, 0), n - 1)),
    "similarity 1 dropped": _loop(lambda s, n: math.floor(_position(min(max(s, -1), 1), n))),
    "overflow below dropped": _loop(lambda s, n: min(math.floor(_position(s, n)), n - 1)),
    "overflow below wraps to the last tier": _loop(lambda s, n: _floor(s, n) if s >= -1 else n - 1),
    "rounded": _loop(lambda s, n: min(round(_position(min(max(s, -1), 1), n)), n - 1)),
    "one tier too few": _loop(lambda s, n: _floor(s, n - 1)),
    "tiers over [0, 1]": _loop(lambda s, n: min(max(math.floor(s * n), 0), n - 1)),
    "tiers reversed": _loop(lambda s, n: n - 1 - _floor(s, n)),
    "missing behaviours in the zero tier": _loop(missing_behaviour=0.0),
    "missing behaviours in the lowest tier": _loop(missing_behaviour=-1.0),
    "missing behaviours in the top tier": _loop(missing_behaviour=1.0),
    "missing targets in the zero tier": _loop(missing_target=0.0),
    "target's scale forgotten": _loop(target_scaled=False),
    "behaviour's scale forgotten": _loop(behaviour_scaled=False),
    "offsets taken to start at 0": _loop(first_offset_ignored=True),
    "bag_index ignored": _loop(bag_index_ignored=True),
    "last behaviour dropped": _loop(last_dropped=True),
    "each item once": _loop(each_item_once=True),
    "float64 counts": lambda *arguments: _loop()(*arguments).double(),
    "all zero": lambda *arguments: torch.zeros_like(_loop()(*arguments)),
}


@pytest.mark.parametrize("name", WRONG)
def test_wrong_variants_are_rejected(name: str) -> None:
    assert not all(agrees(WRONG[name], case) for case in CASES)


def test_the_right_variant_is_accepted() -> None:
    assert all(agrees(_loop(), case) for case in CASES)
