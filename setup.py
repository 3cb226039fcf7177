"""Builds the C++ kernels beside their sources; everything else is declared in setup.cfg.

Without a C++ compiler, or where it fails, the package installs all the same: TIERWISE_REQUIRE_NATIVE=1 makes that an
error. TIERWISE_SANITIZE=1 builds them with AddressSanitizer and UndefinedBehaviorSanitizer (tests/sanitize.py).
"""

import os
import shlex
import subprocess

from setuptools import setup

NATIVE = "embeddings/kernels/native"
SOURCES = ["work.cpp", "simtier.cpp", "make_attention.cpp", "target_attention.cpp", "read_rows.cpp", "mapped_files.cpp"]
HEADERS = [
    "work.h",
    "isa.h",
    "simd.inc",
    "simtier.inc",
    "simtier_shared.inc",
    "panels.inc",
    "tiles.inc",
    "make_attention.inc",
    "make_tiles.inc",
    "make_products.inc",
    "target_attention.inc",
    "read_rows.inc",
]


def openmp() -> list[str]:
    """GCC shares its OpenMP with torch's threads. Another compiler's would not know of them: one thread instead."""
    compiler = shlex.split(os.environ.get("CXX", "c++"))
    try:
        about = subprocess.run([*compiler, "--version"], capture_output=True, text=True).stdout
    except OSError:  # no compiler: the build itself will say so
        return []
    return ["-fopenmp"] if "Free Software Foundation" in about else []


def kernels() -> dict:
    """Arguments of setup() that build the kernels; none where torch is not installed yet."""
    required = os.environ.get("TIERWISE_REQUIRE_NATIVE") == "1"
    try:
        from torch.utils.cpp_extension import BuildExtension, CppExtension
    except ImportError:
        if required:
            raise
        return {}

    class BuildKernels(BuildExtension):
        def get_ext_filename(self, name: str) -> str:
            return name.replace(".", "/") + ".so"  # torch loads it by its path

        def run(self) -> None:
            try:
                super().run()
            except Exception as error:
                if required:
                    raise
                print(f"the native kernels were not built: {error}")

    threads = openmp()
    flags = [
        "-std=c++20",
        "-O3",
        "-g0",
        *threads,
        "-Wall",
        "-Wno-psabi",
        "-Wno-ignored-attributes",
        "-Wno-maybe-uninitialized",
    ]
    links = [*threads]
    if os.environ.get("TIERWISE_SANITIZE") == "1":
        flags += ["-fsanitize=address,undefined", "-fno-sanitize-recover=undefined", "-g", "-O1"]
        links += ["-fsanitize=address,undefined"]
    extension = CppExtension(
        "embeddings.kernels.native.kernels",
        [f"{NATIVE}/{name}" for name in SOURCES],
        depends=[f"{NATIVE}/{name}" for name in HEADERS],
        extra_compile_args=flags,
        extra_link_args=links,
    )
    return {"ext_modules": [extension], "cmdclass": {"build_ext": BuildKernels.with_options(use_ninja=False)}}


setup(**kernels())
