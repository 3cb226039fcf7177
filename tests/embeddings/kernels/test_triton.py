"""The Triton kernels without a GPU: their answers in Triton's interpreter, and what the compiler makes of them.

The interpreter must be chosen before triton is imported, so one child process computes every answer, and a test for
each reads its result. Compilation is for devices that need not be there; the disassembly tells what spills.
"""

import functools
import importlib.util
import json
import os
import re
import subprocess
import sys
import traceback
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from embeddings.kernels.make_attention import reference as make_reference
from tests.embeddings.kernels.bags import TABLE_DTYPES, random_bags, table_beyond_32_bits
from tests.embeddings.kernels.compiled import Compiled
from tests.embeddings.kernels.simtier.cases import Case, agrees, cosines_agree, edge_case, exact_case, random_case

INTERPRETED = os.environ.get("TRITON_INTERPRET") == "1"
pytestmark = [
    pytest.mark.skipif(importlib.util.find_spec("triton") is None, reason="triton is not installed"),
    pytest.mark.skipif(INTERPRETED, reason="TRITON_INTERPRET=1 leaves nothing to compile; unset it"),
]

SHAPES = {
    "no targets": dict(lengths=[], width=4),
    "no behaviours": dict(lengths=[0, 0], width=3),
    "one pair": dict(lengths=[1], width=1),
    "odd": dict(lengths=[1, 0, 7, 13, 70, 0], width=33, before=3, after=2),
    "wider than a tile": dict(lengths=[40, 3], width=150),
    "longer than a piece": dict(lengths=[512, 1100, 0, 513, 3], width=16, before=700, after=900),
    "int32": dict(lengths=[6, 0, 600], width=5, index_dtype=torch.int32, before=1),
    "shared": dict(lengths=[6, 0, 40], width=5, shared_by=9, before=2, after=1),
    "shared int32": dict(lengths=[6, 4], width=64, shared_by=12, index_dtype=torch.int32),
    "shared, wide": dict(lengths=[40, 3], width=150, shared_by=5),
    "shared, long": dict(lengths=[1100, 0, 513], width=16, shared_by=4),
    "shared by many": dict(lengths=[9, 0, 3], width=20, shared_by=220),
    "bags without targets": dict(lengths=[3, 4], width=5, shared_by=0),
}
WITH_COSINES = ("odd", "int32", "wider than a tile", "longer than a piece", "shared", "shared, wide", "shared, long")
EDGES = [-1.0, -0.75, -0.5, -0.25, 0.0, 0.25, 0.5, 0.75, 1.0, 1.5, -1.5, 1.015625, -1.015625]


def _answers() -> dict:
    """What the child process checks, by name: functions without arguments that return whether all is well."""
    from embeddings.kernels.simtier.triton import simtier

    checks = {}
    for dtype in TABLE_DTYPES:
        for shape, options in SHAPES.items():
            for tiers in (1, 20, 256) if shape in ("odd", "shared") else (20,):
                for norms in {False, dtype == torch.int8}:
                    case = functools.partial(random_case, 7, num_tiers=tiers, **options, dtype=dtype, own_norms=norms)
                    checks[f"simtier {dtype} {shape} {tiers} {norms}"] = lambda case=case: agrees(simtier, case())
                    if shape in WITH_COSINES and tiers == 20:
                        checks[f"cosines {dtype} {shape} {norms}"] = lambda case=case: cosines_agree(simtier, case())
            if "many" in shape or ("long" in shape and dtype != torch.int8):
                continue  # the reference takes seconds
            for hiddens in {"odd": (1, 36, 70), "wider than a tile": (70,)}.get(shape, (36,)):
                arguments = (options, dtype, hiddens)
                checks[f"make {dtype} {shape} {hiddens}"] = lambda a=arguments: _make_agrees(*a)
        for tiers in (4, 20, 256):
            edges = functools.partial(edge_case, tiers, EDGES, dtype)
            checks[f"simtier {dtype} edges {tiers}"] = lambda edges=edges: _agree_alone_and_shared(simtier, edges())
            shared = functools.partial(exact_case, 3, [90, 40], 16, tiers, dtype=dtype, shared_by=50)
            checks[f"simtier {dtype} shared edges {tiers}"] = lambda case=shared: agrees(simtier, case())
        for by in (None, 6):
            case = random_case(5, [3, 0, 8], 9, 12, dtype=dtype, shared_by=by)
            checks[f"simtier {dtype} strided {by}"] = lambda case=case: agrees(simtier, case.strided())
        checks[f"make {dtype} strided"] = lambda dtype=dtype: _make_agrees(SHAPES["shared"], dtype, 5, strided=True)
    for by in (None, 3):
        checks[f"simtier table beyond 32 bits {by}"] = lambda by=by: _same_far_away(simtier, by)
        for row in (-2, 40):
            for what in ("target_rows", "history_rows"):
                checks[f"{what} {row} {by}"] = lambda by=by, row=row, what=what: _refuses(what, row, by)
    for bag in (-1, 2):
        checks[f"bag_index {bag}"] = lambda bag=bag: _refuses("bag_index", bag, 3)
    return checks


