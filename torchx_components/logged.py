"""Log file of a program: python -m torchx_components.logged LOG MODULE ... runs MODULE, with what it prints in LOG too.

A pipe into tee would do that, but for signals: a shell that waits for a pipe passes none on, and a tee that is
signalled with the rest of its group takes the last words with it.
"""

import os
import signal
import subprocess
import sys
from pathlib import Path
from types import FrameType

from train.distributed.signals import SAVING


def run(log: Path, command: list[str]) -> int:
    """Run ``command`` with standard output and error in one stream: to ours, and added to ``log``.

    SIGINT and the signals that save go to it and to the processes that it has started; it decides what becomes of them.
    Returns its exit status, 128 + N where signal N ended it.
    """
    log.parent.mkdir(parents=True, exist_ok=True)
    child: subprocess.Popen | None = None
    came: list[int] = []  # before there was a child

    def pass_on(number: int | None = None, frame: FrameType | None = None) -> None:
        if number is not None:
            came.append(number)
        while child is not None and came:
            try:
                os.killpg(child.pid, came.pop(0))
            except (ProcessLookupError, IndexError):
                return  # all have ended; or a signal that came in between has been through the list

    for number in (signal.SIGINT, *SAVING):
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup has it; the command ignores it then too
            signal.signal(number, pass_on)
    with open(log, "ab", buffering=0) as kept:
        # A session of its own: a scheduler that signals our group would have every signal arrive twice.
        child = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, start_new_session=True)
        pass_on()
        assert child.stdout is not None
        sinks = {"the log": kept.fileno(), "standard output": sys.stdout.fileno()}
        while chunk := os.read(child.stdout.fileno(), 1 << 16):
            for name, sink in list(sinks.items()):
                try:
                    _write(sink, chunk)
                except OSError as error:  # a full disk, a reader that is gone: not what the command is to end of
                    del sinks[name]
                    print(f"{name} takes no more: {error}", file=sys.stderr)
    status = child.wait()
    return status if status >= 0 else 128 - status


def _write(sink: int, chunk: bytes) -> None:
    while chunk:
        chunk = chunk[os.write(sink, chunk) :]


if __name__ == "__main__":
    try:
        sys.exit(run(Path(sys.argv[1]), [sys.executable, "-m", *sys.argv[2:]]))
    except OSError as error:
        sys.exit(f"error: no log in '{sys.argv[1]}': {error.strerror or error}; name another folder with --logs")
