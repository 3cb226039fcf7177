"""Output whose reader goes away, and streams that are closed: no command ends of it, no other file is written into."""

import os
import pty
import subprocess
import sys

import pytest

from tests.conftest import ROOT

SAY = """
import os, sys
from embeddings.standard_streams import make_lasting
make_lasting()
make_lasting()
file = open(sys.argv[1], "w", buffering=1)
for stream in (sys.stdout, sys.stderr):
    for _ in range(3):
        print("said", file=stream, flush=True)
        os.write(stream.fileno(), b"written\\n")
sys.stderr.isatty(), sys.stdout.buffer, sys.stdout.encoding
file.write("went on")
"""


def run(tmp_path, *, shell: str = "", options: tuple[str, ...] = (), **how) -> subprocess.CompletedProcess:
    arguments = [sys.executable, *options, "-c", SAY, str(tmp_path / "file")]
    if shell:
        arguments = ["bash", "-c", f'"$@" {shell}', "bash", *arguments]
    return subprocess.run(arguments, cwd=ROOT, timeout=60, **how)


@pytest.mark.parametrize("options", [(), ("-u",)])
def test_a_pipe_that_nobody_reads(tmp_path, options):
    reader, writer = os.pipe()
    os.close(reader)
    done = run(tmp_path, options=options, stdout=writer, stderr=writer)
    os.close(writer)
    assert done.returncode == 0 and (tmp_path / "file").read_text() == "went on"


def test_a_terminal_that_is_gone(tmp_path):
    master, terminal = pty.openpty()
    os.close(master)
    done = run(tmp_path, stdout=terminal, stderr=terminal)
    os.close(terminal)
    assert done.returncode == 0 and (tmp_path / "file").read_text() == "went on"


def test_streams_that_are_closed(tmp_path):
    done = run(tmp_path, shell="<&- >&- 2>&-")
    assert done.returncode == 0 and (tmp_path / "file").read_text() == "went on"


def test_streams_that_are_read_get_everything_in_order(tmp_path):
    done = run(tmp_path, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == 0 and done.stdout == "said\nwritten\n" * 6


def test_output_that_is_not_to_be_buffered_is_not():
    code = "import os, embeddings.standard_streams as s; s.make_lasting(); print('a', end=''); os.write(1, b' at once')"
    done = subprocess.run([sys.executable, "-u", "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout == "a at once"


def test_a_full_disk_is_not_passed_over(tmp_path):
    with open("/dev/full", "w") as full:
        done = run(tmp_path, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1 and "No space left" in done.stderr


@pytest.mark.parametrize("command", [["--help"], ["env"], ["check", "--describe", "config"]])
def test_a_full_disk_under_a_commands_output_is_one_line(command):
    buffered = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "train", *command],
            cwd=ROOT, env=buffered, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60,
        )  # fmt: skip
    assert done.returncode == 2 and done.stderr.count("\n") == 1 and "no space left" in done.stderr


@pytest.mark.parametrize("command", [["--help"], ["check", "--describe", "config"], ["report", "--help"]])
def test_a_command_whose_reader_has_gone_ends_without_a_word(command):
    reader, writer = os.pipe()
    os.close(reader)
    arguments = [sys.executable, "-m", "train", *command]
    done = subprocess.run(arguments, cwd=ROOT, stdout=writer, stderr=subprocess.PIPE, text=True, timeout=60)
    os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")
