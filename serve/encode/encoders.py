"""Encoders of the service: the active one, and a new one that encodes everything beside it until it takes over."""

import threading
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import torch

from embeddings.errors import InputError, for_terminal, listed, shown
from embeddings.index.create_index import create_index
from embeddings.index.index_files import content_name, is_index, read_meta
from embeddings.index.index_writer import IndexWriter
from embeddings.index.statistics import statistics
from recsys.exported.encoder import EncoderManifest, open_exported_encoder, read_encoder_manifest
from recsys.exported.manifest import read_manifest
from recsys.exported.versions import Versions
from recsys.scl.content_columns import as_content
from recsys.scl.encoders.item_encoder import ItemEncoder
from serve.encode.content_log import ContentLog
from serve.encode.follower import Follower
from serve.encode.metrics import EncodeMetrics
from serve.encode.settings import EncodeSettings
from serve.encode.waiting import Outcome, Waiting
from serve.http.log import log as say
from serve.http.retry_wait import FIRST_WAIT_S, LONGEST_WAIT_S, RetryWait


def current_manifest(root: str) -> EncoderManifest:
    """The manifest of the current version of the exported encoder in ``root``. Raises InputError."""
    versions = Versions(root)
    return read_encoder_manifest(versions.folder(versions.current()))


def open_index(settings: EncodeSettings, manifest: EncoderManifest, log: ContentLog) -> IndexWriter:
    """The index's writer; where there is no index, one is made for the encoder of ``manifest``. Raises InputError."""
    if is_index(settings.index):
        return IndexWriter(settings.index)
    Path(settings.index).absolute().parent.mkdir(parents=True, exist_ok=True)
    return create_index(settings.index, manifest.name, manifest.width, settings.dtype)


