"""The env command: versions, what was found on this machine, and whether torch, fbgemm and torchrec fit together."""

import glob
import os
import platform
import shutil
import sys
from pathlib import Path

import click

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
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    compilers = [path for name in ("c++", "g++", "clang++") if (path := shutil.which(name))]
    if cuda is None:
        torch_cuda, devices = "torch cannot be imported", "unknown"
    else:
        torch_cuda = f"torch is built for CUDA {cuda.built_for}" if cuda.built_for else "torch is built without CUDA"
        devices = ", ".join(cuda.devices) or "none"
    return [
        ("cores", f"{len(os.sched_getaffinity(0))} of {os.cpu_count()}"),
        ("memory", f"{memory_gib:.1f} GiB"),
        ("C++ compiler", compilers[0] if compilers else "none"),
        ("CUDA", torch_cuda),
        ("devices", devices),
        ("native kernels", native_kernels()),
    ]


def native_kernels(folder: Path = KERNELS) -> str:
    """Which compiled kernels lie below ``folder``."""
    built = glob.glob(str(folder / "**" / "*.so"), recursive=True)
    return ", ".join(sorted(os.path.relpath(path, folder) for path in built)) or "not built: run 'make native'"
