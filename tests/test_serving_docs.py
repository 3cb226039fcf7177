"""docs/serving.md names every option, metric and status, and its examples run, against what `make serve` starts."""

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from serve.commands.score import command
from serve.http import application, guarded_application, metrics
from serve.page.openapi import STATUSES
from tests.conftest import ROOT

TEXT = (ROOT / "docs" / "serving.md").read_text()
EXAMPLE_S = 120


def examples() -> list[tuple[str, str]]:
    """Language and text of every fenced block, but for the one that starts what the others talk to."""
    blocks = re.findall(r"(?m)^```(\w+)\n([\s\S]*?)^```$", TEXT)
    return [(language, text) for language, text in blocks if text.strip() != "make serve"]


@contextlib.contextmanager
def make_serve(folder: Path) -> Iterator[tuple[int, str]]:
    """``make serve`` in ``folder``: its port and what it printed until the page's address; then ^C, and all ends.

    The set-up is skipped.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {key: value for key, value in os.environ.items() if not key.startswith("PYTEST")}
    process = subprocess.Popen(
        ["timeout", "--signal=KILL", "300", "make", "serve", "-o", "setup", f"PORT={port}"],
        cwd=folder, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        start_new_session=True,
    )  # fmt: skip
    assert process.stdout is not None
    printed = ""
    try:
        for line in process.stdout:
            printed += line
            if line.startswith("the page for people:"):
                break
        assert f"http://127.0.0.1:{port}/" in printed, printed
        yield port, printed
        os.killpg(process.pid, signal.SIGINT)
        try:
            process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            listed = ["ps", "-e", "-o", "pid,ppid,pgid,stat,wchan:24,args"]
            left = subprocess.run(listed, capture_output=True, text=True)
            raise AssertionError(f"make serve goes on after ^C\n{left.stdout}") from None
        with contextlib.suppress(ProcessLookupError):
            for _ in range(100):  # what has ended is there until somebody has asked for its status
                os.killpg(process.pid, 0)
                time.sleep(0.1)
            raise AssertionError("something of make serve goes on after ^C")
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def run_examples(folder: Path, port: int) -> None:
    """Run the blocks of the page in ``folder``, in their order, against the scorer on ``port``."""
    environment = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    for language, text in examples():
        program = {"bash": ["bash", "-euo", "pipefail", "-c"], "python": [sys.executable, "-c"]}[language]
        done = subprocess.run(
            [*program, text.replace("8600", str(port))],
            cwd=folder, env=environment, capture_output=True, text=True, timeout=EXAMPLE_S, check=False,
        )  # fmt: skip
        assert done.returncode == 0, f"{text}\n{done.stdout}\n{done.stderr}"
        assert '"error"' not in done.stdout or "itm" in text, f"{text}\n{done.stdout}"


def test_names_every_option_of_the_command() -> None:
    for option in command.params:
        assert any(name in TEXT for name in option.opts + option.secondary_opts), f"docs/serving.md: {option.opts[0]}"


def test_says_the_default_of_each_bound() -> None:
    table = TEXT[TEXT.index("| bound | default |") : TEXT.index("`--token-file FILE`")]
    told = {
        name: number.replace(",", "") for name, number in re.findall(r"(?m)^\| `(--[\w-]+)` \| ([\d,.]+) \|", table)
    }
    bounds = {option.opts[0]: str(option.default) for option in command.params if option.opts[0].startswith("--max-")}
    assert told == bounds | {"--timeout-s": "5"}


def test_names_every_metric() -> None:
    source = Path(metrics.__file__).read_text()
    names = set(re.findall(r'"(tierwise_\w+)"', source))
    assert len(names) > 10
    counters = {name + "_total" for name in names if re.search(rf'Counter\(\s*"{name}"', source)}
    told = set(re.findall(r"`(tierwise_\w+)`", TEXT))
    assert {name.removesuffix("_total") for name in told} == names and counters <= told


def test_names_every_status() -> None:
    table = TEXT[TEXT.index("## Errors") : TEXT.index("## Limits")]
    rows = {status for row in re.findall(r"(?m)^\| ([\d, ]+) \|", table) for status in row.split(", ")}
    assert rows == {*STATUSES, "404", "405"}
    source = "".join(Path(module.__file__).read_text() for module in (application, guarded_application))
    routes = re.findall(r'web\.(?:get|post)\("(/[a-z0-9/.]*)"', source)
    assert len(routes) > 5 and all(path in TEXT for path in routes)


def test_has_examples_in_each_language() -> None:
    assert [language for language, _ in examples()].count("python") >= 4
    assert {language for language, _ in examples()} == {"bash", "python"}
