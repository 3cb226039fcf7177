"""python -m benchmarks.live: the command line of benchmarks/live/measure.py."""

import sys

from benchmarks.harness import run_command
from benchmarks.live.measure import main

sys.exit(run_command(main, "benchmarks.live"))
