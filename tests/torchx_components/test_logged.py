"""What bash is told by a component, run for real: logs, exit status, and where signals arrive."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import ROOT
from tests.torchx_components.rendering import rendered

WAITING = "tests.torchx_components.waiting"


def started(arguments: list[str], path: str = os.path.dirname(sys.executable)) -> subprocess.Popen:
    """As a scheduler starts it: in a session of its own."""
    environment = {**os.environ, "PATH": f"{path}:{os.environ['PATH']}"}
    pipe = subprocess.PIPE
    return subprocess.Popen(
        arguments, cwd=ROOT, env=environment, stdout=pipe, stderr=pipe, text=True, start_new_session=True
    )


def plan(logs: Path, module: str, *words: str) -> subprocess.Popen:
    """The plan component, with another program in the planner's place."""
    info = rendered("plan.py:plan", "--logs", str(logs), "--", *words)
    (request,) = info.request.role_params["plan"]
    return started([a.replace("embeddings.plan", module) for a in request.args])


def test_a_failed_command_fails_the_job_and_is_in_its_log(tmp_path):
    """Run what bash is told, with a benchmark that refuses its arguments."""
    logs = tmp_path / "all logs"
    info = rendered("bench.py:bench", "--benchmark", "render", "--logs", str(logs), "--", "--no-such-option")
    process = started(info.request.role_params["bench"][0].args)
    out, _ = process.communicate(timeout=60)
    assert process.returncode == 2
    assert "no-such-option" in out
    assert (logs / "bench.log").read_text() == out


@pytest.mark.parametrize("send", [os.kill, os.killpg])  # Kubernetes: to the first process; torchx here: to its group
def test_signals_reach_the_program_once_and_its_status_is_the_jobs(tmp_path, send: Callable[[int, int], None]):
    process = plan(tmp_path / "logs", WAITING, "a b", "$HOME")
    assert process.stdout is not None and process.stdout.readline() == "ready a b $HOME\n"
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1):
        send(process.pid, number)
        assert process.stdout.readline() == f"{number.name}\n"
    send(process.pid, signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out, err) == (7, "SIGTERM\nlast words\n", "")
    said = "ready a b $HOME\nSIGINT\nSIGHUP\nSIGUSR1\n" + out
    assert (tmp_path / "logs" / "plan.log").read_text() == said
    second = plan(tmp_path / "logs", "no.such.module")  # a retry
    second.communicate(timeout=60)
    text = (tmp_path / "logs" / "plan.log").read_text()
    assert second.returncode == 1 and text.startswith(said) and "No module named" in text[len(said) :]


def test_a_signal_that_is_ignored_on_purpose_ends_nothing(tmp_path):
    """As nohup has it with SIGHUP."""
    info = rendered("plan.py:plan", "--logs", str(tmp_path))
    (request,) = info.request.role_params["plan"]
    words = [a.replace("embeddings.plan", WAITING) for a in request.args]
    process = started(["bash", "-c", 'trap "" HUP; exec "$@"', "bash", *words])
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    os.killpg(process.pid, signal.SIGHUP)
    process.send_signal(signal.SIGTERM)
    out, _ = process.communicate(timeout=60)
    assert (process.returncode, out) == (7, "SIGTERM\nlast words\n")


def test_a_program_that_a_signal_ended_fails_the_job(tmp_path):
    process = plan(tmp_path, WAITING, "mortal")
    assert process.stdout is not None and process.stdout.readline() == "ready mortal\n"
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=60)
    assert process.returncode == 128 + signal.SIGTERM


def test_a_log_that_takes_no_more_is_said_once_and_ends_nothing(tmp_path):
    (tmp_path / "plan.log").symlink_to("/dev/full")
    process = plan(tmp_path, WAITING)
    assert process.stdout is not None and process.stdout.readline() == "ready\n"
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert (process.returncode, out) == (7, "SIGTERM\nlast words\n")
    assert err == "the log takes no more: [Errno 28] No space left on device\n"


def test_a_folder_of_logs_that_cannot_be(tmp_path):
    (tmp_path / "file").write_text("")
    process = plan(tmp_path / "file", WAITING)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 1 and out == "" and len(err.splitlines()) == 1
    assert "error: no log in" in err and "name another folder with --logs" in err


def test_signals_for_ranks_reach_their_launcher(tmp_path):
    """No shell waits in between: what bash is told becomes torchrun itself."""
    (tmp_path / "torchrun").write_text("#!/bin/sh\necho $$\n")
    (tmp_path / "torchrun").chmod(0o755)
    info = rendered("evaluate.py:evaluate", "--run", "runs/x", "-j", "1x2")
    ((request,),) = info.request.role_params.values()
    process = started(request.args, str(tmp_path))
    out, err = process.communicate(timeout=60)
    assert out == f"{process.pid}\n", err
