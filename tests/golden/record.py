"""Golden files: what is stored of a run, on what kind of machine it was made, and how far another run is from it."""

import base64
import json
import os
import platform
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np

from tests.conftest import ROOT
from tests.golden.cases import Case, Curves

FOLDER = Path(__file__).parent / "losses"
PACKAGES = ("torch", "torchrec", "fbgemm-gpu-cpu", "fbgemm-gpu", "numpy", "torchvision", "pillow", "tokenizers")
A_LINE = 112  # characters
AVX512 = {"avx512f", "avx512bw", "avx512dq", "avx512vl", "avx512_vnni"}
AMX = {"avx512_bf16", "amx_tile", "amx_int8", "amx_bf16"}


def machine() -> dict[str, Any]:
    """What the bits of a result may depend on: processor, instruction sets, versions."""
    import torch

    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").is_file() else ""
    about = dict(re.findall(r"^(\S[^\t:]*?)\s*: (.*)$", text.split("\n\n")[0], re.MULTILINE))
    numbers = "/".join(about.get(key, "?") for key in ("cpu family", "model", "stepping"))
    return {
        "processor": f"{about.get('model name', platform.processor())} {numbers}",
        "native kernels": _native(set(about.get("flags", "").split())),
        "torch's kernels": torch.backends.cpu.get_cpu_capability(),
        "versions": {name: there for name in PACKAGES if (there := _installed(name)) is not None},
    }


def _native(flags: set[str]) -> str:
    """The instruction set that the native kernels take, chosen as they do; "none" where they are not built."""
    packages = [path.parent for path in ROOT.glob("*/__init__.py")]
    if not any(library for package in packages for library in package.rglob("kernels.so")):
        return "none"
    order = ["portable", "avx2", "avx512", "amx"]
    has = [True, {"avx2", "fma"} <= flags, flags >= AVX512, flags >= AVX512 | AMX]
    widest = order.index(os.environ.get("TIERWISE_ISA", "amx"))
    return next(name for name, there in reversed(list(zip(order[: widest + 1], has, strict=False))) if there)


def _installed(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def write(case: Case, ranks: int, curves: Curves, deterministic: bool) -> None:
    """Store a case's run on ``ranks`` ranks; its file keeps the other ones."""
    path = FOLDER / f"{case.name}.json"
    stored = json.loads(path.read_text()) if path.exists() else {}
    losses = {}
    for name, curve in curves.losses.items():
        text = base64.b64encode(curve.astype("<f4").tobytes()).decode()
        losses[name] = [text[i : i + A_LINE] for i in range(0, len(text), A_LINE)]
    stored[str(ranks)] = {
        "machine": machine(), "deterministic": deterministic, "losses": losses, "metrics": curves.metrics
    }  # fmt: skip
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(dict(sorted(stored.items())), indent=0) + "\n")


def read(case: Case, ranks: int) -> tuple[Curves, bool]:
    """What is stored, and whether a run here must give the same bits."""
    stored = json.loads((FOLDER / f"{case.name}.json").read_text())[str(ranks)]
    losses = {
        name: np.frombuffer(base64.b64decode("".join(lines)), "<f4").astype(np.float32)
        for name, lines in stored["losses"].items()
    }
    return Curves(losses, stored["metrics"]), stored["deterministic"] and stored["machine"] == machine()


def deviation(measured: Curves, golden: Curves) -> tuple[float, float]:
    """The largest difference of a loss, over the mean of its golden curve; and of a metric, as it is."""
    assert measured.losses.keys() == golden.losses.keys() and measured.metrics.keys() == golden.metrics.keys()
    losses = [
        float(np.abs(measured.losses[name].astype(np.float64) - curve).max() / np.abs(curve).mean(dtype=np.float64))
        for name, curve in golden.losses.items()
    ]
    return max(losses), max(abs(measured.metrics[name] - value) for name, value in golden.metrics.items())


def differences(case: Case, measured: Curves, golden: Curves, same_bits: bool) -> list[str]:
    """What is wrong with a run, a line each; none where it holds."""
    wrong = []
    for name, curve in golden.losses.items():
        limit = 0.0 if same_bits else case.tolerance * float(np.abs(curve).mean(dtype=np.float64))
        off = np.abs(measured.losses[name].astype(np.float64) - curve)
        if (bad := np.flatnonzero(~(off <= limit))).size:
            first, worst = int(bad[0]), int(off.argmax())
            values = f"{measured.losses[name][first]:.9g}, golden {curve[first]:.9g}"
            wrong.append(
                f"{name}: {bad.size} of {curve.size} steps are off by more than {limit:.2g}, the first is step "
                f"{first + 1} ({values}), and step {worst + 1} by {off[worst]:.2g}"
            )
    for name, value in golden.metrics.items():
        if not abs(measured.metrics[name] - value) <= (0 if same_bits else case.metric_tolerance):
            wrong.append(f"validation {name}: {measured.metrics[name]:.9g}, golden {value:.9g}")
    return wrong
