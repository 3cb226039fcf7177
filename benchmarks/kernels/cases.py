"""Cases of the kernels' benchmark: SimTier, attentions of MAKE and DIN, peers; each is checked against eager PyTorch.

``limit`` is a C++ loop that reads the same rows and does nothing with them.
"""

import functools
from collections.abc import Callable
from typing import Any

ROWS, WIDTH, TARGETS, TIERS = 1_000_000, 128, 1024, 20
LENGTHS = (50, 200, 1000)
HIDDEN = (36, 64)
MAKE_LENGTH = 200
CANDIDATES, SHARED_LENGTH = 256, 1000
SA_TA_LENGTHS, SA_TA_DTYPES = (200, 1000), ("float32", "int8")
DIN_SHAPES = ((1000, 1000), (1000, 100), (50, 1000), (50, 1))  # behaviours of one history, and candidates for it
DIN_WIDTH, DIN_HIDDEN = 16, 36
CASES = ("simtier", "make", "shared", "sa_ta", "din")

Contenders = dict[str, Callable[[], Any]]


class Data:
    """One table in every dtype and random histories over it."""

    def __init__(self) -> None:
        import numpy as np
        import torch

        from embeddings.frozen.quantise import encoded
        from embeddings.frozen.table_memory import copied

        draw = torch.Generator().manual_seed(0)
        self.table = torch.nn.functional.normalize(torch.randn(ROWS, WIDTH, generator=draw), dim=1)
        blocks = [encoded(np.arange(len(v)), v.numpy(), "int8") for v in self.table.split(1 << 16)]
        whole, scale = (torch.from_numpy(np.concatenate(parts)) for parts in zip(*blocks, strict=True))
        tables = {"float32": self.table, "float16": self.table.half(), "int8": whole}
        # as a replicated frozen table has them: in huge pages
        self.tables = {dtype: copied(table.numpy(), "cpu") for dtype, table in tables.items()}
        self.table = self.tables["float32"]
        self.scales = {"float32": None, "float16": None, "int8": scale}
        self.draw = draw

    def rows(self, *shape: int) -> Any:
        """Row numbers drawn evenly, int64 of ``shape``."""
        import torch

        return torch.randint(0, ROWS, shape, generator=self.draw)


def simtier_case(data: Data, length: int) -> Contenders:
    """SimTier at B = 1024: the peers, ours in three dtypes, the limit."""
    import torch

    from benchmarks.kernels import peers
    from embeddings.kernels.simtier.op import simtier

    target, history = data.rows(TARGETS), data.rows(TARGETS, length)
    offsets = torch.arange(TARGETS + 1) * length
    compiled = torch.compile(peers.simtier_eager, dynamic=False)
    plain = {"eager": peers.simtier_eager, "one-hot": peers.simtier_onehot, "fbgemm": peers.simtier_fbgemm}
    contenders: Contenders = {
        name: functools.partial(f, data.table, target, history, TIERS)
        for name, f in (plain | {"compiled": compiled}).items()
    }
    for dtype, table in data.tables.items():
        contenders[f"ours {dtype}"] = functools.partial(
            simtier, table, None, target, history.view(-1), offsets, None, TIERS, "native"
        )
        contenders[f"limit {dtype}"] = functools.partial(torch.ops.recsys_native.read_rows, table, history.view(-1))
    expected = contenders["eager"]()
    for name, function in contenders.items():  # a time without the right answer is none
        if name.startswith("limit"):
            continue
        moved = (function() - expected).abs().sum() / 2 / history.numel()
        assert moved < (0.05 if "int8" in name else 1e-3), (name, float(moved))
    return contenders


def make_attention_case(data: Data, hidden: int) -> Contenders:
    """MAKE's attention, forward and backward, at L = 200."""
    import torch

    from benchmarks.kernels import peers
    from embeddings.kernels.make_attention.op import make_attention

    target, history = data.rows(TARGETS), data.rows(TARGETS, MAKE_LENGTH)
    offsets = torch.arange(TARGETS + 1) * MAKE_LENGTH
    shapes = [(hidden, 4 * WIDTH), (hidden,), (hidden,), (hidden,)]
    parameters = [(torch.randn(s, generator=data.draw) * s[-1] ** -0.5).requires_grad_() for s in shapes]
    upstream = torch.randn(TARGETS, WIDTH, generator=data.draw)
    compiled = torch.compile(peers.make_eager, dynamic=False)

    def both(forward: Callable[..., Any]) -> Callable[[], Any]:
        def run() -> Any:
            return torch.autograd.grad(forward(*parameters), parameters, upstream)

        return run

    contenders = {
        "eager": both(lambda *p: peers.make_eager(data.table, target, history, *p)),
        "fbgemm": both(lambda *p: peers.make_fbgemm(data.table, target, history, *p)),
        "compiled": both(lambda *p: compiled(data.table, target, history, *p)),
    }
    flat = history.view(-1)
    for dtype, table in data.tables.items():
        scale = data.scales[dtype]
        contenders[f"ours {dtype}"] = both(
            lambda weight, bias, slope, score, t=table, s=scale: make_attention(
                t, s, target, flat, offsets, None, weight, bias, slope, score, "native"
            )
        )
    expected = contenders["eager"]()
    for name, function in contenders.items():
        allowed = 0.15 if "int8" in name else 0.03 if "float16" in name else 2e-3  # those two round the table
        for got, right in zip(function(), expected, strict=True):
            off = float((got - right).abs().max() / right.abs().max())
            assert off < allowed, (name, off)
    return contenders