class Encoders:
    """Follows the log by the index's active encoder, and by the current exported one where that is another.

    Raises InputError where the index's active encoder is none of the exported versions, or reads another kind.
    """

    def __init__(
        self,
        settings: EncodeSettings,
        log: ContentLog,
        writer: IndexWriter,
        waiting: Waiting,
        metrics: EncodeMetrics,
        kind: str,
    ) -> None:
        self._settings, self._log, self._writer, self._waiting = settings, log, writer, waiting
        self._metrics, self._kind, self._versions = metrics, kind, Versions(settings.encoder)
        self._pool = ThreadPoolExecutor(settings.workers, thread_name_prefix="decode")
        self._device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self._changing, self._telling = threading.Lock(), threading.Lock()
        self._said: set[str] = set()
        self._wait = RetryWait(FIRST_WAIT_S, LONGEST_WAIT_S)
        self._seen: str | None = None  # version of the encoder that was looked at last
        self._names_of: tuple[str, set[str]] = ("", set())  # version of the model, and its encoders
        self.next: Follower | None = None
        self.active = self._follower(self._version_of(self._active_name()))
        self.active.start()
        self.look()

    @property
    def name(self) -> str:
        """The active encoder's."""
        return self.active.encoder.name

    def look(self) -> None:
        """Look for a new version of the encoder, and whether the one that is beside is to become active."""
        with self._changing:
            try:
                if self._wait.over(time.monotonic()):
                    self._take_current()
                    self._wait.reset()
            except InputError as error:  # what it lacks may come
                self._wait.failed(time.monotonic())
                self._say(f"encoder '{self.name}' goes on: {for_terminal(str(error))}")
            try:
                if self.next is not None and self.caught_up(self.next) and self.next.encoder.name in self._wanted():
                    self._activate(self.next)
            except InputError as error:
                self._say(f"encoder '{self.name}' goes on: {for_terminal(str(error))}")
        for follower in self._all():
            self._metrics.behind(follower.encoder.name, follower.behind)

    def caught_up(self, follower: Follower) -> bool:
        """Whether it has as good as everything that the log has."""
        return follower.behind <= self._settings.batch

    def activate(self, name: str) -> None:
        """Have the encoder beside become active. Raises InputError where there is none, or it has items to encode."""
        with self._changing:
            if self.name == name:
                return
            if self.next is None or self.next.encoder.name != name:
                beside = shown(self.next.encoder.name) if self.next else "none"
                raise InputError(f"encoder {shown(name)} is not the one that encodes beside, which is {beside}")
            if not self.caught_up(self.next):
                raise InputError(
                    f"encoder {shown(name)} is {self.next.behind:,} revisions behind; ask again once it has caught up"
                )
            self._activate(self.next)

    def about(self) -> list[dict[str, Any]]:
        """Each encoder at work, for people."""
        return [
            {
                "name": follower.encoder.name,
                "active": follower is self.active,
                "width": follower.encoder.width,
                "behind": follower.behind,
                "caught_up": self.caught_up(follower),
            }
            for follower in self._all()
        ]

    def compact(self) -> None:
        """Give back what updated and deleted vectors take, where that is most of a segment. Raises InputError."""
        for follower in self._all():
            self._writer.compact(follower.encoder.name, dead_share=0.5)

    def close(self) -> None:
        """End all, with their positions kept."""
        with self._changing:
            for follower in self._all():
                follower.stop()
        self._pool.shutdown()

    def _all(self) -> list[Follower]:
        beside = self.next
        return [self.active, *([beside] if beside is not None else [])]

    def _active_name(self) -> str:
        return next(str(about["encoder"]) for about in statistics(self._settings.index)["encoders"] if about["active"])

    def _version_of(self, name: str) -> str:
        """The newest whole version of the encoder ``name``. Raises InputError where there is none."""
        names = []
        for version in reversed(self._versions.all()):
            try:
                names.append(read_encoder_manifest(self._versions.folder(version)).name)
            except InputError as error:
                self._say(f"version {version} is passed over: {for_terminal(str(error))}")
                continue
            if names[-1] == name:
                return version
        raise InputError(
            f"live index '{self._settings.index}' has vectors of encoder {shown(name)}, of which "
            f"'{self._settings.encoder}' has no version, only {listed(list(dict.fromkeys(names))) or 'none'}; vectors "
            "of two encoders do not mix: export that one too, or name another index"
        )

    def _take_current(self) -> None:
        version = self._versions.current()
        if version == self._seen:
            return
        manifest = read_encoder_manifest(self._versions.folder(version))
        if manifest.kind != self._kind:
            raise InputError(f"version {version} reads {manifest.kind}s, and the content is of kind {self._kind}")
        known = {follower.encoder.name for follower in self._all()}
        if manifest.name not in known:
            follower = self._follower(version)
            if self.next is not None:
                self._give_up(self.next)
            self.next = follower
            follower.start()
            say(f"encoder '{manifest.name}' encodes {self._log.entries:,} items beside '{self.name}'")
        self._seen = version

    def _follower(self, version: str) -> Follower:
        """Of a version, whose encoder is begun in the index where that has it not."""
        folder = self._versions.folder(version)
        encoder = open_exported_encoder(folder, self._device, ItemEncoder)
        if encoder.kind != self._kind:
            raise InputError(f"'{folder}' reads {encoder.kind}s, and the content is of kind {self._kind}")
        encoder.warm_up()
        settings = self._settings
        place = content_name(read_meta(settings.index).identity, encoder.name)
        about = {one["encoder"]: one for one in statistics(settings.index)["encoders"]}
        if encoder.name not in about:
            self._log.set_position(place, None)  # of vectors that were dropped since
            self._writer.add_encoder(encoder.name, encoder.width, settings.dtype)
        elif about[encoder.name]["width"] != encoder.width:
            raise InputError(f"'{folder}' gives width {encoder.width}, the index {about[encoder.name]['width']}")
        batch, content_of = settings.batch, partial(as_content, kind=self._kind)
        return Follower(
            self._log, self._writer, encoder, place, batch, self._pool, self._metrics, content_of, self._tell
        )

    def _give_up(self, follower: Follower) -> None:
        """End one that was never active, and drop its vectors."""
        follower.stop()
        self._writer.drop(follower.encoder.name)
        say(f"encoder '{follower.encoder.name}' never was active, and is dropped for a newer one")

    def _activate(self, follower: Follower) -> None:
        before = self.active
        self._writer.activate(follower.encoder.name)
        with self._telling:
            self.active, self.next = follower, None
            self._waiting.passed(follower.position, self._log.reason)
        before.stop()
        say(f"encoder '{follower.encoder.name}' is active; the vectors of '{before.encoder.name}' stay as they are")

    def _wanted(self) -> set[str]:
        """Encoders that the current version of the model names. Raises InputError."""
        if self._settings.model is None:
            return set()
        versions = Versions(self._settings.model)
        version = versions.current()
        if version != self._names_of[0]:
            manifest = read_manifest(versions.folder(version))
            self._names_of = (version, {store.encoder for store in manifest.stores.values()})
        return self._names_of[1]

    def _tell(self, follower: Follower, outcomes: Sequence[Outcome]) -> None:
        with self._telling:
            if follower is self.active:
                self._waiting.tell(outcomes)

    def _say(self, text: str) -> None:
        if text not in self._said:
            self._said.add(text)
            say(text)
