"""Run folders, read back: what a run says of itself, its curves and its evaluation of one split."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from embeddings.errors import InputError, nearest


@dataclass(frozen=True)
class Run:
    """One run folder. ``evaluation`` is None where an unfinished run has none of the split."""

    path: Path
    about: dict[str, Any]  # run.json
    config: dict[str, Any]  # config.yaml
    training: list[dict[str, Any]]  # rows of metrics.jsonl
    validations: list[dict[str, Any]]
    evaluation: dict[str, Any] | None  # evaluation/<split>.json
    notes: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        return str(self.about.get("name") or self.path.name)

    @property
    def status(self) -> str:
        return str(self.about.get("status", "unknown"))

    @property
    def done(self) -> bool:
        return self.status == "done"

    @property
    def data(self) -> str:
        """The data folder, as the run's config names it."""
        return str(Path(str((self.config.get("data") or {}).get("path", "unknown"))))


def read_run(path: str, split: str) -> Run:
    """The run in folder ``path`` with its evaluation of ``split``.

    Raises InputError where there is no run, where a finished one has no evaluation of the split, or where a file is
    broken: file and line are named.
    """
    folder = Path(path)
    if not (folder / "run.json").is_file():
        raise InputError(f"no run in '{path}': it has no run.json{_known(folder)}")
    about = _object(folder / "run.json")
    rows, notes = _lines(folder / "metrics.jsonl", running=about.get("status") != "done")
    run = Run(
        path=folder,
        about=about,
        config=_config(folder / "config.yaml"),
        training=[row for row in rows if row.get("kind") == "train"],
        validations=[row for row in rows if row.get("kind") == "evaluation"],
        evaluation=_evaluation(folder / "evaluation" / f"{split}.json"),
        notes=notes,
    )
    if run.done and run.evaluation is None:
        found = sorted(p.stem for p in (folder / "evaluation").glob("*.json"))
        raise InputError(
            f"run '{path}' has no evaluation of split '{split}'; found: {', '.join(found) or 'none'}; "
            f"make it with 'python -m train evaluate {path} --split {split}'"
        )
    return run


def _known(folder: Path) -> str:
    """The runs below or beside ``folder``, to choose from."""
    below = [str(p.parent) for p in sorted(folder.glob("*/run.json"))]
    beside = [str(p.parent) for p in sorted(folder.parent.glob("*/run.json"))]
    if not below and (hint := nearest(str(folder), beside)):
        return hint
    runs = below or beside
    more = f" and {len(runs) - 5} more" if len(runs) > 5 else ""
    return f"; runs near it: {', '.join(runs[:5])}{more}" if runs else "; make one with 'python -m train ctr'"


def _object(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(_text(path))
    except json.JSONDecodeError as error:
        raise InputError(f"'{path}', line {error.lineno}: not JSON ({error.msg}); {_AGAIN}") from None
    if not isinstance(value, dict):
        raise InputError(f"'{path}', line 1: a JSON object is expected, got {type(value).__name__}; {_AGAIN}")
    return value


_AGAIN = "restore the file, or make the run again"


def _lines(path: Path, running: bool) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    """Rows of a JSON-lines file; a run that was cut off may leave half a last line, which is left out and noted."""
    if not path.is_file():
        return [], ()
    rows, lines = [], _text(path).split("\n")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except json.JSONDecodeError as error:
            if running and number == len(lines):
                return rows, (f"'{path}', line {number}: cut off while it was written, left out",)
            raise InputError(f"'{path}', line {number}: not JSON ({error.msg}); {_AGAIN}") from None
        if not isinstance(row, dict):
            raise InputError(f"'{path}', line {number}: a JSON object is expected, got {type(row).__name__}; {_AGAIN}")
        rows.append(row)
    return rows, ()


def _evaluation(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    value = _object(path)
    if not isinstance(value.get("overall"), dict):
        raise InputError(f"'{path}', line 1: no 'overall' metrics; make the evaluation again")
    return value


def _config(path: Path) -> dict[str, Any]:
    if not path.is_file():
        raise InputError(f"'{path}' is missing, so what the run did is unknown; {_AGAIN}")
    try:
        value = OmegaConf.to_container(OmegaConf.load(path))
    except Exception as error:  # the YAML parsers raise many kinds
        reason = " ".join(str(error).split())  # the parser's own message spans lines
        raise InputError(f"'{path}' is not readable YAML ({reason}); {_AGAIN}") from error
    if not isinstance(value, dict):
        raise InputError(f"'{path}' is not a mapping of keys; {_AGAIN}")
    return value


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        raise InputError(f"'{path}', line {line}: not UTF-8 text; {_AGAIN}") from None
    except OSError as error:
        raise InputError(f"'{path}' cannot be read ({error.strerror}); {_AGAIN}") from None
