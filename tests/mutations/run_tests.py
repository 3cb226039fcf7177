"""Runs tests of a copy of the tree in a forked process, which finds torch and TorchRec imported already."""

import importlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT

# Third-party packages that every test waits for; nothing of the tree, which the copy must give.
HEAVY = (
    "torch", "torchrec", "torchrec.distributed.model_parallel", "pyarrow.parquet",
    "yaml", "pydantic", "tokenizers", "PIL.Image", "torch.utils.tensorboard",
)  # fmt: skip
TREE = ("embeddings", "recsys", "train", "benchmarks", "torchx_components", "tests")
TIMEOUT_S = 300.0
SHOWN = 4000  # characters of what a run said


@dataclass(frozen=True)
class Outcome:
    """What a run of tests came to.

    status  passed, noticed (a test failed), broken (the tests could not be run), hangs
    test    the first that failed
    said    the end of pytest's output
    """

    status: str
    test: str = ""
    said: str = ""


class _FirstFailure:
    """A pytest plugin that remembers the first test that failed, in whatever phase."""

    def __init__(self) -> None:
        self.test = ""

    def pytest_runtest_logreport(self, report: Any) -> None:
        if report.failed and not self.test:
            self.test = report.nodeid


def copy_tree(folder: Path) -> Path:
    """A copy of the files that git knows or does not ignore, with the kernels that are built."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    built = [str(p.relative_to(ROOT)) for p in (ROOT / "embeddings").rglob("kernels.so")]
    for name in [n for n in listed.stdout.split("\0") if n] + built:
        if (source := ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(source, folder / name)
    return folder


def preload() -> None:
    """Import what is slow to import, once for all runs."""
    import warnings

    # so that a file that is changed twice within a second is never taken for the one before
    os.environ["PYTHONDONTWRITEBYTECODE"], sys.dont_write_bytecode = "1", True
    os.environ.setdefault("TIERWISE_DATA", str(ROOT.parent / "shared" / "data"))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name in HEAVY:
            importlib.import_module(name)


def run_tests(root: Path, tests: Sequence[str]) -> Outcome:
    """Run ``tests`` of the tree in ``root``, without the slow ones, to the first that fails."""
    answer, output = root / ".outcome.json", root / ".output.txt"
    answer.unlink(missing_ok=True)
    child = os.fork()
    if child == 0:
        try:
            _in_child(root, tests, answer, output)
        except BaseException:
            output.write_text(traceback.format_exc())
        finally:
            os._exit(0)
    until = time.monotonic() + TIMEOUT_S * max(1, len(tests))
    while os.waitpid(child, os.WNOHANG) == (0, 0):
        if time.monotonic() > until:
            os.killpg(child, signal.SIGKILL)
            os.waitpid(child, 0)
            return Outcome("hangs", said=output.read_text()[-SHOWN:])
        time.sleep(0.05)
    said = output.read_text()[-SHOWN:] if output.exists() else ""
    return Outcome(**json.loads(answer.read_text())) if answer.exists() else Outcome("broken", said=said)


def _in_child(root: Path, tests: Sequence[str], answer: Path, output: Path) -> None:
    """The forked process: forget this tree's modules, run pytest, write what came of it."""
    os.setpgid(0, 0)
    with open(output, "wb") as out:
        os.dup2(out.fileno(), 1)
        os.dup2(out.fileno(), 2)
    for name in [n for n in sys.modules if n.split(".")[0] in TREE]:
        del sys.modules[name]
    os.chdir(root)
    sys.path[:] = [str(root), *(p for p in sys.path if p not in ("", str(ROOT)))]
    first = _FirstFailure()
    options = ["-x", "-q", "-m", "not slow", "-p", "no:cacheprovider", "--no-header", f"--rootdir={root}"]
    code = pytest.main([*options, *tests], plugins=[first])
    sys.stdout.flush()
    status = {0: "passed", 1: "noticed" if first.test else "broken"}.get(int(code), "broken")
    answer.write_text(json.dumps(asdict(Outcome(status, first.test, output.read_text()[-SHOWN:]))))
