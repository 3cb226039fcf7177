"""Scorer: requests in, scores out, by the newest version of an exported model; new versions are taken as they come."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from embeddings.errors import InputError, first_line, shown
from embeddings.files.json_file import read_json
from embeddings.validation import validated
from recsys.exported.manifest import EXPORT_AGAIN, WARMUP, Warmup, WarmupRequest
from recsys.exported.model import ExportedModel
from recsys.exported.versions import Versions
from recsys.features.columns import Field
from recsys.features.request_rows import Columns, RequestAssembler, RequestRows
from serve.policy import DEFAULT_LIMITS, DEFAULT_POLICY, Limits, Policy
from serve.request.plain_columns import candidate_columns, context_columns
from serve.unknown import Unknown, look_for_unknown

_UNREAD = 3  # columns of rows that requests may have though no feature reads them: label, user, timestamp


@dataclass(frozen=True)
class Answer:
    """Scores of a request's candidates.

    logits   [N]  float32
    scores   [N]  float32, probabilities of a click
    version  of the model
    stores   modality -> checksum of its frozen store
    unknown  what the model did not know
    truncated  feature -> lists that were cut to max_length
    """

    logits: np.ndarray
    scores: np.ndarray
    version: str
    stores: Mapping[str, str]
    unknown: Unknown
    truncated: Mapping[str, int] = field(default_factory=dict)


class NotFinite(ArithmeticError):
    """A model whose logits of a request are not all finite: its weights are spoilt, or too large for float32."""


class _Opened:
    """A version with what a request needs of it."""

    def __init__(self, model: ExportedModel, warmup: list[WarmupRequest]) -> None:
        self.model, self.warmup = model, warmup
        self.assemble = RequestAssembler(model.schema, model.stores)
        self.fields = model.fields
        self.stores = {name: store.checksum for name, store in model.stores.items()}


class Scorer:
    """Scores requests by the current version of the exported model in folder ``model``.

    Args:
        stores: modality -> folder of its frozen store, where it is not where it lay at the export.
        version: begin with this one; None: the current one.
        check: compare the digests of all files with the manifest's, which reads them whole.

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
    ) -> None:
        self._versions, self._stores = Versions(model), dict(stores or {})
        self.policy, self.limits = policy, limits
        self._taking = threading.Lock()
        self._opened = self._open(version or self._versions.current(), check)

    @property
    def version(self) -> str:
        """The version that the next request is scored by."""
        return self._opened.model.manifest.version

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
        opened = self._opened  # a version that comes meanwhile scores the next one
        answer, rows = self._scored(opened, *self._columns(opened.fields, context, candidates))
        return answer, opened.model, rows

    def score_with(self, read: Callable[[Mapping[str, Field]], tuple[Columns, Columns]]) -> Answer:
        """The same of columns that are arrays: ``read`` makes context, of one row, and candidates of the ``fields``."""
        opened = self._opened
        return self._scored(opened, *read(opened.fields))[0]

    def refresh(self) -> bool:
        """Take the current version, where it is another one. Whether it did. Raises what ``take`` raises."""
        version = self._versions.current()
        if version == self.version:
            return False
        self.take(version)
        return True

    def take(self, version: str, *, check: bool = True) -> None:
        """Score by ``version`` from now on, once it is opened and warm; requests go on meanwhile.

        Args:
            check: as for the constructor.

        Raises InputError where it is damaged, or one of its stores is missing or another one; the version before then
        goes on.
        """
        with self._taking:
            self._opened = self._open(version, check)

    def _open(self, version: str, check: bool) -> _Opened:
        folder = self._versions.folder(version)
        model = ExportedModel.open(folder, self._stores, check=check)
        opened = _Opened(model, _warmup(folder / WARMUP))
        for request in opened.warmup:  # whatever the policy and the limits of requests from outside
            context = context_columns(opened.fields, request.context)
            logits = model.score(opened.assemble(context, candidate_columns(opened.fields, request.candidates)))
            try:
                _check_finite(version, logits)
            except NotFinite as error:
                raise InputError(f"'{folder}' is of no use: {error}; export another checkpoint") from None
        return opened

    def _scored(self, opened: _Opened, context: Columns, candidates: Columns) -> tuple[Answer, RequestRows]:
        self._check_size(context, candidates)
        rows = opened.assemble(context, candidates)
        unknown = look_for_unknown(opened.model, rows)
        unknown.refuse(self.policy.item == "refuse", self.policy.user == "refuse", self.policy.vector == "refuse")
        unknown.zero(rows, self.policy.item == "zero", self.policy.user == "zero")
        logits = opened.model.score(rows)
        version = opened.model.manifest.version
        _check_finite(version, logits)
        scores = torch.sigmoid(logits).numpy()
        return Answer(logits.numpy(), scores, version, opened.stores, unknown, rows.truncated), rows

    def _columns(self, fields: Mapping[str, Field], context: Any, candidates: Any) -> tuple[Columns, Columns]:
        """Columns of plain values, whose number is looked at first: to look at each of millions takes seconds."""
        for side, given in (("context", context), ("candidates", candidates)):
            if isinstance(given, Mapping) and len(given) > len(fields) + _UNREAD:
                raise InputError(
                    f"{side} has {len(given):,} columns; features read {len(fields)}; leave out the others"
                )
        for name, values in candidates.items() if isinstance(candidates, Mapping) else ():
            if isinstance(values, (list, tuple, np.ndarray)) and len(values) > self.limits.candidates:
                raise self._too_many(name, len(values))
        return context_columns(fields, context), candidate_columns(fields, candidates)

    def _too_many(self, name: object, rows: int) -> InputError:
        return InputError(
            f"candidates: column {shown(name)} has {rows:,} rows; allowed: at most {self.limits.candidates:,}; send "
            f"several requests"
        )

    def _check_size(self, context: Columns, candidates: Columns) -> None:
        for columns in (context, candidates):
            for name, column in columns.items():
                if len(column) > self.limits.candidates:
                    raise self._too_many(name, len(column))
                values = getattr(column, "values", None)
                if values is not None and values.size > self.limits.list_values:
                    raise InputError(
                        f"column {shown(name)} has {values.size:,} values in lists; allowed: at most "
                        f"{self.limits.list_values:,}; send the newest"
                    )


def _check_finite(version: str, logits: torch.Tensor) -> None:
    finite = logits.isfinite()
    if not finite.all():
        wrong = f"{int((~finite).sum())} of {logits.numel()} logits"
        raise NotFinite(f"version {version} makes {wrong} that are not finite, {logits[~finite][0]} the first")


def _warmup(path: Path) -> list[WarmupRequest]:
    try:
        return validated(Warmup, read_json(path, "warm-up requests"), f"'{path}'").requests
    except OSError as error:
        raise InputError(f"'{path}' cannot be read ({first_line(error)}); {EXPORT_AGAIN}") from None
