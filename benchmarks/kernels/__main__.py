"""SimTier and MAKE's attention beside what users write today: python -m benchmarks.kernels.

Contenders of a case take turns in one process, round after round; times are medians. ``limit`` is a C++ loop that reads
the same rows and does nothing with them. Half and more of eager's time goes to pages that glibc hands back to the
kernel after every call, so everything is measured twice: as it is (default), and with an allocator that keeps what was
freed (kept). Run it while nothing else runs: other work on the machine slows memory for all.
"""

import ctypes
import json
import os
import random
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

ROOT = Path(__file__).resolve().parents[2]
ALLOCATORS = {"default": {}, "kept": {"MALLOC_MMAP_THRESHOLD_": str(1 << 40), "MALLOC_TRIM_THRESHOLD_": str(1 << 40)}}
ROWS, WIDTH, TARGETS, TIERS = 1_000_000, 128, 1024, 20
LENGTHS = (50, 200, 1000)
HIDDEN = (36, 64)
MAKE_LENGTH = 200
CANDIDATES, SHARED_LENGTH = 256, 1000
SA_TA_LENGTHS, SA_TA_DTYPES = (200, 1000), ("float32", "int8")

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
        name: lambda f=f: f(data.table, target, history, TIERS) for name, f in (plain | {"compiled": compiled}).items()
    }
    for dtype, table in data.tables.items():
        contenders[f"ours {dtype}"] = lambda t=table: simtier(
            t, None, target, history.view(-1), offsets, None, TIERS, "native"
        )
        contenders[f"limit {dtype}"] = lambda t=table: torch.ops.recsys_native.read_rows(t, history.view(-1))
    expected = contenders["eager"]()
    for name, function in contenders.items():  # a time without the right answer is none
        if name.startswith("limit"):
            continue
        moved = (function() - expected).abs().sum() / 2 / history.numel()
        assert moved < (0.05 if "int8" in name else 1e-3), (name, float(moved))
    return contenders


def make_case(data: Data, hidden: int) -> Contenders:
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
            lambda *p, t=table, s=scale: make_attention(t, s, target, flat, offsets, None, *p, "native")
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
        found = function()
        assert torch.equal(found[0], counts), name
        assert len(found) == 1 or float((found[1] - cosines).abs().max()) < 1e-5, name
    return contenders


def measure(contenders: Contenders, rounds: int) -> dict[str, dict[str, Any]]:
    """Contender -> median in microseconds, its samples, and the most memory that a call held on top."""
    for function in contenders.values():
        function()
    samples: dict[str, list[float]] = {name: [] for name in contenders}
    order, shuffle = list(contenders), random.Random(0).shuffle
    for _ in range(rounds):
        shuffle(order)  # so that nobody always finds the rows that the same other has just read
        for name in order:
            start = time.perf_counter()
            contenders[name]()
            samples[name].append((time.perf_counter() - start) * 1e6)
    return {
        name: {
            "median_us": round(statistics.median(found), 1),
            "samples_us": [round(s, 1) for s in found],
            "extra_bytes": extra_bytes(contenders[name]),
        }
        for name, found in samples.items()
    }


def extra_bytes(function: Callable[[], Any]) -> int | None:
    """How far a call raises the process's resident memory, in steps of some 100 KiB as the kernel counts it.

    None where the kernel does not let the peak be reset, or the allocator keeps what was freed: then nothing shows.
    """
    if "MALLOC_TRIM_THRESHOLD_" in os.environ:
        return None
    ctypes.CDLL(None).malloc_trim(0)  # or what earlier calls freed hides what this one takes
    try:
        Path("/proc/self/clear_refs").write_text("5")  # the peak starts again from here
    except OSError:
        return None
    from benchmarks.process_memory import status_bytes

    before = status_bytes("VmRSS")
    function()
    return max(0, status_bytes("VmHWM") - before)


def run_cases(allocator: str, rounds: int, wanted: str) -> None:
    """Measure every case in this process and print a JSON line for each."""
    import torch

    torch.set_num_threads(2)
    data = Data()
    cases: list[tuple[dict[str, Any], Callable[[], Contenders]]] = [
        ({"case": "simtier", "length": n}, lambda n=n: simtier_case(data, n)) for n in LENGTHS
    ]
    cases += [({"case": "make", "length": MAKE_LENGTH, "hidden": h}, lambda h=h: make_case(data, h)) for h in HIDDEN]
    cases += [
        ({"case": "shared", "length": SHARED_LENGTH, "dtype": d}, lambda d=d: shared_case(data, d)) for d in data.tables
    ]
    cases += [
        ({"case": "sa_ta", "length": n, "dtype": d}, lambda n=n, d=d: sa_ta_case(data, n, d))
        for n in SA_TA_LENGTHS
        for d in SA_TA_DTYPES
    ]
    for about, make in cases:
        if wanted in ("all", about["case"]):
            contenders = measure(make(), rounds)
            print(json.dumps({**about, "allocator": allocator, "contenders": contenders}), flush=True)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--rounds", default=9, show_default=True, type=click.IntRange(1), help="Turns of each contender.")
@click.option("--case", "wanted", default="all", type=click.Choice(["all", "simtier", "make", "shared", "sa_ta"]))
@click.option("--out", default=None, help="Folder for the rows; default: benchmarks/results.")
@click.option("--in-process", hidden=True, default=None)
def main(rounds: int, wanted: str, out: str | None, in_process: str | None) -> None:
    """Time the kernels beside their peers; rows in kernels.jsonl."""
    if in_process:
        return run_cases(in_process, rounds, wanted)
    from benchmarks.harness import RESULTS, append
    from embeddings.errors import InputError
    from embeddings.kernels import native

    if (reason := native.unavailable_reason()) is not None:
        raise InputError(f"there is nothing to measure: {reason}")
    shapes = {"rows": ROWS, "width": WIDTH, "targets": TARGETS, "tiers": TIERS, "threads": 2}
    for allocator, settings in ALLOCATORS.items():
        command = [sys.executable, "-m", "benchmarks.kernels", "--in-process", allocator, "--rounds", str(rounds)]
        child = subprocess.Popen(
            [*command, "--case", wanted], cwd=ROOT, env={**os.environ, **settings}, stdout=subprocess.PIPE, text=True
        )
        assert child.stdout is not None
        for line in child.stdout:
            row = json.loads(line)
            times = {name: c["median_us"] for name, c in row["contenders"].items()}
            append("kernels", {"shapes": shapes, **row}, Path(out) if out else RESULTS)
            about = " ".join(f"{k} {row[k]}" for k in ("case", "length", "hidden", "dtype", "allocator") if k in row)
            print(about, *(f"{name} {t / 1e3:.2f} ms" for name, t in times.items()), sep="  ", flush=True)
        if child.wait():
            raise InputError(f"the measurement ended with status {child.returncode}; see its words above")


if __name__ == "__main__":
    from benchmarks.harness import run_command

    sys.exit(run_command(main, "benchmarks.kernels"))
