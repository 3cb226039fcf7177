"""Which implementation a call gets: auto's choice and its one warning, names that are wrong or cannot run."""

import importlib.util
import re
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import torch.distributed as dist

from embeddings.kernels import native, registry
from embeddings.kernels.registry import IMPLEMENTATIONS, implementation, unavailable_reason

CPU, CUDA = torch.device("cpu"), torch.device("cuda", 0)
FIND_SPEC = importlib.util.find_spec


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing remembered of what runs here, before and after."""
    monkeypatch.delenv("TIERWISE_REQUIRE_NATIVE", raising=False)
    monkeypatch.delenv("TRITON_INTERPRET", raising=False)
    for cached in (native.unavailable_reason, registry._fastest):
        cached.cache_clear()
    yield
    for cached in (native.unavailable_reason, registry._fastest):
        cached.cache_clear()


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(native, "_load", lambda: None)


@pytest.fixture
def not_built(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    missing = tmp_path / "kernels.so"
    monkeypatch.setattr(native, "LIBRARY", missing)
    return missing


@pytest.fixture(params=[True, False])
def triton(request, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Is triton installed?"""
    spec = object() if request.param else None
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, *a: spec if name == "triton" else FIND_SPEC(name, *a))
    return request.param


def test_every_op_has_the_same_implementations() -> None:
    for op, known in IMPLEMENTATIONS.items():
        on_cpu = ["reference", "vectorised", "native"]
        assert list(known) == (on_cpu if op == "target_attention" else [*on_cpu, "triton"]), op


@pytest.mark.parametrize("op", IMPLEMENTATIONS)
def test_auto_is_native_where_it_is_built(op: str, built: None) -> None:
    assert implementation(op, "auto", CPU) is IMPLEMENTATIONS[op]["native"]


def test_the_library_that_is_built_here_loads() -> None:
    if not native.LIBRARY.is_file():
        pytest.skip("the kernels are not built")
    assert native.unavailable_reason() is None
    assert implementation("simtier", "auto", CPU) is native.simtier


def test_auto_is_vectorised_with_one_warning_where_it_is_not(not_built: Path) -> None:
    with pytest.warns(UserWarning) as caught:
        for _ in range(3):
            for op, known in IMPLEMENTATIONS.items():
                assert implementation(op, "auto", CPU) is known["vectorised"]
    assert len(caught) == 1
    message = str(caught[0].message)
    assert "SimTier and attention run as plain torch, several times slower than the native kernels" in message
    assert f"'{not_built}' is not built; install a C++ compiler and run 'make native'" in message


@pytest.mark.parametrize(("rank", "warned"), [(0, 1), (1, 0)])
def test_the_first_rank_warns_for_all(rank: int, warned: int, not_built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dist, "is_initialized", lambda: True)
    monkeypatch.setattr(dist, "get_rank", lambda: rank)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        assert implementation("simtier", "auto", CPU) is IMPLEMENTATIONS["simtier"]["vectorised"]
    assert len(caught) == warned


def test_a_name_is_taken_without_a_warning(not_built: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for op, known in IMPLEMENTATIONS.items():
            assert all(implementation(op, name, CPU) is known[name] for name in ("reference", "vectorised"))


def test_auto_on_cuda_is_triton_or_vectorised_with_one_warning(triton: bool) -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for op, known in IMPLEMENTATIONS.items():
            fused = triton and op != "target_attention"  # which no kernel for CUDA computes
            assert implementation(op, "auto", CUDA) is known["triton" if fused else "vectorised"]
    messages = [str(w.message) for w in caught]
    assert len(messages) == (0 if triton else 1)
    assert all("slower than the triton kernels: triton is not installed" in m for m in messages)


def test_auto_elsewhere_is_vectorised_and_says_nothing() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert implementation("simtier", "auto", torch.device("meta")) is IMPLEMENTATIONS["simtier"]["vectorised"]


@pytest.mark.parametrize("op", IMPLEMENTATIONS)
def test_required_but_not_built(op: str, not_built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIERWISE_REQUIRE_NATIVE", "1")
    for name in ("auto", "native", "auto"):
        with pytest.raises(RuntimeError, match=f"TIERWISE_REQUIRE_NATIVE=1, but '{re.escape(str(not_built))}' is not"):
            implementation(op, name, CPU)
    assert implementation(op, "vectorised", CPU) is IMPLEMENTATIONS[op]["vectorised"]


@pytest.mark.parametrize("value", ["0", ""])
def test_not_required(value: str, not_built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIERWISE_REQUIRE_NATIVE", value)
    assert "is not built" in str(unavailable_reason("native", CPU))


def test_required_and_built(built: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TIERWISE_REQUIRE_NATIVE", "1")
    assert unavailable_reason("native", CPU) is None


def test_a_file_that_is_no_library(not_built: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    not_built.write_text("no library\n")
    reason = str(unavailable_reason("native", CPU))
    assert reason.startswith(f"'{not_built}' does not load (")
    assert reason.endswith("); run 'make native' to build it for this torch")
    native.unavailable_reason.cache_clear()
    monkeypatch.setenv("TIERWISE_REQUIRE_NATIVE", "1")
    with pytest.raises(RuntimeError, match=r"TIERWISE_REQUIRE_NATIVE=1, but .*does not load"):
        implementation("simtier", "auto", CPU)


def test_a_library_of_earlier_sources(built: None) -> None:
    with pytest.raises(RuntimeError, match=r"kernels.so' has no new_op: it was built of earlier sources; run 'm"):
        native._op("new_op")(1)


@pytest.mark.parametrize("op", IMPLEMENTATIONS)
def test_an_unknown_name(op: str) -> None:
    names = "auto, reference, vectorised, native" + (", triton" if op != "target_attention" else "")
    message = f"^{op} has no implementation 'fast'; allowed: {names}$"
    with pytest.raises(ValueError, match=message):
        implementation(op, "fast", CPU)


def test_names_that_cannot_run(not_built: Path) -> None:
    with pytest.raises(
        ValueError, match=r"^simtier: implementation 'native' cannot run here: '.*kernels.so' is not built"
    ):
        implementation("simtier", "native", CPU)
    with pytest.raises(ValueError, match="'native' cannot run here: it runs on CPU, the table is on cuda:0"):
        implementation("make_attention", "native", CUDA)


def test_triton_on_cpu(triton: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    reason = "it runs on CUDA, the table is on cpu" if triton else "triton is not installed"
    with pytest.raises(ValueError, match=f"^simtier: implementation 'triton' cannot run here: {reason}$"):
        implementation("simtier", "triton", CPU)
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    assert (unavailable_reason("triton", CPU) is None) == triton
