"""The fuzzer's own tests: what a case is judged by finds planted defects; the same number makes the same case."""

import os
import random
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.fuzz import fork_server, verdict
from tests.fuzz.campaign import Campaign
from tests.fuzz.case import Case, generator
from tests.fuzz.formats import FORMATS
from tests.fuzz.mutate import binary, npy, payloads, texts, trees

# Python 3.12 says so of every fork of a process with threads; the children here start none.
pytestmark = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")


def test_a_hundred_damaged_and_hostile_files_end_in_a_line_each():
    """The short form of `make test-fuzz`; it ends with how to run one case again."""
    command = [sys.executable, "-m", "tests.fuzz", "--cases", "105", "--seed", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, f"{done.stdout[-8000:]}\n{done.stderr[-2000:]}"
    assert "105 of 105 cases run, 0 failed" in done.stdout


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    case = tmp_path / "work" / "case"
    (case / payloads.MARKERS).mkdir(parents=True)
    (case / fork_server.TEMPORARY).mkdir()
    return case


def judged(folder: Path, action: Callable[[], int], case: Case | None = None, seconds: float = 30) -> list[str]:
    """The kinds of faults that a command has which does ``action``."""
    done = fork_server.run(action, folder, seconds=seconds)
    return [fault.partition(":")[0] for fault in verdict.wrong(case or Case([["x"]]), [done], folder)]


def error(text: str, status: int = 2) -> int:
    print(f"error: {text}", file=sys.stderr)
    return status


def raises() -> int:
    raise KeyError("step")


def hides_a_traceback() -> int:
    print("Traceback (most recent call last):\n  nothing", file=sys.stderr)
    return error("all is well")


def dies() -> int:
    os.kill(os.getpid(), signal.SIGKILL)
    return 0


def unpickles() -> int:
    import pickle

    pickle.loads(Path("evil").read_bytes())
    return 0


def connects() -> int:
    with socket.socket() as s:
        s.connect(("192.0.2.1", 80))
    return 0


def looks_up() -> int:
    socket.getaddrinfo("models.example.com", 443)
    return 0


def writes_outside() -> int:
    Path("../outside").write_text("x")
    return 0


def runs_a_program() -> int:
    subprocess.run(["touch", "x"], check=False)
    return 0


def leaves_litter() -> int:
    Path(".writing-step").mkdir()
    return error("no space")


def test_what_is_right_has_no_fault(folder: Path):
    assert judged(folder, lambda: error("'x' is no number")) == []
    assert judged(folder, lambda: 0, Case([["x"]], refused=None)) == []
    assert judged(folder, lambda: error("step-3 is damaged", 0), Case([["x"]], refused="a", unless="is damaged")) == []


@pytest.mark.parametrize(
    ("action", "kinds"),
    [
        (raises, ["traceback"]),
        (hides_a_traceback, ["traceback"]),
        (dies, ["status -9"]),
        (lambda: error("x", 1), ["status 1"]),
        (lambda: error("x", 75), ["status 75"]),
        (lambda: 2, ["wordless"]),
        (lambda: error("frame #3: c10::Error"), ["c++"]),
        (lambda: error("x" * 10_000), ["long"]),
        (lambda: error("x\n" * 200), ["long"]),
        (connects, ["connected", "traceback"]),
        (looks_up, ["looked up", "traceback"]),
        (writes_outside, ["wrote outside", "traceback"]),
        (runs_a_program, ["ran", "traceback"]),
        (leaves_litter, ["litter"]),
    ],
)
def test_a_planted_defect_is_found(folder: Path, action: Callable[[], int], kinds: list[str]):
    assert judged(folder, action) == kinds


def test_what_settings_name_may_be_outside(folder: Path):
    assert judged(folder, writes_outside, Case([["x"]], anywhere=True)) == ["traceback"]


def test_status_0_on_what_is_to_be_refused_is_found(folder: Path):
    assert judged(folder, lambda: 0, Case([["x"]], refused="its checksum differs")) == ["accepted"]


@pytest.mark.parametrize("number", range(8))
def test_a_reader_that_unpickles_is_found(folder: Path, number: int):
    class First(random.Random):  # one payload after the other
        def choice(self, options):
            return options[min(number, len(options) - 1)] if len(options) > 3 else options[0]

    (folder / "evil").write_bytes(payloads.pickled(folder, First()))
    assert {"ran", "unpickled", "executed"} & set(judged(folder, unpickles))


def test_a_marker_is_found_whoever_made_it(folder: Path):
    payloads.marker(folder / "data", "code").touch()
    assert judged(folder, lambda: 0) == ["executed"]


def test_a_reader_that_sleeps_is_found_and_ended(folder: Path):
    began = time.monotonic()
    assert judged(folder, lambda: time.sleep(60) or 0, seconds=0.3) == ["hang"]
    assert time.monotonic() - began < 30


def test_a_reader_that_allocates_is_found_and_ended(folder: Path, monkeypatch: pytest.MonkeyPatch):
    def allocates(mib: int) -> int:
        memory = bytearray(b"x") * (mib << 20)
        time.sleep(0.2 * len(memory) / (mib << 20))
        return 0

    monkeypatch.setattr(verdict, "BYTES", 100 << 20)
    monkeypatch.setattr(fork_server, "HARD_BYTES", 300 << 20)
    fork_server._BASELINE.clear()
    assert judged(folder, lambda: allocates(20)) == []
    assert judged(folder, lambda: allocates(150)) == ["memory"]
    done = fork_server.run(lambda: allocates(600), folder)
    assert done.stopped == "memory" and done.peak < 600 << 20
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss > 0


def made(kind: Callable[[Path, random.Random], None], path: Path, content: bytes, seed: int) -> bytes | None:
    """What a mutator makes of a file; None where it is no file any more."""
    path.unlink(missing_ok=True) if not path.is_dir() or path.is_symlink() else texts.remove(path)
    path.write_bytes(content)
    kind(path, random.Random(seed))
    return path.read_bytes() if path.is_file() and path.stat().st_size < 1 << 28 else None


@pytest.mark.parametrize("kind", [texts.mutate_json, texts.mutate_yaml, texts.mutate_lines, binary.mutate_file])
def test_a_number_makes_the_same_file_again_and_others_make_others(tmp_path: Path, kind: Callable):
    content = b'{"data": {"path": "a", "rows": [1, 2.5, null]}, "train": true, "names": ["x", "y"]}\n'
    first, again = ([made(kind, tmp_path / "f", content, seed) for seed in range(60)] for _ in range(2))
    assert first == again and len(set(first)) > 30
    assert sum(one == content for one in first) < 6, "few mutations leave a file as it was"


def test_arrays_differ_by_header_and_by_value(tmp_path: Path):
    import numpy as np

    np.save(tmp_path / "whole.npy", np.ones((5, 3), np.float32))
    content = (tmp_path / "whole.npy").read_bytes()
    files = [made(npy.mutate_npy, tmp_path / "a.npy", content, seed) for seed in range(60)]
    assert len(set(files)) > 40 and content not in files
    assert any(f is not None and f[:6] == content[:6] and f[10:128] != content[10:128] for f in files)
    values = [made(npy.mutate_values, tmp_path / "a.npy", content, seed) for seed in range(10)]
    assert all(f is not None and f[:128] == content[:128] and f != content for f in values)


def test_trees_keep_what_is_given():
    tree = {"a": [1, {"b": None}], "c": "x"}
    others = [trees.mutated(tree, random.Random(seed)) for seed in range(50)]
    assert tree == {"a": [1, {"b": None}], "c": "x"} and sum(other != tree for other in others) > 40


def test_formats_take_turns_and_share_the_cases():
    numbers = list(Campaign(1, 11, 1, 2, ["config", "plan", "store"]).numbers())
    assert numbers[:4] == [("config", 0), ("plan", 0), ("store", 0), ("config", 1)]
    assert len(numbers) == len(set(numbers)) == 11
    assert generator(1, "plan", 2).random() == generator(1, "plan", 2).random() != generator(2, "plan", 2).random()


def test_every_format_of_the_project_is_there():
    assert set(FORMATS) == {
        *("config", "overrides", "schema", "plan", "hardware", "assumptions", "store", "checkpoint", "progress"),
        *("encoder", "make", "run", "metrics", "parquet", "pairs", "exported"),
    }
