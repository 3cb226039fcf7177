"""python -m benchmarks.paper: the command line of benchmarks/paper/command.py."""

import sys

from benchmarks.harness import run_command
from benchmarks.paper.command import main

sys.exit(run_command(main, "benchmarks.paper"))
