"""The C++ kernels: SimTier, MAKE's attention and DIN's on CPU, loaded when they are first asked for."""

import functools
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

# another build of the same sources, such as one with sanitizers, may stand in
LIBRARY = Path(os.environ.get("TIERWISE_NATIVE_LIBRARY") or Path(__file__).parent / "kernels.so")


@functools.cache
def unavailable_reason() -> str | None:
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


def _op(name: str) -> Callable[..., Any]:
    """The C++ op of that name; called where the library, or the op in it, is missing it raises RuntimeError."""

    def call(*arguments: Any) -> Any:
        if (reason := unavailable_reason()) is not None:
            raise RuntimeError(reason)
        if not hasattr(torch.ops.recsys_native, name):
            raise RuntimeError(f"'{LIBRARY}' has no {name}: it was built of earlier sources; run 'make native'")
        return getattr(torch.ops.recsys_native, name)(*arguments)

    return call


# As in the op's ``reference``, in float32. SimTier's products of int8 rows are exact whole numbers.
simtier = _op("simtier")
make_attention = _op("make_attention")
make_attention_backward = _op("make_attention_backward")
target_attention = _op("target_attention")


def name_mapping(address: int, size: int, message: str) -> Callable[[], None]:
    """Have ``message`` written to standard error, and the process ended with status 2, by a SIGBUS in mapped memory.

    Without it the signal, which an access to pages that the file no longer has raises, ends the process with no word.
    Nothing is done where the library is missing, or was built before it could do this.

    Args:
        address: where the mapping of ``size`` bytes begins.

    Returns what takes that back, once the mapping is gone.
    """
    if unavailable_reason() is not None or not hasattr(torch.ops.recsys_native, "name_mapping"):
        return lambda: None
    place = torch.ops.recsys_native.name_mapping(address, size, message)
    return functools.partial(torch.ops.recsys_native.forget_mapping, place)