def _agree_alone_and_shared(simtier, case: Case) -> bool:
    shared = replace(case, target_rows=torch.tensor([0, -1, 0]), bag_index=torch.tensor([0, 0, 0]))
    return agrees(simtier, case) and agrees(simtier, shared)


def _same_far_away(simtier, shared_by: int | None) -> bool:
    """The same rows past 2 ** 31 bytes of a table have the same counts."""
    near = random_case(1, [7, 5, 9], 64, 20, shared_by=shared_by, rows=4, dtype=torch.int8)
    rows = [2**31 // 64 + i for i in (-1, 0, 50, 99)]
    table, scale = table_beyond_32_bits(rows, np.random.default_rng(2))
    table[rows], scale[rows] = near.table, near.scale
    names = torch.tensor([*rows, -1])  # the last is that of -1
    far = replace(near, target_rows=names[near.target_rows], history_rows=names[near.history_rows])
    return torch.equal(simtier(*replace(far, table=table, scale=scale).arguments), simtier(*near.arguments))


def _refuses(what: str, value: int, shared_by: int | None) -> bool:
    from embeddings.kernels.make_attention.triton import make_attention, make_attention_backward
    from embeddings.kernels.simtier.triton import simtier

    bags = random_bags(np.random.default_rng(6), [3, 4], 9, shared_by=shared_by)
    bags = replace(bags, target_rows=torch.ones_like(bags.target_rows))  # of a missing target no behaviour is read
    wrong = replace(bags, **{what: torch.full_like(getattr(bags, what), value)})
    parameters, gradient = _parameters(2, 9), torch.ones(len(bags.target_rows), 9)
    calls = [
        lambda: simtier(*wrong.arguments, 12),
        lambda: make_attention(*wrong.arguments, *parameters),
        lambda: make_attention_backward(gradient, *wrong.arguments, *parameters),
    ]
    return all(map(_raises, calls))


def _raises(call) -> bool:
    try:
        call()
    except Exception as error:
        return "not in the table" in str(error) or "no such bag" in str(error)
    return False


def _parameters(hiddens: int, width: int) -> list[torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    weight, *others = (torch.randn(hiddens, n, generator=draw) for n in (4 * width, 1, 1, 1))
    return [weight / width**0.5, *(o.squeeze(1) / 2 for o in others)]


def _make_agrees(options: dict, dtype: torch.dtype, hiddens: int, strided: bool = False) -> bool:
    """The result and the four gradients are those of the reference, up to float32's rounding."""
    from embeddings.kernels.make_attention import triton

    width = options["width"]
    bags = random_bags(np.random.default_rng(3), dtype=dtype, **options)
    parameters = _parameters(hiddens, width)
    given = bags.strided() if strided else bags
    gradient = torch.randn(len(bags.target_rows), width, generator=torch.Generator().manual_seed(1))
    result = triton.make_attention(*given.arguments, *parameters)
    grads = triton.make_attention_backward(gradient, *given.arguments, *parameters)
    expected = make_reference.make_attention(*bags.arguments, *parameters)
    expected_grads = make_reference.make_attention_backward(gradient, *bags.arguments, *parameters)
    return all(
        g.dtype == torch.float32 and g.shape == e.shape and bool(((g - e).abs() <= 1e-5 * (1 + e.abs().max())).all())
        for g, e in zip((result, *grads), (expected, *expected_grads), strict=True)
        if g.shape != e.shape or e.numel()
    )


def _report() -> dict[str, str]:
    """Of each check: "" where all is well."""
    from triton.runtime import interpreter

    from embeddings.kernels.make_attention import triton as make

    make.BACKWARD_PROGRAMS = 3  # fewer than most cases have pieces
    torch.use_deterministic_algorithms(True)  # fills torch.empty with NaN, so that reading it shows
    builder = interpreter.interpreter_builder
    builder.options = replace(builder.options, debug=True)  # or assertions are skipped, whatever the launch says
    problems = {}
    for name, check in _answers().items():
        try:
            problems[name] = "" if check() else "a wrong answer"
        except Exception:
            problems[name] = traceback.format_exc()
    return problems


@pytest.fixture(scope="module")
def report() -> dict[str, str]:
    environment = os.environ | {"TRITON_INTERPRET": "1", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "ignore", "-m", "tests.embeddings.kernels.test_triton"]
    root = Path(__file__).parents[3]
    child = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, timeout=600)
    assert child.returncode == 0, child.stderr
    return json.loads(child.stdout)


GROUPS = [f"{op} {dtype} " for op in ("simtier", "cosines", "make") for dtype in TABLE_DTYPES]


@pytest.mark.parametrize("group", [*GROUPS, "simtier table", "target_rows", "history_rows", "bag_index"])
def test_interpreted(report: dict[str, str], group: str) -> None:
    results = {name: result for name, result in report.items() if name.startswith(group)}
    assert results
    wrong = [f"{name}: {result}" for name, result in results.items() if result]
    assert not wrong, "\n".join(wrong)


def _kernels(dtype: torch.dtype, width: int) -> dict[str, tuple]:
    """Main configurations: kernel and constants."""
    from embeddings.kernels.make_attention import triton as make
    from embeddings.kernels.simtier import triton as simtier

    kernels = {}
    for scaled in (False, True) if dtype == torch.int8 else (False,):
        for cosines in (False, True):
            how = (dtype, scaled, width, 20, cosines)
            also = ", scaled" * scaled + ", cosines" * cosines
            for length in (20, 1000):
                kernels[f"own bags of {length}{also}"] = simtier.count_own_bags, simtier.own_options(*how, length)
            for targets in (8, 500):
                name = f"shared bags, {targets} targets{also}"
                kernels[name] = simtier.count_shared_bags, simtier.shared_options(*how, targets)
    for hiddens in (36, 64):
        kernels[f"attend {hiddens}"] = make.attend, make.constants(dtype, width, hiddens, False)
        backward = make.constants(dtype, width, hiddens, False, backward=True)
        kernels[f"attend backward {hiddens}"] = make.attend_backward, backward
    shared = make.constants(dtype, width, 64, True)
    return kernels | {"attend, shared": (make.attend, shared)}


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """For the cubin and, so that every run compiles, triton's cache."""
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path / "cache"))
    return tmp_path


