"""python -m benchmarks.planner: the command line of benchmarks/planner/compare.py."""

import sys

from benchmarks.harness import run_command
from benchmarks.planner.compare import main

sys.exit(run_command(main, "benchmarks.planner"))
