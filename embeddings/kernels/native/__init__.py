"""The C++ kernels: SimTier and MAKE's attention on CPU, loaded when they are first asked for."""

import functools
import os
from pathlib import Path
from typing import Any

import torch

# another build of the same sources, such as one with sanitizers, may stand in
LIBRARY = Path(os.environ.get("TIERWISE_NATIVE_LIBRARY") or Path(__file__).parent / "kernels.so")


@functools.cache
def obstacle() -> str | None:
    """Why the kernels cannot be used; None, and they are loaded, where they can.

    Raises RuntimeError instead where TIERWISE_REQUIRE_NATIVE=1.
    """
    reason = _load()
    if reason is not None and os.environ.get("TIERWISE_REQUIRE_NATIVE") == "1":
        raise RuntimeError(f"TIERWISE_REQUIRE_NATIVE=1, but {reason}")
    return reason


def _load() -> str | None:
    if not LIBRARY.is_file():
        return f"'{LIBRARY}' is not built; install a C++ compiler and run 'make native'"
    try:
        torch.ops.load_library(LIBRARY)
    except OSError as error:
        return f"'{LIBRARY}' does not load ({error}); run 'make native' to build it for this torch"
    return None


def _ops() -> Any:
    if (reason := obstacle()) is not None:
        raise RuntimeError(reason)
    return torch.ops.recsys_native


def simtier(
    table: torch.Tensor,
    scale: torch.Tensor | None,
    target_rows: torch.Tensor,
    history_rows: torch.Tensor,
    offsets: torch.Tensor,
    bag_index: torch.Tensor | None,
    num_tiers: int,
) -> torch.Tensor:
    """Tier counts as in ``embeddings.kernels.simtier.reference``. int8 products are exact whole numbers."""
    return _ops().simtier(table, scale, target_rows, history_rows, offsets, bag_index, num_tiers)


def make_attention(*arguments: torch.Tensor | None) -> torch.Tensor:
    """As in ``embeddings.kernels.make_attention.reference``, in float32."""
    return _ops().make_attention(*arguments)


def make_attention_backward(
    *arguments: torch.Tensor | None,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """Gradients as in ``embeddings.kernels.make_attention.reference``, in float32."""
    return _ops().make_attention_backward(*arguments)
