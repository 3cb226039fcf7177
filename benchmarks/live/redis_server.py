"""A Redis server of one's own, on a socket in a folder, for as long as a block runs."""

import contextlib
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

_PATIENCE_S = 10.0


@contextlib.contextmanager
def redis_server(folder: Path) -> Iterator[str | None]:
    """The path of its socket; None, which is said, where this machine has no redis-server or no client for it.

    It keeps all in memory and writes nothing to disk.
    """
    binary = shutil.which("redis-server")
    if binary is None or find_spec("redis") is None:
        missing = "the program redis-server" if binary is None else "the package redis"
        print(f"note: Redis is left out: {missing} is not installed", file=sys.stderr, flush=True)
        yield None
        return
    folder.mkdir(parents=True, exist_ok=True)
    socket = folder.resolve() / "socket"
    options = ["--port", "0", "--unixsocket", str(socket), "--save", "", "--dir", str(folder.resolve())]
    with subprocess.Popen([binary, *options], stdout=subprocess.DEVNULL) as process:
        try:
            until = time.monotonic() + _PATIENCE_S
            while not socket.exists() and time.monotonic() < until:
                time.sleep(0.05)
            yield str(socket)
        finally:
            process.terminate()
