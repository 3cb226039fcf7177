"""Processes of one machine as ranks: starts a module over several by torchrun, and returns what rank 0 measured.

A worker module, whose name ends in ``rank``, reads what it is to do by ``read_job`` and rank 0 answers by
``write_result``; it is started by ``measure_on_ranks`` alone.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from benchmarks import ROOT
from embeddings.errors import InputError
from embeddings.files.json_file import write_json

_JOB, _RESULT = "job.json", "result.json"


def launch_command(ranks: int, module: str, *words: object) -> list[str]:
    """The command line of ``python -m MODULE WORDS`` over so many ranks of this machine, on a free port."""
    launcher = ["torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}"]
    return [sys.executable, "-m", *launcher, "-m", module, *map(str, words)]


def run_on_ranks(ranks: int, module: str, *words: object) -> None:
    """Run ``python -m MODULE WORDS`` over ranks of one thread each, and wait; what they print is shown if they fail.

    Raises InputError where they end with another status than 0.
    """
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = launch_command(ranks, module, *words)
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    if done.returncode:
        print(done.stdout, done.stderr, sep="", file=sys.stderr)
        raise InputError(f"the run on {ranks} ranks ended with status {done.returncode}; see its words above")


def measure_on_ranks(ranks: int, module: str, job: Mapping[str, Any]) -> Any:
    """What rank 0 of the worker ``module`` passed to ``write_result``; ``job``, as JSON, is what all of them read.

    Raises InputError where a rank fails.
    """
    with tempfile.TemporaryDirectory(prefix="ranks-") as folder:
        write_json(Path(folder) / _JOB, job)
        run_on_ranks(ranks, module, folder)
        return json.loads((Path(folder) / _RESULT).read_text())


def read_job() -> dict[str, Any]:
    """In a worker: the job of ``measure_on_ranks``."""
    return json.loads((Path(sys.argv[1]) / _JOB).read_text())


def write_result(result: Any) -> None:
    """In a worker, on rank 0 alone: hand ``result``, as JSON, to ``measure_on_ranks``."""
    write_json(Path(sys.argv[1]) / _RESULT, result)
