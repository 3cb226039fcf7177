"""python -m benchmarks.serving: the command line of benchmarks/serving/measure.py."""

import sys

from benchmarks.harness import run_command
from benchmarks.serving.measure import main

sys.exit(run_command(main, "benchmarks.serving"))
