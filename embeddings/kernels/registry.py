"""Registry of kernel implementations: each op's, where they run, and the dispatch to the fastest."""

import functools
import importlib
import importlib.util
import os
import warnings
from collections.abc import Callable
from typing import Any

import torch
import torch.distributed as dist

from embeddings.kernels import native
from embeddings.kernels.make_attention import reference as make_reference
from embeddings.kernels.make_attention import vectorised as make_vectorised
from embeddings.kernels.simtier import reference as simtier_reference
from embeddings.kernels.simtier import vectorised as simtier_vectorised
from embeddings.kernels.target_attention import reference as target_reference
from embeddings.kernels.target_attention import vectorised as target_vectorised


def _triton(module: str, function: str) -> Callable[..., Any]:
    """A kernel whose module is imported when it is first called: triton may not be installed."""

    def call(*arguments: Any) -> Any:
        return getattr(importlib.import_module(f"embeddings.kernels.{module}.triton"), function)(*arguments)

    return call


# op -> implementation -> callable with the op's arguments
IMPLEMENTATIONS: dict[str, dict[str, Callable[..., Any]]] = {
    "simtier": {
        "reference": simtier_reference.simtier,
        "vectorised": simtier_vectorised.simtier,
        "native": native.simtier,
        "triton": _triton("simtier", "simtier"),
    },
    "make_attention": {
        "reference": make_reference.make_attention,
        "vectorised": make_vectorised.make_attention,
        "native": native.make_attention,
        "triton": _triton("make_attention", "make_attention"),
    },
    "make_attention_backward": {
        "reference": make_reference.make_attention_backward,
        "vectorised": make_vectorised.make_attention_backward,
        "native": native.make_attention_backward,
        "triton": _triton("make_attention", "make_attention_backward"),
    },
    "target_attention": {  # for the scorer, which runs on CPU
        "reference": target_reference.target_attention,
        "vectorised": target_vectorised.target_attention,
        "native": native.target_attention,
    },
}


def unavailable_reason(name: str, device: torch.device) -> str | None:
    """Why implementation ``name`` cannot run on ``device``; None where it can."""
    if name == "native":
        return native.unavailable_reason() if device.type == "cpu" else f"it runs on CPU, the table is on {device}"
    if name == "triton":
        if importlib.util.find_spec("triton") is None:
            return "triton is not installed"
        interpreted = os.environ.get("TRITON_INTERPRET") == "1"
        return None if device.type == "cuda" or interpreted else f"it runs on CUDA, the table is on {device}"
    return None


def implementation(op: str, name: str, device: torch.device) -> Callable[..., Any]:
    """Implementation ``name`` of ``op``; "auto" is the fastest that the op has and that runs on ``device``.

    Where auto has to do with the vectorised one, it warns once, on rank 0 alone, and says what that costs. Raises
    ValueError for a name that is not in the table, or cannot run there.
    """
    known = IMPLEMENTATIONS[op]
    if name == "auto":
        return known.get(_fastest(device.type), known["vectorised"])
    if name not in known:
        raise ValueError(f"{op} has no implementation '{name}'; allowed: auto, {', '.join(known)}")
    if (reason := unavailable_reason(name, device)) is not None:
        raise ValueError(f"{op}: implementation '{name}' cannot run here: {reason}")
    return known[name]


def called_directly() -> bool:
    """Whether nothing but the result is wanted: no gradient, and no graph of a compiler.

    Then the function behind an op is called instead of the op: torch.library's Python around it takes longer than the
    kernel does for one target.
    """
    return not (torch.is_grad_enabled() or torch.compiler.is_compiling())


@functools.cache
def _fastest(device_type: str) -> str:
    fused = {"cpu": "native", "cuda": "triton"}.get(device_type)
    if fused is None:
        return "vectorised"
    reason = unavailable_reason(fused, torch.device(device_type))
    if reason is None:
        return fused
    if not dist.is_initialized() or dist.get_rank() == 0:  # the first rank says it for all
        warnings.warn(
            f"SimTier and attention run as plain torch, several times slower than the {fused} kernels: {reason}",
            stacklevel=2,
        )
    return "vectorised"
