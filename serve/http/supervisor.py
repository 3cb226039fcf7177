"""The scorer's supervisor: starts the workers, starts those anew that ended, checks each new version once for all."""

import contextlib
import functools
import multiprocessing
import os
import resource
import signal
import threading
import time
import traceback
from collections.abc import Iterator
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess

from recsys.exported.versions import Versions
from serve.http import worker
from serve.http.delta_watch import DeltaWatch
from serve.http.log import log
from serve.http.metrics import Refusals, has_ended, metrics_folder
from serve.http.port import held_port
from serve.http.settings import Settings
from serve.http.version_watch import VersionWatch, check_version
from serve.http.versions_shared import SharedVersions
from serve.http.worker_slot import WorkerSlot

_MORE_S = 2.0  # that a worker may take to end beyond the grace
_NICE = 10
_SAME_S = 1.0  # within which signals are one: a launcher passes on what its whole group gets


class Supervisor:
    """Runs ``settings.processes`` workers until SIGTERM, SIGHUP or ^C; a second one of these ends them at once.

    Raises InputError where there is no whole version, or one of its stores is missing.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings, self._versions = settings, Versions(settings.model)
        self._context = multiprocessing.get_context("spawn")
        version = self._versions.current()
        check_version(self._versions, version, settings.stores)
        self._shared = SharedVersions(self._context, version)
        self._stopping, self._hurry = threading.Event(), threading.Event()

    def run(self) -> None:
        """Serve. Raises InputError where the port is taken or the model cannot be opened."""
        _raise_file_limit()
        with (
            self._signals(),
            held_port(self._settings.host, self._settings.port) as addresses,
            metrics_folder(),
            self._shared.folder_of_deltas(),
        ):
            self._supervise(addresses)

    @contextlib.contextmanager
    def _signals(self) -> Iterator[None]:
        """Signals that end us, but for those that whoever started us has us ignore, as nohup does with SIGHUP."""

        first = float("inf")

        def end(*_: object) -> None:
            nonlocal first
            now = time.monotonic()
            if now - first > _SAME_S:
                self._hurry.set()
            first = min(first, now)
            self._stopping.set()

        heeded = [n for n in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP) if signal.getsignal(n) != signal.SIG_IGN]
        before = {number: signal.signal(number, end) for number in heeded}
        try:
            yield
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)

    def _supervise(self, addresses: list[str]) -> None:
        slots = [
            WorkerSlot(functools.partial(self._start, addresses, place), functools.partial(has_ended, str(place)))
            for place in range(self._settings.processes)
        ]
        refusals = Refusals("supervisor")
        deltas = DeltaWatch(self._versions, self._shared, refusals)
        deltas.look()  # a worker begins with those that there are
        try:
            for slot in slots:
                slot.start()
            for slot in slots:
                slot.wait_ready(self._stopping)
            if not self._stopping.is_set():
                print(f"scoring by version {self._shared.wanted} at {self._settings.address}", flush=True)
            watch = VersionWatch(self._versions, self._settings.stores, self._shared, refusals)
            threading.Thread(target=self._watch, args=(watch, deltas), daemon=True).start()
            while not self._stopping.is_set():
                wait([slot.sentinel for slot in slots if slot.sentinel is not None], 0.2)
                for slot in slots:
                    slot.restart_where_ended()
        finally:
            self._stopping.set()
            for slot in slots:
                slot.terminate()
            until = time.monotonic() + self._settings.grace_s + _MORE_S
            for slot in slots:
                slot.join(until, self._hurry)

    def _start(self, addresses: list[str], place: int) -> tuple[BaseProcess, Connection]:
        ours, theirs = self._context.Pipe(duplex=False)
        arguments = (self._settings, addresses, place, self._shared, theirs)
        process = self._context.Process(target=worker.main, args=arguments)
        # a process is born with what is blocked here: a ^C before it ignores that would end it with a traceback
        before = signal.pthread_sigmask(signal.SIG_BLOCK, worker.NEVER_HERE)
        try:
            process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            theirs.close()
        return process, ours

    def _watch(self, *watches: VersionWatch | DeltaWatch) -> None:
        with contextlib.suppress(OSError):  # what reads a version whole gives way to what answers
            os.setpriority(os.PRIO_PROCESS, threading.get_native_id(), _NICE)
        while not self._stopping.wait(self._settings.poll_s):
            try:
                for watch in watches:
                    watch.look()
            except Exception:  # a defect; the version that scores goes on, and others may come
                log(traceback.format_exc())


def _raise_file_limit() -> None:
    """Each connection is a file."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
