"""The env command: versions, what was found on this machine, and whether torch, fbgemm and torchrec fit together."""

import glob
import os
import platform
import shutil
import sys
from pathlib import Path

import click

from embeddings.host_cores import affinity_cores, host_cores
from embeddings.host_memory import host_bytes, physical_bytes
from train.run.versions import PACKAGES, Cuda, ask_torch, installed, matching_minor, verdict

KERNELS = Path(__file__).parents[2] / "embeddings" / "kernels"


@click.command()
def command() -> None:
    """Print versions and what was found on this machine.

    Ends with exit status 1 where torch, fbgemm and torchrec do not fit together.
    """
    versions = {name: installed(name) for name in PACKAGES}
    cuda = ask_torch() if versions["torch"] else Cuda(None, [])
    click.echo(f"python          {platform.python_version()} ({sys.executable})")
    for name, release in versions.items():
        click.echo(f"{name:<15} {release or 'not installed'}")
    for name, text in _machine(cuda):
        click.echo(f"{name:<15} {text}")
    problems, notes = verdict(versions, cuda, driver=shutil.which("nvidia-smi") is not None)
    for note in notes:
        click.echo(f"note: {note}")
    for problem in problems:
        click.echo(f"mismatch: {problem}")
    if problems:
        sys.exit(1)
    known = matching_minor(versions["torch"] or "") is not None
    click.echo("verdict: torch, fbgemm and torchrec fit together" if known else "verdict: unknown")


def _machine(cuda: Cuda | None) -> list[tuple[str, str]]:
    compilers = [path for name in ("c++", "g++", "clang++") if (path := shutil.which(name))]
    if cuda is None:
        torch_cuda, devices = "torch cannot be imported", "unknown"
    else:
        torch_cuda = f"torch is built for CUDA {cuda.built_for}" if cuda.built_for else "torch is built without CUDA"
        devices = ", ".join(cuda.devices) or "none"
    return [
        ("cores", _cores()),
        ("memory", _memory()),
        ("C++ compiler", compilers[0] if compilers else "none"),
        ("CUDA", torch_cuda),
        ("devices", devices),
        ("native kernels", native_kernels()),
    ]


def _cores() -> str:
    usable, affinity = host_cores(), affinity_cores()
    quota = f"; control groups allow {usable:g} cores' time" if usable < affinity else ""
    return f"{affinity} of {os.cpu_count()}{quota}"


def _memory() -> str:
    usable, physical = host_bytes(), physical_bytes()
    limit = f", the limit of control groups; the host has {physical / 2**30:.1f} GiB" if usable < physical else ""
    return f"{usable / 2**30:.1f} GiB{limit}"


def native_kernels(folder: Path = KERNELS) -> str:
    """Which compiled kernels lie below ``folder``."""
    built = glob.glob(str(folder / "**" / "*.so"), recursive=True)
    return ", ".join(sorted(os.path.relpath(path, folder) for path in built)) or "not built: run 'make native'"
