"""The registry of benchmarks: what it lists runs, what runs is listed, and documents name nothing else."""

import re
import subprocess
import sys

import pytest

from benchmarks.commands import COMMANDS
from tests.conftest import ROOT
from torchx_components.bench import bench

FOLDER = ROOT / "benchmarks"
TEXTS = [ROOT / "Makefile", *ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *FOLDER.rglob("*.md")]
TEXTS += [*FOLDER.rglob("*.py"), *(ROOT / "torchx_components").glob("*.py")]
# one runs in another environment, others are started by a benchmark; those of ranks are named for them
WORKERS = {"peers.fuxictr.run", "serving.contender", "peers.http_stacks", "live.index_process"}


@pytest.mark.parametrize("name", COMMANDS)
def test_answers_help(name: str):
    command = [sys.executable, "-m", f"benchmarks.{name}", "--help"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert f"python -m benchmarks.{name} [OPTIONS]" in " ".join(done.stdout.split())


def test_lists_everything_that_runs_but_workers():
    runnable = set()
    for path in FOLDER.rglob("*.py"):
        parts = path.relative_to(FOLDER).with_suffix("").parts
        if path.stem == "__main__":
            runnable.add(".".join(parts[:-1]))
        elif '__name__ == "__main__"' in path.read_text() and not path.stem.endswith("rank"):
            runnable.add(".".join(parts))
    assert runnable - WORKERS == set(COMMANDS)


@pytest.mark.parametrize("path", TEXTS, ids=lambda p: str(p.relative_to(ROOT)))
def test_documents_name_commands_that_there_are(path):
    for name in re.findall(r"python -m benchmarks\.([a-z_]+(?:\.[a-z_]+)*)", path.read_text()):
        assert name in COMMANDS or name in WORKERS or name.endswith("_rank"), f"python -m benchmarks.{name}"


def test_the_components_help_names_them_all():
    (line,) = re.findall(r"benchmark: (.*?)\n        h:", bench.__doc__, re.DOTALL)
    assert re.split(r",\s+|\s+or\s+", line.strip()) == list(COMMANDS)