def _check(name: str, dtype: torch.dtype, width: int, arch: int, folder: Path) -> None:
    kernel, options = _kernels(dtype, width)[name]
    compiled = Compiled(kernel, options, dtype, arch, folder)
    where = f"{name}, {dtype}, M = {width}, sm_{arch}: {compiled.registers} registers"
    print(where)
    assert compiled.spills == 0, f"{where}, {compiled.spills} accesses to local memory"
    if name.startswith("own"):
        return  # many small programs hide each other's waits
    assert "cp.async" in compiled.ptx, f"{where}: the loop is not pipelined"
    assert "mma" in compiled.ptx or (dtype == torch.float32 and "shared bags" in name), f"{where}: no tensor cores"
    if "500 targets" in name and dtype != torch.float32:
        kinds = {torch.int8: r"s32\.s8\.s8", torch.float16: r"f32\.f16\.f16", torch.bfloat16: r"f32\.bf16\.bf16"}
        instruction = "wgmma.mma_async" if arch == 90 else "mma.sync"
        assert re.search(rf"{instruction}\S*{kinds[dtype]}", compiled.ptx), f"{where}: other inputs"


@pytest.mark.parametrize(
    ("name", "dtype"),
    [
        ("own bags of 20", torch.float32),
        ("shared bags, 500 targets", torch.int8),
        ("attend 64", torch.float16),
        ("attend backward 64", torch.float32),
    ],
)
def test_a_kernel_of_each_kind_compiles_without_spills(name: str, dtype: torch.dtype, folder: Path) -> None:
    _check(name, dtype, 64, 90, folder)


@pytest.mark.slow
@pytest.mark.parametrize("arch", [80, 90])
@pytest.mark.parametrize("width", [64, 128])
@pytest.mark.parametrize("dtype", TABLE_DTYPES, ids=str)
def test_every_kernel_compiles_without_spills(dtype: torch.dtype, width: int, arch: int, folder: Path) -> None:
    for name in _kernels(dtype, width):
        _check(name, dtype, width, arch, folder)


if __name__ == "__main__":
    print(json.dumps(_report()))
