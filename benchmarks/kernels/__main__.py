"""python -m benchmarks.kernels: the command line of benchmarks/kernels/compare.py."""

import sys

from benchmarks.harness import run_command
from benchmarks.kernels.compare import main

sys.exit(run_command(main, "benchmarks.kernels"))
