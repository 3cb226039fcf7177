"""python -m benchmarks.frozen: the command line of benchmarks/frozen/compare.py."""

import sys

from benchmarks.frozen.compare import main
from benchmarks.harness import run_command

sys.exit(run_command(main, "benchmarks.frozen"))
