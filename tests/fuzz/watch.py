"""An audit hook for forked children: notes what they run, where they connect, and what they write outside their folder.

It refuses all of that, so that a defect that a case finds harms nobody.
"""

import os
import sys
from pathlib import Path
from typing import Any

# Audited event -> which of its arguments is the path that changes.
_WRITES = {"os.remove": 0, "os.rename": 1, "os.mkdir": 0, "os.rmdir": 0, "os.symlink": 1, "os.link": 1,
           "shutil.rmtree": 0, "os.truncate": 0, "os.chmod": 0}  # fmt: skip
_RUNS = {"os.system", "os.exec", "os.posix_spawn", "pty.spawn"}
_CALLS = {("posix", "system"), ("posix", "mkdir"), ("subprocess", "getoutput")}
_CALLS |= {(of, name) for of in ("builtins", "__builtin__") for name in ("exec", "eval", "__import__", "getattr")}
_LOCAL = {"localhost", "127.0.0.1", "::1", "", "0.0.0.0", "::", None}


class Refused(OSError):
    """What a case may not do."""


def watch(folder: Path, log: int) -> None:
    """Watch this process from now on; it cannot be undone. What is noted goes to the file handle ``log``, a line each.

    Args:
        folder: the only place, besides /dev, that may be written to.
    """
    places = (os.path.realpath(folder), "/dev/")

    def note(what: str) -> None:
        os.write(log, f"{what[:300]!r}\n".encode(errors="replace"))

    def outside(path: Any) -> bool:
        if isinstance(path, int) or path is None:
            return False
        text = os.fsdecode(path)
        if "\0" in text:
            return False
        parent, name = os.path.split(os.path.abspath(text))
        return not os.path.join(os.path.realpath(parent), name).startswith(places)

    def hook(event: str, arguments: tuple) -> None:
        if event == "open":
            path, _, flags = arguments
            if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT) and outside(path):
                note(f"wrote outside: {path}")
                raise PermissionError(13, "the fuzzer refuses to write there", os.fsdecode(path))
        elif event in _WRITES:
            path = arguments[_WRITES[event]]
            if outside(path):
                note(f"wrote outside: {event} {path}")
                raise PermissionError(13, "the fuzzer refuses to write there", os.fsdecode(path))
        elif event in _RUNS or (event == "subprocess.Popen" and not _harmless(arguments)):
            note(f"ran: {event} {arguments[:2]}")
            raise Refused(1, "the fuzzer refuses to run that")
        elif event == "pickle.find_class" and arguments in _CALLS:
            note(f"unpickled: {arguments}")
        elif event in ("socket.connect", "socket.sendto"):
            address = arguments[1]
            if isinstance(address, tuple) and address[0] not in _LOCAL:
                note(f"connected: {address}")
                raise Refused(101, "the fuzzer refuses to connect")
        elif event in ("socket.getaddrinfo", "socket.gethostbyname") and arguments[0] not in _LOCAL:
            if arguments[0] != _HOST:
                note(f"looked up: {arguments[0]}")
                raise Refused(101, "the fuzzer refuses to look up names")

    sys.addaudithook(hook)


_HOST = os.uname().nodename


def _harmless(arguments: tuple) -> bool:
    """Whether this is git, which says of which commit the code is, or what asks about the machine."""
    words = arguments[1] if isinstance(arguments[1], (list, tuple)) else [arguments[0]]
    return os.path.basename(os.fsdecode(words[0])) in ("git", "lscpu", "nvidia-smi", "uname", "file", "ldconfig")
