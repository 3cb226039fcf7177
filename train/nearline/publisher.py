"""Publishes what near-line training changes: deltas of the exported version that scores, full versions now and then."""

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from safetensors.torch import save

from embeddings.errors import InputError, first_line
from recsys.exported.delta import TableRows
from recsys.exported.delta_chain import DeltaChain
from recsys.exported.manifest import DENSE, Manifest, read_manifest
from recsys.exported.versions import Versions
from recsys.schema import Schema
from recsys.stream.position import StreamPosition
from train.checkpoint.shards import TensorShard
from train.distributed.ranks import Ranks, on_first
from train.export.table_files import InitialWeights, stored, weight_key
from train.nearline.gather_rows import gather_rows, union_of_ranks
from train.nearline.settings import NearlineSettings
from train.nearline.stream_folder import say
from train.nearline.touched_rows import TouchedRows

_ARCH = "model.dense.arch."


class Publisher:
    """Every rank has one; rank 0 writes.

    Args:
        touched: what training has changed since the checkpoint that it went on from; forgotten once it is published.
        shards: gives what this rank holds of the model's state.
        export: writes the newest checkpoint as a full version, on rank 0.
    """

    def __init__(
        self,
        settings: NearlineSettings,
        schema: Schema,
        initial: InitialWeights,
        touched: TouchedRows,
        shards: Callable[[], list[TensorShard]],
        export: Callable[[], None],
        ranks: Ranks,
    ) -> None:
        assert settings.model is not None
        self._settings, self._schema, self._initial, self._ranks = settings, schema, initial, ranks
        self.touched, self._shards, self._export = touched, shards, export
        self._versions = Versions(settings.model)
        self._chain: DeltaChain | None = None  # of the version that deltas are written of, on rank 0
        self._number, self._follows = 0, ""
        self._published: StreamPosition | None = None
        self._failed = ""
        self._at: float | None = None  # when something was published, or could not be

    def go_on(self, position: StreamPosition) -> None:
        """On rank 0: go on with the current version and its deltas, where this training has written them."""
        try:
            manifest = read_manifest(self._versions.folder(self._versions.current()))
            last = manifest.source.stream
            if last is None or last.run_id != position.run_id:
                return
            chain = DeltaChain(self._versions, manifest)
            merged, latest = chain.start(), chain.latest()
            while merged.number < latest:
                merged = chain.next(merged)
        except (InputError, OSError):  # there is none, or it is damaged: a full one comes
            return
        self._chain, self._number, self._follows = chain, merged.number, merged.digest
        self._published = merged.manifest.position if merged.manifest else last

    def due(self, position: StreamPosition) -> str | None:
        """On rank 0: what is to be published now, ``full`` or ``delta``."""
        if self._at is not None and time.monotonic() - self._at < self._settings.publish_s:
            return None
        return self.wanted(position)

    def wanted(self, position: StreamPosition) -> str | None:
        """On rank 0: what is to be published of ``position``, however long ago the last time was."""
        if self._chain is None or not self._current():
            return "full"
        assert self._published is not None
        # After a kill training comes by places that were published before. What has been looked up since the checkpoint
        # holds all that changed, so the chain goes on once the last place is reached.
        if position == self._published or not position.reaches(self._published):
            return None
        return "full" if self._number >= self._settings.full_every else "delta"

    def _current(self) -> bool:
        """Whether the version that deltas are written of is the one that scorers take."""
        assert self._chain is not None
        try:
            return self._versions.current() == self._chain.version.version
        except InputError:
            return False

    def publish_full(self, position: StreamPosition) -> None:
        """Publish the newest checkpoint, which is of ``position``. All ranks call it."""
        if on_first(self._ranks, lambda: self._tried(lambda: self._write_full(position))):
            self.touched.clear()

    def _write_full(self, position: StreamPosition) -> None:
        self._export()
        manifest = read_manifest(self._versions.folder(self._versions.current()))
        self._chain = DeltaChain(self._versions, manifest)
        self._number, self._follows, self._published = 0, self._chain.start().digest, position

    def publish_delta(self, position: StreamPosition, step: int) -> None:
        """Publish what was touched since the last time. All ranks call it."""
        rows = union_of_ranks(self.touched.rows(), self._ranks)
        shards = self._shards()
        keys = {name: weight_key(name, name not in self._schema.sequence_tables) for name in rows}
        values = gather_rows(rows, keys, shards, self._ranks)

        def write() -> None:
            self._write_delta(rows, values, shards, position, step)

        if on_first(self._ranks, lambda: self._tried(write)):
            self.touched.clear()

    def _tried(self, publish: Callable[[], None]) -> bool:
        """Whether it worked. What did not is said, and tried again at the next turn, with what has changed since."""
        self._at = time.monotonic()
        try:
            publish()
        except (InputError, OSError) as error:
            why = str(error) if isinstance(error, InputError) else f"'{self._versions.root}': {first_line(error)}"
            if why != self._failed:
                say(f"nothing was published: {why}; training goes on, and tries again")
            self._failed = why
            return False
        self._failed = ""
        return True

    def _write_delta(
        self,
        rows: dict[str, np.ndarray],
        values: dict[str, np.ndarray],
        shards: list[TensorShard],
        position: StreamPosition,
        step: int,
    ) -> None:
        assert self._chain is not None
        with self._versions.lock(), self._chain.writing(self._number + 1, self._follows, step, position) as written:
            folder, counts = written
            for name in rows:
                _table_rows(self._chain.version, self._initial, name, rows[name], values[name]).write(folder, name)
                counts[name] = rows[name].size
            (folder / DENSE).write_bytes(save(dense_parameters(shards)))
        self._number += 1
        self._follows, self._published = self._chain.digest(self._number), position

    @property
    def bytes_of_last(self) -> int:
        """Of the files of the last delta, or of the version where there is none yet. On rank 0."""
        assert self._chain is not None
        folder: Path = (
            self._chain.folder(self._number) if self._number else self._versions.folder(self._chain.version.version)
        )
        return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def dense_parameters(shards: list[TensorShard]) -> dict[str, torch.Tensor]:
    """Name -> parameter of the architecture, on the host, as an exported version has them."""
    named = ((shard.key.removeprefix(_ARCH), shard) for shard in shards if shard.key.startswith(_ARCH))
    return {name: shard.tensor.detach().cpu().contiguous() for name, shard in named}


def _table_rows(
    version: Manifest, initial: InitialWeights, name: str, rows: np.ndarray, values: np.ndarray
) -> TableRows:
    entry = version.tables[name]
    numbers, scale = stored(values, name, entry.dtype, "go on from an earlier checkpoint")
    size = (entry.rows, entry.width)
    trained = initial.changed(torch.from_numpy(values), name, torch.from_numpy(rows), size)
    return TableRows(rows, numbers, trained.astype(np.uint8), scale)
