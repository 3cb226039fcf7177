"""Looks for new deltas of the version that scores, merges each once for all workers, and refuses damaged ones."""

import shutil
import time

from embeddings.errors import InputError, first_line, for_terminal
from recsys.exported.delta_chain import DeltaChain
from recsys.exported.manifest import read_manifest
from recsys.exported.merged_deltas import MergedDeltas
from recsys.exported.versions import Versions
from serve.http.log import log
from serve.http.metrics import Refusals
from serve.http.retry_wait import FIRST_WAIT_S, LONGEST_WAIT_S, RetryWait
from serve.http.versions_shared import SharedVersions

_KEPT = 2  # merges, the newest: a worker may be about to map the one before


class DeltaWatch:
    """Has workers want each new delta of the wanted version once it is whole and merged with those before.

    A worker maps the merged rows, so that one copy is in memory for all. A delta that is missing or damaged ends the
    chain until its files are whole; each reason is said and counted once. Then the next version goes on without it.
    """

    def __init__(self, versions: Versions, shared: SharedVersions, refusals: Refusals) -> None:
        self._versions, self._shared, self._refusals = versions, shared, refusals
        self._chain: DeltaChain | None = None
        self._merged: MergedDeltas
        self._wait = RetryWait(FIRST_WAIT_S, LONGEST_WAIT_S)
        self._said: set[str] = set()

    def look(self) -> None:
        """Look once."""
        version = self._shared.wanted
        try:
            if self._chain is None or self._chain.version.version != version:
                chain = DeltaChain(self._versions, read_manifest(self._versions.folder(version)))
                self._chain, self._merged = chain, chain.start()
                self._wait.reset()
                self._said.clear()
            if self._chain.latest() > self._merged.number and self._wait.over(time.monotonic()):
                self._follow(self._chain)
        except (InputError, OSError) as error:
            self._wait.failed(time.monotonic())
            self._refuse(for_terminal(str(error)) if isinstance(error, InputError) else first_line(error))

    def _follow(self, chain: DeltaChain) -> None:
        """Take what is whole, then raise what the next one is wrong by."""
        merged, latest = self._merged, chain.latest()
        try:
            while merged.number < latest:
                merged = chain.next(merged)
        finally:
            if merged.number > self._merged.number:
                self._publish(merged)
        self._wait.reset()

    def _publish(self, merged: MergedDeltas) -> None:
        assert self._chain is not None
        version = self._chain.version.version
        folder = self._shared.merged(version, merged.number)
        merged.save(folder)
        # mapped from now on, as the workers do: what was merged in this process's own memory goes
        self._merged = MergedDeltas.open(folder, self._chain.version)
        self._shared.wanted_deltas = version, merged.number
        kept = sorted(folder.parent.iterdir(), key=lambda path: path.stat().st_mtime_ns)[-_KEPT:]
        for old in folder.parent.iterdir():
            if old not in kept:
                shutil.rmtree(old, ignore_errors=True)

    def _refuse(self, why: str) -> None:
        if why not in self._said:
            self._said.add(why)
            self._refusals.delta_refusal()
            version, delta = self._shared.wanted_deltas
            log(f"version {version}{f'+{delta}' if delta else ''} goes on: {why}")
