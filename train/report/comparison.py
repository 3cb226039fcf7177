"""Rows of a comparison: runs grouped over seeds, labelled and ordered, each with the ID row to compare it with."""

import math
import statistics
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

from recsys.metrics import undefined
from recsys.models.titles import mode_title, model_title
from train.report.run_identity import identity
from train.report.run_reader import RunRecord

_FIRST_TITLES = [mode_title(mode) for mode in ("none", "vector", "simscore", "simtier")]
_MISSING = object()


class Spread(NamedTuple):
    """A mean over runs and its sample standard deviation, which a single run does not have."""

    mean: float
    deviation: float | None

    @classmethod
    def of(cls, values: list[float]) -> "Spread | None":
        """Of those ``values`` that are finite; None where there are none."""
        values = [value for value in values if math.isfinite(value)]  # others are of runs that diverged
        if not values:
            return None
        return cls(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None)


@dataclass(eq=False)
class Row:
    """Runs that differ in nothing that a result depends on but their seed."""

    title: str  # how the multimodal vectors enter
    settings: dict[str, Any]  # what the results depend on, by dotted key
    runs: list[RunRecord]
    label: str = ""  # the title, and the settings that tell it from other rows of that title
    baseline: "Row | None" = None  # the ID row to compare with: itself for an ID row, None where there is no single one

    @property
    def ids_alone(self) -> bool:
        """Whether no multimodal vector enters the model: an ID row, which others are compared with."""
        run = self.runs[0]
        return set((run.modes or {"all": run.mode}).values()) == {"none"}

    @property
    def evaluations(self) -> list[dict[str, Any]]:
        return [run.evaluation for run in self.runs if run.evaluation is not None]

    def metric(self, key: str) -> Spread | None:
        """``key`` of the overall metrics, over the runs where it is defined."""
        return Spread.of([e["overall"][key] for e in self.evaluations if e["overall"].get(key) is not None])

    def gain(self, key: str) -> float | None:
        """Relative gain of ``key`` over the ID row, in percent; None for an ID row."""
        if self.baseline is None or self.baseline is self:
            return None
        value, base = self.metric(key), self.baseline.metric(key)
        return 100.0 * (value.mean / base.mean - 1.0) if value and base and base.mean else None


@dataclass(frozen=True)
class Comparison:
    """The rows that the report shows, metrics on ``split``, and notes on what makes the comparison doubtful."""

    split: str
    rows: list[Row]
    notes: list[str]

    @property
    def runs(self) -> list[RunRecord]:
        return [run for row in self.rows for run in row.runs]


def compare(runs: list[RunRecord], split: str) -> Comparison:
    """``runs`` grouped into rows, in the order ID, Vector, SimScore, SimTier, then as given; data folders apart."""
    groups: dict[str, Row] = {}
    for run in runs:
        settings = identity(run)
        title = model_title(run.mode, run.modes, settings.get("model.arch"))
        groups.setdefault(repr(sorted(settings.items())), Row(title, settings, [])).runs.append(run)
    data = list(dict.fromkeys(run.data for run in runs))
    rows = sorted(groups.values(), key=lambda row: (data.index(row.runs[0].data), _place(row.title)))
    for row in rows:
        row.label = _label(row, rows)
        row.baseline = _baseline(row, rows)
    return Comparison(split, rows, _notes(rows, runs, data) + _notes_on_evaluations(runs, split))


def _place(title: str) -> int:
    return _FIRST_TITLES.index(title) if title in _FIRST_TITLES else len(_FIRST_TITLES)


def _label(row: Row, rows: list[Row]) -> str:
    """The title, and in brackets each setting of ``row`` in which rows of that title differ."""
    same_title = [other.settings for other in rows if other.title == row.title]
    differing = [
        f"{key}={value}"
        for key, value in sorted(row.settings.items())
        if any(settings.get(key, _MISSING) != value for settings in same_title)
    ]
    return f"{row.title} ({', '.join(differing)})" if differing else row.title


def _baseline(row: Row, rows: list[Row]) -> Row | None:
    """The ID row that differs from ``row`` in the multimodal path alone, else the only one on its data."""
    if row.ids_alone:
        return row
    id_rows = [r for r in rows if r.ids_alone and r.runs[0].data == row.runs[0].data]
    closest = [r for r in id_rows if not _other_settings(r, row)] or id_rows
    return closest[0] if len(closest) == 1 else None


def _other_settings(a: Row, b: Row) -> list[str]:
    """Settings apart from the multimodal path in which two rows differ."""
    multimodal = ("model.multimodal", "model.modalities", "vectors.")
    keys = sorted(key for key in {*a.settings, *b.settings} if not key.startswith(multimodal))
    return [key for key in keys if a.settings.get(key, _MISSING) != b.settings.get(key, _MISSING)]


def _notes_on_evaluations(runs: list[RunRecord], split: str) -> list[str]:
    """What of the evaluations is of other data than the run's, or undefined, and why."""
    notes = []
    for run in runs:
        evaluation = run.evaluation or {}
        data = evaluation.get("data")  # older evaluations do not say
        if data is not None and str(Path(str(data))) != run.data:
            notes.append(
                f"run '{run.name}': split '{split}' was evaluated on '{data}', and it was trained on '{run.data}'"
            )
        overall = evaluation.get("overall") or {}
        why = undefined(overall) if all(isinstance(overall.get(n), int) for n in ("rows", "positives")) else {}
        for reason in dict.fromkeys(why.values()):
            names = ", ".join(name for name in why if why[name] == reason)
            notes.append(f"run '{run.name}': split '{split}' has no {names}: {reason}")
    return notes


def _notes(rows: list[Row], runs: list[RunRecord], data: list[str]) -> list[str]:
    notes = [note for run in runs for note in run.notes]
    notes += [f"run '{run.name}' is not finished: its status is '{run.status}'" for run in runs if not run.done]
    if len(data) > 1:
        notes.append(
            f"the runs read different data ({', '.join(data)}): compare rows of one data folder only; "
            f"item frequency is shown for {data[0]}"
        )
    for folder in data:
        sizes = {e["overall"].get("rows") for r in rows if r.runs[0].data == folder for e in r.evaluations}
        if len(sizes) > 1:
            notes.append(f"the runs on {folder} were evaluated on different numbers of rows: {sorted(sizes)}")
    commits = {run.about["git"]["commit"][:10] for run in runs if (run.about.get("git") or {}).get("commit")}
    if len(commits) > 1:
        notes.append(f"the runs were made by different commits: {', '.join(sorted(commits))}")
    for row in rows:
        seeds = Counter(run.about.get("seed") for run in row.runs)
        if repeated := [str(seed) for seed, times in seeds.items() if times > 1]:
            notes.append(f"{row.label}: seed {', '.join(repeated)} is there more than once")
        if row.baseline is None:
            notes.append(f"{row.label}: no single ID run on its data to compare with, so no gain is given")
        elif others := _other_settings(row, row.baseline):
            notes.append(f"{row.label}: differs from its ID row in {', '.join(others)} too")
    return notes
