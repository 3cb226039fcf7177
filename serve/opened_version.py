"""A version of an exported model, opened and warm: reads requests by its schema and scores them, several at once."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import numpy as np
import torch

from embeddings.errors import InputError, first_line
from embeddings.files.json_file import read_json
from embeddings.validation import validated
from recsys.exported.manifest import WARMUP, Warmup, WarmupRequest
from recsys.exported.merged_deltas import MergedDeltas
from recsys.exported.model import ExportedModel
from recsys.exported.version_manifest import EXPORT_AGAIN
from recsys.features.columns import feature_fields
from recsys.features.ragged import Ragged
from recsys.features.request_rows import Columns, RequestAssembler, RequestRows, joined
from serve.answer import Answer, NotFinite
from serve.policy import Limits, Policy
from serve.request.plain_columns import candidate_columns, context_columns
from serve.unknown import Unknown, look_for_unknown

Failure = TypeVar("Failure", bound=Exception)


@dataclass(frozen=True)
class ReadRequest:
    """A request as arrays, its sizes checked, and the version that read it, which is to score it too.

    context     column -> an array or Ragged of 1 row
    candidates  column -> an array or Ragged of N rows
    count       N
    pairs       of a candidate and a value of the lists, as they are cut, and candidates: what the work grows with
    kind        requests of one kind can be scored at once: they have the same columns, of the same types
    """

    version: "OpenedVersion"
    context: Columns
    candidates: Columns
    count: int
    pairs: int
    kind: tuple[object, ...]


class OpenedVersion:
    """A version of the exported model, with what a request needs of it.

    fields  column -> how features read it
    stores  modality -> checksum of its frozen store
    warmup  requests that came with it
    """

    def __init__(self, model: ExportedModel, warmup: list[WarmupRequest]) -> None:
        self.model, self.warmup = model, warmup
        self.name = model.name
        self.fields = model.fields
        self.stores = {name: store.checksum for name, store in model.stores.items()}
        self._assemble = RequestAssembler(model.schema, model.stores)
        lists = [field for field in feature_fields(model.schema) if field.kind == "list"]
        unbounded = {field.column for field in lists if not field.max_length}
        self._longest: dict[str, int] = {}  # column of lists -> values of one that are read, at most
        for field in lists:
            if field.max_length and field.column not in unbounded:
                self._longest[field.column] = max(field.max_length, self._longest.get(field.column, 0))

    @classmethod
    def open(cls, folder: Path, stores: Mapping[str, str], check: bool) -> "OpenedVersion":
        """The version in ``folder``, warm. Raises InputError; arguments as of ``ExportedModel.open``."""
        version = cls(ExportedModel.open(folder, stores, check=check), _warmup(folder / WARMUP))
        version._answer_warmup(version.warmup, f"'{folder}'", "export another checkpoint")
        return version

    def with_deltas(self, merged: MergedDeltas) -> "OpenedVersion":
        """This version with deltas over it; this one stays as it is. Raises InputError where they are of no use."""
        version = OpenedVersion(self.model.with_deltas(merged), self.warmup)
        version._answer_warmup(self.warmup[:1], f"delta '{version.name}'", "the next full version does without it")
        return version

    def _answer_warmup(self, requests: list[WarmupRequest], what: str, fix: str) -> None:
        for request in requests:  # whatever the policy and the limits of requests from outside
            context = context_columns(self.fields, request.context)
            rows = self._assemble(context, candidate_columns(self.fields, request.candidates))
            try:
                self._check_finite(self.model.score(rows))
            except NotFinite as error:
                raise InputError(f"{what} is of no use: {error}; {fix}") from None

    def read(self, context: Columns, candidates: Columns, limits: Limits) -> ReadRequest:
        """A request of one row of ``context`` and N of ``candidates``.

        Raises InputError where a column is missing, not known or has another number of rows, and beyond the limits.
        """
        for columns in (context, candidates):
            for name, column in columns.items():
                limits.check_rows(name, len(column))
                if isinstance(column, Ragged):
                    limits.check_lists(name, column.values.size)
        count = self._assemble.count(context, candidates)
        shared, own = self._values(context), self._values(candidates)
        limits.check_pairs(count, count * shared + own)
        types = [sorted((name, str(_type(column))) for name, column in side.items()) for side in (context, candidates)]
        return ReadRequest(
            self, context, candidates, count, max(count, 1) * (1 + shared) + own, (self, *map(tuple, types))
        )

    def score(self, requests: Sequence[ReadRequest], policy: Policy) -> list[Answer | Exception]:
        """What to answer to each of ``requests``, which are of one kind: InputError where its values or the policy
        refuse it, NotFinite, or whatever else went wrong with it. Scores do not depend on what is scored at once.
        """
        try:
            return self.score_and_rows(requests, policy)[0]
        except Exception as error:
            if len(requests) == 1:
                return [_bare(error) if isinstance(error, (InputError, NotFinite)) else error]
        refusals = [self._refusal(request) for request in requests]
        sound = [request for request, refusal in zip(requests, refusals, strict=True) if refusal is None]
        if len(sound) == len(requests):  # something else went wrong, with whichever
            return [answer for request in requests for answer in self.score([request], policy)]
        answers = iter(self.score(sound, policy) if sound else [])
        return [next(answers) if refusal is None else refusal for refusal in refusals]

    def _refusal(self, request: ReadRequest) -> InputError | None:
        """Why its values are refused, if they are."""
        try:
            self._assemble(request.context, request.candidates, [request.count])
        except InputError as error:
            return _bare(error)
        return None

    def score_and_rows(
        self, requests: Sequence[ReadRequest], policy: Policy
    ) -> tuple[list[Answer | Exception], RequestRows]:
        """The same, and the rows that the model saw. Raises InputError where the values of any request are refused."""
        counts = [request.count for request in requests]
        contexts, candidates = [request.context for request in requests], [request.candidates for request in requests]
        rows = self._assemble(joined(contexts), joined(candidates), counts)
        unknown = look_for_unknown(self.model, rows)
        unknown.zero(rows, policy.item == "zero", policy.user == "zero")
        logits = self.model.score(rows)
        answers: list[Answer | Exception] = []
        finite, end = bool(logits.isfinite().all()), 0
        for request, count in enumerate(counts):
            own = slice(end, end := end + count)
            try:
                if not finite:
                    self._check_finite(logits[own])
                answers.append(self._answer(rows, logits[own], unknown, request, own, policy))
            except (InputError, NotFinite) as error:
                answers.append(_bare(error))
        return answers, rows

    def _answer(
        self,
        rows: RequestRows,
        logits: torch.Tensor,
        unknown: Unknown,
        request: int,
        own: slice,
        policy: Policy,
    ) -> Answer:
        of_request = unknown.of(request, own)
        of_request.refuse(policy.item == "refuse", policy.user == "refuse", policy.vector == "refuse")
        truncated = {}
        for name, cut in rows.truncated.items():
            if number := int(np.count_nonzero(cut[request] if name in rows.shared else cut[own])):
                truncated[name] = number
        scores = torch.sigmoid(logits).numpy()  # of each request: what is beside a number changes its last bit
        return Answer(logits.numpy(), scores, self.name, self.stores, of_request, truncated)

    def _check_finite(self, logits: torch.Tensor) -> None:
        finite = logits.isfinite()
        if not finite.all():
            wrong = f"{int((~finite).sum())} of {logits.numel()} logits"
            raise NotFinite(f"version {self.name} makes {wrong} that are not finite, {logits[~finite][0]} the first")

    def _values(self, columns: Columns) -> int:
        """Of the lists, as they are cut."""
        total = 0
        for name, column in columns.items():
            if isinstance(column, Ragged):
                longest = self._longest.get(name)
                total += column.values.size if longest is None else min(column.values.size, longest * len(column))
        return total


def _bare(error: Failure) -> Failure:
    """Without its traceback, whose frames hold the request, the version and whatever else was at hand."""
    return error.with_traceback(None)


def _type(column: np.ndarray | Ragged) -> np.dtype:
    return column.values.dtype if isinstance(column, Ragged) else column.dtype


def _warmup(path: Path) -> list[WarmupRequest]:
    try:
        return validated(Warmup, read_json(path, "warm-up requests"), f"'{path}'").requests
    except OSError as error:
        raise InputError(f"'{path}' cannot be read ({first_line(error)}); {EXPORT_AGAIN}") from None
