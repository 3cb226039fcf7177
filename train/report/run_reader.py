"""Reads run folders: run.json, config.yaml, metrics.jsonl and the evaluation of one split."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from embeddings.errors import InputError, first_line, listed, nearest
from embeddings.files.json_file import read_json
from embeddings.files.plain_scalars import typed
from embeddings.files.yaml_file import read_yaml
from embeddings.validation import validated
from recsys.models.config import ArchConfig
from train.ctr.config import load_config
from train.report.run_files import About, Evaluation
from train.run.metrics_file import LOST, METRICS, read_lines


@dataclass(frozen=True)
class RunRecord:
    """What a CTR run's folder holds. ``evaluation`` is None where an unfinished run has none of the split.

    ``settings`` is the config as this version reads it, with every default and old keys by their new names; a config
    that this version cannot read is there as it stands.
    """

    path: Path
    about: dict[str, Any]  # run.json
    config: dict[str, Any]  # config.yaml, as it stands
    settings: dict[str, Any]  # by dotted key
    model: ArchConfig | None  # the config's; None where this version cannot read it
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
    def mode(self) -> str:
        """How multimodal vectors enter the model, of all modalities together."""
        return str(self.about.get("mode", "unknown"))

    @property
    def modes(self) -> dict[str, str] | None:
        """Modality -> mode, its parts joined by "+"; None where run.json does not say."""
        return self.about.get("modes")

    @property
    def data(self) -> str:
        """The data folder, as the run's config names it."""
        return str(Path(str(self.settings.get("data.path", "unknown"))))


def read_run(path: str, split: str) -> RunRecord:
    """The run in folder ``path`` with its evaluation of ``split``.

    Raises InputError where there is no run, or one of contrastive learning, where a finished one has no evaluation of
    the split, or where a file is broken: file and line are named.
    """
    folder = Path(path)
    if not (folder / "run.json").is_file():
        raise InputError(f"no run in '{path}': it has no run.json{_runs_nearby(folder)}")
    about = _checked(folder / "run.json", "run's facts", About, _AGAIN)
    if about.get("mode") == "scl":
        raise InputError(
            f"'{path}' is a run of contrastive learning, and the report compares CTR models; leave it out; its Acc@N "
            f"by epoch is in '{folder / 'metrics.jsonl'}'"
        )
    rows, notes = _metrics(folder / METRICS, running=about.get("status") != "done")
    config = _config(folder / "config.yaml")
    settings, model, config_notes = _settings(folder / "config.yaml", config)
    run = RunRecord(
        path=folder,
        about=about,
        config=config,
        settings=settings,
        model=model,
        training=[row for row in rows if row.get("kind") == "train"],
        validations=[row for row in rows if row.get("kind") == "evaluation"],
        evaluation=_evaluation(folder / "evaluation" / f"{split}.json"),
        notes=notes + config_notes,
    )
    if run.done and run.evaluation is None:
        evaluated = sorted(p.stem for p in (folder / "evaluation").glob("*.json"))
        why = " (its data.test is null)" if settings.get("data.test", split) is None else ""
        raise InputError(
            f"run '{path}' has no evaluation of split '{split}'{why}; found: {', '.join(evaluated) or 'none'}; "
            f"make it with 'python -m train evaluate {path} --split {split}', or choose another split with --split"
        )
    return run


def _runs_nearby(folder: Path) -> str:
    """The runs below or beside ``folder``, to choose from."""
    below = [str(p.parent) for p in sorted(folder.glob("*/run.json"))]
    neighbours = [str(p.parent) for p in sorted(folder.parent.glob("*/run.json"))]
    if not below and (hint := nearest(str(folder), neighbours)):
        return hint
    runs = below or neighbours
    return f"; runs near it: {listed(runs)}" if runs else "; make one with 'python -m train ctr'"


def _checked(path: Path, what: str, model: type[BaseModel], again: str) -> dict[str, Any]:
    """The JSON object in ``path``, as it stands, which ``model`` takes."""
    try:
        value = read_json(path, what)
        validated(model, value, f"{what} '{path}'")
    except OSError as error:
        raise InputError(f"'{path}' cannot be read ({error.strerror}); {again}") from None
    except InputError as error:
        raise InputError(f"{error}; {again}") from None
    return value


_AGAIN = "restore the file, or make the run again"


def _metrics(path: Path, running: bool) -> tuple[list[dict[str, Any]], tuple[str, ...]]:
    """Rows of metrics.jsonl, and notes. Half a last line is left out and noted where the run is not done."""
    rows: list[dict[str, Any]] = []
    cut: InputError | None = None
    try:
        for row in read_lines(path):
            if cut is not None:
                break
            if isinstance(row, InputError):
                cut = row
            else:
                rows.append(row)
        else:
            if cut is not None and running:
                return rows, (f"{cut}: it was cut off while it was written, and is left out",)
    except OSError as error:
        raise InputError(f"'{path}' cannot be read ({error.strerror}); {_AGAIN}") from None
    if cut is not None:
        raise InputError(f"{cut}; {_AGAIN}")
    lost = sum(row["kind"] == LOST for row in rows)
    return rows, (f"'{path}': {lost} rows were lost before the run went on, and its curves have a gap",) if lost else ()


def _evaluation(path: Path) -> dict[str, Any] | None:
    if not path.is_file():
        return None
    return _checked(path, "evaluation", Evaluation, "make the evaluation again")


def _config(path: Path) -> dict[str, Any]:
    try:
        config = typed(read_yaml(path, "config"))
    except FileNotFoundError:
        raise InputError(f"'{path}' is missing, so what the run did is unknown; {_AGAIN}") from None
    except InputError as error:
        raise InputError(f"{error}; {_AGAIN}") from error
    if not isinstance(config, dict):
        raise InputError(f"'{path}' is not a mapping of keys; {_AGAIN}")
    return config


def _settings(path: Path, config: dict[str, Any]) -> tuple[dict[str, Any], ArchConfig | None, tuple[str, ...]]:
    """By dotted key the config in ``path`` as this version reads it, and its model.

    What this version cannot read is there as it stands, without a model, and with a note that says so.
    """
    try:
        read = load_config(str(path))
        return _flat(read.model_dump()), read.model, ()
    except InputError as error:
        return (
            _flat(config),
            None,
            (
                f"the config of run '{path.parent.name}' is not one of this version's ({first_line(error)}); "
                f"its settings are compared as they stand",
            ),
        )


def _flat(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    """Nested mappings as one, by dotted key. An empty mapping stays a value."""
    leaves: dict[str, Any] = {}
    for key, value in config.items():
        leaves |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) and value else {f"{prefix}{key}": value}
    return leaves
