"""Makes torchvision importable, for timm and transformers, where its compiled operators do not fit the torch here."""

from importlib.util import find_spec
from pathlib import Path

import torch

_KEPT: list[torch.library.Library] = []  # its operators go when it goes


def importable_torchvision() -> None:
    """Have torchvision be importable without its compiled operators. To be called before timm or transformers.

    The package index has a torchvision built for CUDA; beside a torch for CPU its library does not load, and its Python
    stops at operators that nobody declared. The models use none of them.
    """
    package = find_spec("torchvision")
    if _KEPT or package is None:
        return
    assert package.submodule_search_locations is not None
    (folder,) = package.submodule_search_locations
    try:
        for library in Path(folder).glob("_C*.so"):
            torch.ops.load_library(str(library))
    except OSError:
        _KEPT.append(torch.library.Library("torchvision", "DEF"))
        for name in ("nms", "qnms"):
            _KEPT[0].define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
