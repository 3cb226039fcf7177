"""The scorer's supervisor: starts the workers, starts those anew that ended, checks each new version once for all."""

import contextlib
import multiprocessing
import os
import resource
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from multiprocessing.connection import wait
from pathlib import Path
from typing import Any

from embeddings.errors import InputError, first_line, for_terminal
from recsys.exported.manifest import check_content, read_manifest
from recsys.exported.versions import Versions
from serve.http import worker
from serve.http.settings import Settings

_METRICS = "PROMETHEUS_MULTIPROC_DIR"  # where prometheus_client keeps what processes count
_FIRST_WAIT_S, _LONGEST_WAIT_S = 0.5, 30.0  # before a worker that keeps ending is started again
_LASTING_S = 60.0  # a worker that lived so long did not fail at its start


class Supervisor:
    """Runs ``settings.processes`` workers until SIGTERM or ^C."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._versions = settings, Versions(settings.model)
        self._context = multiprocessing.get_context("spawn")
        version = self._versions.current()
        self._check(version)
        self._version = self._context.Value("q", int(version))
        self._refused: str | None = None
        self._stopping = threading.Event()

    def run(self) -> None:
        """Serve. Raises InputError where the port is taken or the model cannot be opened."""
        _raise_file_limit()
        self._probe_port()
        before = {s: signal.signal(s, lambda *_: self._stopping.set()) for s in (signal.SIGTERM, signal.SIGINT)}
        try:
            with _metrics_folder():
                self._supervise()
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _supervise(self) -> None:
        slots = [_Slot(self._start) for _ in range(self._settings.processes)]
        try:
            for slot in slots:
                slot.start()
            for slot in slots:
                slot.wait_ready(self._stopping)
            if not self._stopping.is_set():
                print(f"scoring by version {self._version.value:06d} at {self._address()}", flush=True)
            watch = threading.Thread(target=self._watch_versions, daemon=True)
            watch.start()
            while not self._stopping.is_set():
                wait([slot.sentinel for slot in slots if slot.running], 0.2)
                for slot in slots:
                    slot.restart_where_ended()
        finally:
            self._stopping.set()
            for slot in slots:
                slot.terminate()
            for slot in slots:
                slot.join(self._settings.grace_s + 2)

    def _start(self) -> tuple[Any, Any]:
        ours, theirs = self._context.Pipe(duplex=False)
        process = self._context.Process(target=worker.main, args=(self._settings, self._version, theirs))
        process.start()
        theirs.close()
        return process, ours

    def _watch_versions(self) -> None:
        while not self._stopping.wait(self._settings.poll_s):
            try:
                version = self._versions.current()
                if int(version) == self._version.value or version == self._refused:
                    continue
                self._check(version)
            except InputError as error:
                if (text := str(error)) != self._refused:
                    self._refused = text
                    print(f"the version before goes on: {for_terminal(text)}", file=sys.stderr, flush=True)
                continue
            self._refused = None
            self._version.value = int(version)
            print(f"version {version} is whole; scoring by it", flush=True)

    def _check(self, version: str) -> None:
        folder = self._versions.folder(version)
        check_content(folder, read_manifest(folder))

    def _probe_port(self) -> None:
        """Workers share the port with whoever asks for that, another scorer too; so see first that nobody has it."""
        host, port = self._settings.host, self._settings.port
        try:
            family, kind, *_, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
            with socket.socket(family, kind) as probe:
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                probe.bind(address)
        except (OSError, OverflowError) as error:
            raise InputError(
                f"{host}:{port} cannot be listened on ({first_line(error)}); end what has the port, or name another "
                f"one by --port"
            ) from None

    def _address(self) -> str:
        host = f"[{self._settings.host}]" if ":" in self._settings.host else self._settings.host
        return f"http://{host}:{self._settings.port}"


class _Slot:
    """The place of one worker, in which another takes over where it ended."""

    def __init__(self, start: Any) -> None:
        self._start = start
        self._process: Any = None
        self._ready: Any = None
        self._since = self._again_at = 0.0
        self._wait_s = _FIRST_WAIT_S

    def start(self) -> None:
        self._process, self._ready = self._start()
        self._since = time.monotonic()

    @property
    def running(self) -> bool:
        return self._process is not None

    @property
    def sentinel(self) -> Any:
        return self._process.sentinel

    def wait_ready(self, stopping: threading.Event) -> None:
        """Raises InputError where the worker says why it cannot serve, or ends without a word."""
        while not stopping.is_set():
            if self._ready.poll(0.1):
                try:
                    said = self._ready.recv()
                except EOFError:
                    raise InputError("a worker ended before it could serve; what it said stands above") from None
                if isinstance(said, str):
                    raise InputError(said)
                return

    def restart_where_ended(self) -> None:
        now = time.monotonic()
        if self._process is not None and not self._process.is_alive():
            self._process.join()
            self._wait_s = _FIRST_WAIT_S if now - self._since > _LASTING_S else min(2 * self._wait_s, _LONGEST_WAIT_S)
            status, self._process, self._again_at = self._process.exitcode, None, now + self._wait_s
            print(f"a worker ended with status {status}; another one starts", file=sys.stderr, flush=True)
        if self._process is None and now >= self._again_at:
            self.start()

    def terminate(self) -> None:
        if self._process is not None:
            self._process.terminate()

    def join(self, timeout_s: float) -> None:
        if self._process is not None:
            self._process.join(timeout_s)
            if self._process.is_alive():
                self._process.kill()
                self._process.join()


@contextlib.contextmanager
def _metrics_folder() -> Iterator[None]:
    """A folder for what processes count, named by our process; those of supervisors that were killed are removed."""
    prefix = f"tierwise-metrics-{os.getuid()}-"
    for left in Path(tempfile.gettempdir()).glob(f"{prefix}*"):
        if not Path("/proc", left.name.removeprefix(prefix)).exists():
            shutil.rmtree(left, ignore_errors=True)
    folder = Path(tempfile.gettempdir(), f"{prefix}{os.getpid()}")
    folder.mkdir(mode=0o700)
    os.environ[_METRICS] = str(folder)
    try:
        yield
    finally:
        del os.environ[_METRICS]
        shutil.rmtree(folder, ignore_errors=True)


def _raise_file_limit() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
