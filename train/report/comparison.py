"""Runs as the rows of a comparison: seeds gathered, rows labelled and ordered, each beside its ID row."""

import statistics
from collections import Counter
from dataclasses import dataclass
from typing import Any, NamedTuple

from train.report.run_reader import Run

MODES = {"none": "ID", "vector": "ID + Vector", "simscore": "ID + SimScore", "simtier": "ID + SimTier"}

_NOT_SETTINGS = ("run.", "process.", "train.seed")


class Spread(NamedTuple):
    """A mean over runs and its sample standard deviation, which a single run does not have."""

    mean: float
    deviation: float | None

    @classmethod
    def of(cls, values: list[float]) -> "Spread | None":
        if not values:
            return None
        return cls(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None)


@dataclass(eq=False)
class Row:
    """Runs that differ in nothing but their seed."""

    kind: str  # how the multimodal vectors enter
    settings: dict[str, Any]
    runs: list[Run]
    label: str = ""  # the kind, and the settings that tell it from other rows of that kind
    baseline: "Row | None" = None  # the ID row to compare with: itself for an ID row, None where there is no single one

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
        ours, theirs = self.metric(key), self.baseline.metric(key)
        return 100.0 * (ours.mean / theirs.mean - 1.0) if ours and theirs and theirs.mean else None


@dataclass(frozen=True)
class Comparison:
    """What the report shows."""

    split: str
    rows: list[Row]
    notes: list[str]

    @property
    def runs(self) -> list[Run]:
        return [run for row in self.rows for run in row.runs]


def compared(runs: list[Run], split: str) -> Comparison:
    """``runs`` gathered into rows, in the order ID, Vector, SimScore, SimTier, then as given; data folders apart."""
    gathered: dict[str, Row] = {}
    for run in runs:
        settings = _settings(run)
        gathered.setdefault(repr(sorted(settings.items())), Row(_kind(run), settings, [])).runs.append(run)
    order = list(MODES.values())
    data = list(dict.fromkeys(run.data for run in runs))
    rows = sorted(
        gathered.values(),
        key=lambda r: (data.index(r.runs[0].data), order.index(r.kind) if r.kind in order else len(order)),
    )
    for row in rows:
        row.label = _label(row, rows)
        row.baseline = _baseline(row, rows)
    return Comparison(split, rows, _notes(rows, runs, data))


def _modes(run: Run) -> dict[str, str]:
    """Mode by modality; a run that ended before it knew its modalities has the one in its settings."""
    return run.about.get("modes") or {"all": str(run.about.get("mode", "unknown"))}


def _kind(run: Run) -> str:
    modes = _modes(run)
    if len(set(modes.values())) == 1:
        return _mode_label(next(iter(modes.values())))
    used = {name: mode for name, mode in modes.items() if mode != "none"}
    return "ID" + "".join(f" + {name}: {_mode_label(mode).removeprefix('ID + ')}" for name, mode in used.items())


def _mode_label(mode: str) -> str:
    return MODES.get(mode, f"ID + {mode}")


def _settings(run: Run) -> dict[str, Any]:
    """All that a result depends on but the seed, by dotted key."""
    flat = {k: v for k, v in _flat(run.config).items() if not k.startswith(_NOT_SETTINGS)}
    if "simtier" not in _modes(run).values():
        flat.pop("model.multimodal.num_tiers", None)  # without tiers it changes nothing
    return flat | {"data.path": run.data, "ranks": run.about.get("world_size")}


def _flat(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in config.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) and value else {f"{prefix}{key}": value}
    return flat


def _label(row: Row, rows: list[Row]) -> str:
    others = [r.settings for r in rows if r.kind == row.kind]
    keys = sorted({key for settings in others for key in settings})
    own = [f"{k}={row.settings.get(k)}" for k in keys if any(s.get(k) != row.settings.get(k) for s in others)]
    return f"{row.kind} ({', '.join(own)})" if own else row.kind


def _baseline(row: Row, rows: list[Row]) -> Row | None:
    """The ID row that differs from ``row`` in the multimodal path alone, else the only one on its data."""
    if row.kind == MODES["none"]:
        return row
    ids = [r for r in rows if r.kind == MODES["none"] and r.runs[0].data == row.runs[0].data]
    closest = [r for r in ids if not _other_settings(r, row)] or ids
    return closest[0] if len(closest) == 1 else None


def _other_settings(a: Row, b: Row) -> list[str]:
    """Settings apart from the multimodal path in which two rows differ."""
    keys = sorted(k for k in {*a.settings, *b.settings} if not k.startswith(("model.multimodal", "model.modalities")))
    return [k for k in keys if a.settings.get(k) != b.settings.get(k)]


def _notes(rows: list[Row], runs: list[Run], data: list[str]) -> list[str]:
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
