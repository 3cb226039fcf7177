"""Scorer: requests in, scores out, by the newest version of an exported model; new versions are taken as they come."""

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch

from embeddings.errors import InputError, first_line, shown
from embeddings.files.json_file import read_json
from embeddings.validation import validated
from recsys.exported.manifest import EXPORT_AGAIN, WARMUP, Warmup, WarmupRequest
from recsys.exported.model import ExportedModel
from recsys.exported.versions import Versions
from recsys.features.columns import feature_field
from recsys.features.request_rows import Columns, RequestAssembler
from serve.request.plain_columns import candidate_columns, context_columns
from serve.unknown import Unknown, look_for_unknown


@dataclass(frozen=True)
class Policy:
    """What is done about what the model does not know.

    item    a candidate whose embedding training never changed, or whose id is outside of its table
    user    the same of the user
    vector  a candidate without a vector in a modality
    """

    item: Literal["score", "zero", "refuse"] = "score"
    user: Literal["score", "zero", "refuse"] = "score"
    vector: Literal["score", "refuse"] = "score"


@dataclass(frozen=True)
class Limits:
    """Bounds of one request: candidates, and values of one list before it is cut to max_length."""

    candidates: int = 10_000
    list_values: int = 100_000


@dataclass(frozen=True)
class Answer:
    """Scores of a request's candidates.

    logits   [N]  float32
    scores   [N]  float32, probabilities of a click
    version  of the model
    stores   modality -> checksum of its frozen store
    unknown  what the model did not know
    """

    logits: np.ndarray
    scores: np.ndarray
    version: str
    stores: Mapping[str, str]
    unknown: Unknown
    truncated: Mapping[str, int] = field(default_factory=dict)


class _Opened:
    """A version with what a request needs of it."""

    def __init__(self, model: ExportedModel) -> None:
        self.model = model
        self.assemble = RequestAssembler(model.schema, model.stores)
        self.fields = {feature_field(f).column: feature_field(f) for f in model.schema.features}
        self.stores = {name: store.checksum for name, store in model.stores.items()}


class Scorer:
    """Scores requests by the current version of the exported model in folder ``model``.

    Args:
        stores: modality -> folder of its frozen store, where it is not where it lay at the export.
        check: compare the digests of all files with the manifest's, which reads them whole.

    Raises InputError where there is no whole version, or a store is another one than the model was trained with.
    """

    def __init__(
        self,
        model: str | Path,
        stores: Mapping[str, str] | None = None,
        *,
        policy: Policy = Policy(),
        limits: Limits = Limits(),
        check: bool = True,
    ) -> None:
        self._versions, self._stores, self._check = Versions(model), dict(stores or {}), check
        self.policy, self.limits = policy, limits
        self._refreshing = threading.Lock()
        self.refused: dict[str, str] = {}  # version -> why it was not taken
        self._opened = self._open(self._versions.current())

    @property
    def version(self) -> str:
        """The version that the next request is scored by."""
        return self._opened.model.manifest.version

    @property
    def model(self) -> ExportedModel:
        """The same, opened."""
        return self._opened.model

    def score(self, context: Mapping[str, Any], candidates: Mapping[str, Any]) -> Answer:
        """Score the candidates of one request.

        Args:
            context: column -> what all candidates share: a number, or a list of integers such as a history.
            candidates: column -> a list with a value for each candidate.

        Raises InputError where a column is missing or holds what it may not, and where the policy refuses.
        """
        opened = self._opened  # a version that comes meanwhile scores the next one
        columns = context_columns(opened.fields, context), candidate_columns(opened.fields, candidates)
        return self._scored(opened, *columns)

    def score_columns(self, context: Columns, candidates: Columns) -> Answer:
        """The same of columns that are arrays: ``context`` of one row, ``candidates`` of N."""
        return self._scored(self._opened, context, candidates)

    def refresh(self) -> bool:
        """Take the current version, where it is another one, after a warm-up. Whether it did.

        Requests go on meanwhile. A version that is damaged, or whose stores are missing, is left, and ``refused`` says
        why.
        """
        with self._refreshing:
            try:
                version = self._versions.current()
            except InputError as error:
                self.refused["current"] = first_line(error)
                return False
            self.refused.pop("current", None)
            if version == self.version or version in self.refused:
                return False
            try:
                self._opened = self._open(version)
            except InputError as error:
                self.refused[version] = first_line(error)
                return False
            return True

    def _open(self, version: str) -> _Opened:
        folder = self._versions.folder(version)
        opened = _Opened(ExportedModel.open(folder, self._stores, check=self._check))
        for request in _warmup(folder / WARMUP):
            columns = (
                context_columns(opened.fields, request.context),
                candidate_columns(opened.fields, request.candidates),
            )
            self._scored(opened, *columns)
        return opened

    def _scored(self, opened: _Opened, context: Columns, candidates: Columns) -> Answer:
        self._check_size(context, candidates)
        rows = opened.assemble(context, candidates)
        unknown = look_for_unknown(opened.model, rows)
        unknown.refuse(self.policy.item == "refuse", self.policy.user == "refuse", self.policy.vector == "refuse")
        unknown.zero(rows, self.policy.item == "zero", self.policy.user == "zero")
        logits = opened.model.score(rows)
        scores = torch.sigmoid(logits).numpy()
        version = opened.model.manifest.version
        return Answer(logits.numpy(), scores, version, opened.stores, unknown, rows.truncated)

    def _check_size(self, context: Columns, candidates: Columns) -> None:
        for columns in (context, candidates):
            for name, column in columns.items():
                if len(column) > self.limits.candidates:
                    raise InputError(
                        f"candidates: column {shown(name)} has {len(column):,} rows; allowed: at most "
                        f"{self.limits.candidates:,}; send several requests"
                    )
                values = getattr(column, "values", None)
                if values is not None and values.size > self.limits.list_values:
                    raise InputError(
                        f"column {shown(name)} has {values.size:,} values in lists; allowed: at most "
                        f"{self.limits.list_values:,}; send the newest"
                    )


def _warmup(path: Path) -> list[WarmupRequest]:
    try:
        return validated(Warmup, read_json(path, "warm-up requests"), f"'{path}'").requests
    except OSError as error:
        raise InputError(f"'{path}' cannot be read ({first_line(error)}); {EXPORT_AGAIN}") from None
