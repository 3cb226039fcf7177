"""Installed versions of torch, fbgemm and torchrec, and whether they fit together."""

import json
import re
import subprocess
import sys
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

PACKAGES = ("torch", "fbgemm-gpu", "fbgemm-gpu-cpu", "torchrec", "torchx", "numpy", "pyarrow", "triton")

# torch 2.11 goes with fbgemm and torchrec 1.6, and each minor version after it with the next one.
_FIRST_TORCH, _LAST_TORCH = (2, 11), (2, 13)
_MINORS_APART = 5

_ASK_TORCH = """
import json, torch
print(json.dumps({
    "built_for": torch.version.cuda,
    "devices": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())],
}))
"""


@dataclass(frozen=True)
class Cuda:
    """What torch says of CUDA: the version it was built for, if any, and the devices that it sees."""

    built_for: str | None
    devices: list[str]


def installed(package: str) -> str | None:
    """The installed version of ``package``, or None."""
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def ask_torch() -> Cuda | None:
    """What torch says of CUDA, asked in a process of its own; None where importing torch fails."""
    try:
        answer = subprocess.run(
            [sys.executable, "-c", _ASK_TORCH], capture_output=True, text=True, timeout=120, check=True
        )
        return Cuda(**json.loads(answer.stdout.splitlines()[-1]))
    except (subprocess.SubprocessError, ValueError, IndexError):
        return None


def verdict(versions: dict[str, str | None], cuda: Cuda | None, driver: bool) -> tuple[list[str], list[str]]:
    """Problems, each with its fix, and notes. No problem and no note means that everything fits.

    Args:
        versions: package name -> version or None, for PACKAGES.
        cuda: what torch says; None where torch is installed and cannot be imported.
        driver: whether the machine has an NVIDIA driver.
    """
    suited = "requirements/cuda.txt" if driver else "requirements/cpu.txt"
    fix = f"install {suited} anew: 'make clean setup'"
    torch, gpu, cpu = versions["torch"], versions["fbgemm-gpu"], versions["fbgemm-gpu-cpu"]
    fbgemm, torchrec = gpu or cpu, versions["torchrec"]
    if not (torch and fbgemm and torchrec):
        missing = [
            name for name, release in (("torch", torch), ("fbgemm", fbgemm), ("torchrec", torchrec)) if not release
        ]
        return [f"{', '.join(missing)} not installed; {fix}"], []
    if cuda is None:
        return [f"torch {torch} is installed and cannot be imported (try: python -c 'import torch'); {fix}"], []

    problems, notes = [], []
    expected = matching_minor(torch)
    if expected is None:
        notes.append(
            f"which fbgemm and torchrec go with torch {torch} is not known here; 2.11 to 2.13 go with 1.6 to 1.8"
        )
    else:
        for name, release in (("fbgemm-gpu" if gpu else "fbgemm-gpu-cpu", fbgemm), ("torchrec", torchrec)):
            if minor(release) != expected:
                wanted = ".".join(map(str, expected))
                problems.append(f"torch {torch} goes with {name} {wanted}, found {release}; {fix}")
    if gpu and cpu:
        problems.append(f"fbgemm-gpu and fbgemm-gpu-cpu are both installed and overwrite each other's files; {fix}")
    elif gpu and not cuda.built_for:
        problems.append(f"fbgemm-gpu needs a torch built for CUDA, torch {torch} is not; {fix}")
    elif cpu and cuda.devices:
        problems.append(f"fbgemm-gpu-cpu cannot use the CUDA device that torch sees; {fix}")
    elif driver and not cuda.devices:
        notes.append("nvidia-smi is here and torch sees no CUDA device: runs are on the CPU")
    return problems, notes


def minor(text: str) -> tuple[int, int] | None:
    """``(2, 13)`` of ``2.13.0+cpu``; None where the text starts with no such pair."""
    match = re.match(r"(\d+)\.(\d+)", text)
    return (int(match[1]), int(match[2])) if match else None


def matching_minor(torch: str) -> tuple[int, int] | None:
    """The fbgemm and torchrec version that goes with this torch, or None where we do not know."""
    pair = minor(torch)
    if pair is None or not _FIRST_TORCH <= pair <= _LAST_TORCH:
        return None
    return 1, pair[1] - _MINORS_APART
