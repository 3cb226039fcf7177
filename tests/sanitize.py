"""The C++ kernels' tests under AddressSanitizer and UndefinedBehaviorSanitizer: python -m tests.sanitize.

The kernels are built with both in a temporary folder; pytest runs in a process that loads the sanitizers' runtime
before everything else, and that build (TIERWISE_NATIVE_LIBRARY). ThreadSanitizer is not among them: it does not see
how OpenMP's threads wait for each other, and takes every parallel loop for a race.
"""

import os
import shlex
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parent.parent
KERNELS = ROOT / "tests" / "embeddings" / "kernels"
TESTS = [KERNELS / "simtier" / name for name in ("test_implementations.py", "test_cosines.py")]
TESTS += [KERNELS / op / "test_implementations.py" for op in ("make_attention", "target_attention")]
# torch is not built for it: leaks at exit, its containers, and libraries that define a type twice are not ours to judge
OPTIONS = "detect_leaks=0:detect_container_overflow=0:detect_odr_violation=0:alloc_dealloc_mismatch=0"


INSTRUCTIONS = ("portable", "avx2", "avx512", "amx")  # a machine without one takes the next narrower


def build(folder: str) -> Path:
    """The kernels with both sanitizers, in ``folder``."""
    command = [sys.executable, "setup.py", "--quiet", "build_ext", "--build-lib", folder, "--build-temp", f"{folder}/o"]
    environment = {**os.environ, "TIERWISE_SANITIZE": "1", "TIERWISE_REQUIRE_NATIVE": "1"}
    subprocess.run(command, cwd=ROOT, env=environment, check=True)
    return Path(folder) / "embeddings" / "kernels" / "native" / "kernels.so"


def runtime(name: str) -> str:
    """Where the compiler has one of its runtime libraries."""
    command = [*shlex.split(os.environ.get("CXX", "g++")), f"-print-file-name={name}"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def main() -> int:
    """Build, test with every set of instructions, and return the status of the first pytest that fails."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {
            **os.environ,
            "ASAN_OPTIONS": OPTIONS,
            "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
            # both, or no exception is ever caught
            "LD_PRELOAD": f"{runtime('libasan.so')} {runtime('libstdc++.so.6')}",
            "TIERWISE_NATIVE_LIBRARY": str(build(folder)),
            "TIERWISE_REQUIRE_NATIVE": "1",
        }
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-k", "native", *TESTS]
        for instructions in INSTRUCTIONS:
            print(f"== {instructions}", flush=True)
            done = subprocess.run(command, cwd=ROOT, env={**environment, "TIERWISE_ISA": instructions})
            if done.returncode:
                return done.returncode
        return 0


if __name__ == "__main__":
    sys.exit(main())
