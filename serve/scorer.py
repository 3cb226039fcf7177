"""Scorer: requests in, scores out, by the newest version of an exported model; new versions are taken as they come."""

import logging
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from embeddings.errors import InputError
from recsys.exported.delta_chain import DeltaChain
from recsys.exported.manifest import WarmupRequest
from recsys.exported.merged_deltas import MergedDeltas
from recsys.exported.model import ExportedModel
from recsys.exported.versions import Versions
from recsys.features.columns import Field
from recsys.features.request_rows import Columns, RequestRows
from serve.answer import Answer
from serve.opened_version import OpenedVersion, ReadRequest
from serve.policy import DEFAULT_LIMITS, DEFAULT_POLICY, Limits, Policy
from serve.request.plain_columns import candidate_columns, context_columns

log = logging.getLogger(__name__)
_LISTS = (list, tuple, np.ndarray)
_UNREAD = 3  # columns of rows that requests may have though no feature reads them: label, user, timestamp


class Scorer:
    """Scores requests by the current version of the exported model in folder ``model``.

    Args:
        stores: modality -> folder of its frozen store, where it is not where it lay at the export.
        version: begin with this one; None: the current one.
        check: compare the digests of all files with the manifest's, which reads them whole.
        deltas: take those of the version too, as far as they are whole; one that is not is said.

    Raises InputError where there is no whole version, or a store is another one than the model was trained with.
    """

    def __init__(
        self,
        model: str | Path,
        stores: Mapping[str, str] | None = None,
        *,
        version: str | None = None,
        policy: Policy = DEFAULT_POLICY,
        limits: Limits = DEFAULT_LIMITS,
        check: bool = True,
        deltas: bool = True,
    ) -> None:
        self._versions, self._stores = Versions(model), dict(stores or {})
        self.policy, self.limits = policy, limits
        self._taking = threading.Lock()
        self._opened = self._open(version or self._versions.current(), check)
        self._merged: MergedDeltas | None = None  # of the version that scores, where this scorer merges them itself
        if deltas:
            try:
                self._take_own_deltas()
            except InputError as error:
                log.warning("%s", error)

    @property
    def version(self) -> str:
        """The version that the next request is scored by."""
        return self._opened.model.manifest.version

    @property
    def delta(self) -> int:
        """How many of its deltas it has."""
        delta = self._opened.model.delta
        return delta.number if delta else 0

    @property
    def event_time(self) -> float | None:
        """The latest event time that it has learnt of, seconds since 1970; None where training was not near-line."""
        model = self._opened.model
        position = model.delta.position if model.delta else model.manifest.source.stream
        return position.event_time if position else None

    @property
    def fields(self) -> Mapping[str, Field]:
        """Column -> how features read it."""
        return self._opened.fields

    @property
    def model(self) -> ExportedModel:
        """The version that the next request is scored by, opened."""
        return self._opened.model

    @property
    def model_and_example(self) -> tuple[ExportedModel, WarmupRequest | None]:
        """The same, and a small request of that version, as documents show one; None where it was exported without."""
        opened = self._opened  # once: another one may come at any time
        several = [r for r in opened.warmup if any(len(values) > 1 for values in r.candidates.values())]
        return opened.model, next(iter([*several, *opened.warmup]), None)

    def score(self, context: Mapping[str, Any], candidates: Mapping[str, Any]) -> Answer:
        """Score the candidates of one request.

        Args:
            context: column -> what all candidates share: a number, or a list of integers such as a history.
            candidates: column -> a list with a value for each candidate.

        Raises InputError where a column is missing or holds what it may not, and where the policy refuses; NotFinite.
        """
        return self.score_and_rows(context, candidates)[0]

    def score_and_rows(
        self, context: Mapping[str, Any], candidates: Mapping[str, Any]
    ) -> tuple[Answer, ExportedModel, RequestRows]:
        """The same, and the version that scored it, and the rows that it saw."""
        request = self.read(context, candidates)
        (answer,), rows = request.version.score_and_rows([request], self.policy)
        if isinstance(answer, Exception):
            raise answer
        return answer, request.version.model, rows

    def read(self, context: Mapping[str, Any], candidates: Mapping[str, Any]) -> ReadRequest:
        """A request of plain values, for ``score_together``. Raises InputError."""

        def plain(fields: Mapping[str, Field]) -> tuple[Columns, Columns]:
            self._check_plain(fields, context, candidates)
            return context_columns(fields, context), candidate_columns(fields, candidates)

        return self.read_arrays(plain)

    def read_arrays(self, read: Callable[[Mapping[str, Field]], tuple[Columns, Columns]]) -> ReadRequest:
        """A request of arrays: ``read`` makes context, of one row, and candidates of the ``fields``.

        Raises InputError.
        """
        version = self._opened  # one that comes meanwhile reads and scores the next one
        return version.read(*read(version.fields), self.limits)

    def score_together(self, requests: Sequence[ReadRequest]) -> list[Answer | Exception]:
        """Answers to requests of one kind; for each that cannot be answered, the error that ``score`` would raise.

        The work of a request is little beside what comes with any, so requests that wait are scored at once. Scores are
        the same to the last bit. Raises ValueError for requests of several kinds.
        """
        if len({request.kind for request in requests}) > 1:
            raise ValueError("requests of several kinds cannot be scored at once; group them by their kind")
        if not requests:
            return []
        return requests[0].version.score(requests, self.policy)

    def refresh(self) -> bool:
        """Take the current version, where it is another one, and its deltas that have come. Whether there was any.

        Raises what ``take`` raises, and InputError for a delta that is missing or damaged: those before it are taken.
        """
        version = self._versions.current()
        another = version != self.version
        if another:
            self.take(version)
        return self._take_own_deltas() or another

    def take(self, version: str, *, check: bool = True) -> None:
        """Score by ``version`` from now on, once it is opened and warm; requests go on meanwhile.

        Args:
            check: as for the constructor.

        Raises InputError where it is damaged, or one of its stores is missing or another one; the version before then
        goes on.
        """
        with self._taking:
            self._opened = self._open(version, check)
            self._merged = None

    def take_deltas(self, merged: MergedDeltas) -> None:
        """Score by the version that scores with all of ``merged`` from now on; requests go on meanwhile.

        Raises InputError where they are of no use; what scored before then goes on.
        """
        with self._taking:
            self._opened = self._opened.with_deltas(merged)

    def _take_own_deltas(self) -> bool:
        chain = DeltaChain(self._versions, self._opened.model.manifest)
        latest = chain.latest()
        merged = self._merged or (chain.start() if latest else None)
        if merged is None or merged.number >= latest:
            return False
        try:
            while merged.number < latest:
                merged = chain.next(merged)
        finally:
            if merged.number > self.delta:
                self.take_deltas(merged)
                self._merged = merged
        return True

    def _open(self, version: str, check: bool) -> OpenedVersion:
        return OpenedVersion.open(self._versions.folder(version), self._stores, check)

    def _check_plain(self, fields: Mapping[str, Field], context: Any, candidates: Any) -> None:
        """Numbers of columns, rows and listed values, before any is looked at: of millions that takes seconds."""
        for side, given in (("context", context), ("candidates", candidates)):
            if isinstance(given, Mapping) and len(given) > len(fields) + _UNREAD:
                raise InputError(
                    f"{side} has {len(given):,} columns; features read {len(fields)}; leave out the others"
                )
        for name, values in candidates.items() if isinstance(candidates, Mapping) else ():
            if isinstance(values, _LISTS):
                self.limits.check_rows(name, len(values))
                if len(values) and isinstance(values[0], _LISTS):
                    self.limits.check_lists(name, sum(len(one) for one in values if isinstance(one, _LISTS)))
        for name, value in context.items() if isinstance(context, Mapping) else ():
            if isinstance(value, _LISTS):
                self.limits.check_lists(name, len(value))
