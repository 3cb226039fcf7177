"""Which implementations each op has. Dispatcher, tests and benchmarks all read this one table."""

from collections.abc import Callable

import torch

from embeddings.kernels.simtier import reference, vectorised

# op -> implementation -> callable with the op's arguments
IMPLEMENTATIONS: dict[str, dict[str, Callable[..., torch.Tensor]]] = {
    "simtier": {"reference": reference.simtier, "vectorised": vectorised.simtier},
}


def implementation(op: str, name: str) -> Callable[..., torch.Tensor]:
    """The implementation ``name`` of ``op``; "auto" is the fastest that runs everywhere. Raises ValueError."""
    known = IMPLEMENTATIONS[op]
    if name == "auto":
        return known["vectorised"]
    if name not in known:
        raise ValueError(f"{op} has no implementation '{name}'; allowed: auto, {', '.join(known)}")
    return known[name]
