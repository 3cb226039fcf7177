"""A Redis server of one's own, on a socket in a folder, for as long as a block runs."""

import contextlib
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

_PATIENCE_S = 10.0


@contextlib.contextmanager
def redis_server(folder: Path) -> Iterator[str | None]:
    """The path of its socket; None where this machine has no redis-server."""
    binary = shutil.which("redis-server")
    if binary is None:
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