def shared_case(data: Data, dtype: str) -> Contenders:
    """256 candidates against one history of 1000: with bag_index, and without."""
    import torch

    from embeddings.kernels.simtier.op import simtier

    table = data.tables[dtype]
    target, history = data.rows(CANDIDATES), data.rows(SHARED_LENGTH)
    bags, one = torch.zeros(CANDIDATES, dtype=torch.long), torch.tensor([0, SHARED_LENGTH])
    repeated, offsets = history.repeat(CANDIDATES), torch.arange(CANDIDATES + 1) * SHARED_LENGTH
    contenders: Contenders = {
        "ours": lambda: simtier(table, None, target, history, one, bags, TIERS, "native"),
        "separate": lambda: simtier(table, None, target, repeated, offsets, None, TIERS, "native"),
    }
    assert (contenders["ours"]() - contenders["separate"]()).abs().sum() <= 1e-4 * repeated.numel()
    return contenders


def sa_ta_case(data: Data, length: int, dtype: str) -> Contenders:
    """SimTier's counts and SA-TA's cosines: of one pass, of two passes, and of one and gathered vectors."""
    import torch

    from embeddings.frozen.frozen_rows import FrozenRows
    from embeddings.frozen.table import FrozenTable

    rows = FrozenRows(data.rows(TARGETS), data.rows(TARGETS * length), torch.arange(TARGETS + 1) * length)
    table = FrozenTable.of(data.tables[dtype], data.scales[dtype])

    def gathered() -> torch.Tensor:
        behaviours = table.gather(rows.history).view(TARGETS, length, WIDTH)
        return (behaviours * table.gather(rows.target).unsqueeze(1)).sum(2).view(-1, 1)

    contenders: Contenders = {
        "ours": lambda: table.tier_counts_and_cosines(rows, TIERS),
        "two passes": lambda: (table.tier_counts(rows, TIERS), table.cosines(rows)),
        "gathered": lambda: (table.tier_counts(rows, TIERS), gathered()),
        "SimTier alone": lambda: (table.tier_counts(rows, TIERS),),
    }
    counts, cosines = contenders["gathered"]()
    for name, function in contenders.items():
        results = function()
        assert torch.equal(results[0], counts), name
        assert len(results) == 1 or float((results[1] - cosines).abs().max()) < 1e-5, name
    return contenders


def din_case(data: Data, length: int, candidates: int) -> Contenders:
    """DIN's target attention as a scorer asks for it: one history for all candidates, which the peers spread out."""
    import torch

    from recsys.models.target_attention import TargetAttention, spread_bags

    attention = TargetAttention(DIN_WIDTH, [DIN_HIDDEN]).requires_grad_(False)
    target = torch.randn(candidates, DIN_WIDTH, generator=data.draw)
    behaviours = torch.randn(length, DIN_WIDTH, generator=data.draw)
    lengths, bags = torch.tensor([length]), torch.zeros(candidates, dtype=torch.long)
    compiled = torch.compile(attention.forward, dynamic=False)

    def without_gradient(forward: Callable[[], torch.Tensor]) -> Callable[[], torch.Tensor]:
        return torch.no_grad()(forward)

    contenders: Contenders = {
        "eager": without_gradient(lambda: attention(target, *spread_bags(behaviours, lengths, bags))),
        "compiled": without_gradient(lambda: compiled(target, *spread_bags(behaviours, lengths, bags))),
        "ours": without_gradient(lambda: attention(target, behaviours, lengths, None, bags)),
    }
    expected = contenders["eager"]()
    for name, function in contenders.items():
        off = float((function() - expected).abs().max() / expected.abs().max())
        assert off < 1e-5, (name, off)
    return contenders


def all_cases(data: Data) -> list[tuple[dict[str, Any], Callable[[], Contenders]]]:
    """Every case: what its row says of it, and what builds and checks its contenders."""
    cases: list[tuple[dict[str, Any], Callable[[], Contenders]]] = [
        ({"case": "simtier", "length": n}, functools.partial(simtier_case, data, n)) for n in LENGTHS
    ]
    cases += [
        ({"case": "make", "length": MAKE_LENGTH, "hidden": h}, functools.partial(make_attention_case, data, h))
        for h in HIDDEN
    ]
    cases += [
        ({"case": "shared", "length": SHARED_LENGTH, "dtype": d}, functools.partial(shared_case, data, d))
        for d in data.tables
    ]
    cases += [
        ({"case": "sa_ta", "length": n, "dtype": d}, functools.partial(sa_ta_case, data, n, d))
        for n in SA_TA_LENGTHS
        for d in SA_TA_DTYPES
    ]
    cases += [
        ({"case": "din", "length": n, "targets": b, "width": DIN_WIDTH, "hidden": DIN_HIDDEN},
         functools.partial(din_case, data, n, b))
        for n, b in DIN_SHAPES
    ]  # fmt: skip
    return cases
