"""HTML report: one file with tables, plots and configs in it, so that it can be mailed or kept with the runs."""

import base64
import os
from pathlib import Path
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined

from embeddings.errors import InputError
from embeddings.files.atomic_file import atomic_write
from embeddings.files.yaml_file import to_yaml
from train.report.comparison import Comparison
from train.report.plots import draw_plots
from train.report.run_reader import RunRecord
from train.report.tables import frequency_table, summary_table

PAGE_NAME = "report.html"


def write_page(comparison: Comparison, out: str | None) -> Path:
    """Write report.html to folder ``out`` and return its path.

    Without ``out``, one run's report goes into its own folder, that of several into the folder that holds them all.
    """
    if out is not None:
        folder = Path(out)
    elif len(comparison.runs) == 1:
        folder = comparison.runs[0].path
    else:
        folder = Path(os.path.commonpath([run.path.absolute().parent for run in comparison.runs]))
        folder = folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
    path = folder / PAGE_NAME
    write_text(path, render_page(comparison))
    return path


def render_page(comparison: Comparison) -> str:
    """The page as HTML; every name in it is escaped."""
    environment = Environment(
        loader=PackageLoader("train.report"),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        undefined=StrictUndefined,
    )
    return environment.get_template(PAGE_NAME).render(
        split=comparison.split,
        notes=comparison.notes,
        summary=summary_table(comparison),
        frequency=frequency_table(comparison, "auc"),
        plots=[(plot, base64.b64encode(plot.image).decode()) for plot in draw_plots(comparison)],
        runs=[_details(run) for run in comparison.runs],
    )


def _details(run: RunRecord) -> dict[str, Any]:
    """What the template shows of one run: its state, facts by heading, and its config as YAML."""
    about = {k: v for k, v in run.about.items() if k not in ("name", "status", "versions", "git")}
    git = run.about.get("git") or {}
    changed = " with local changes" if git.get("changed") else ""
    commit = {"commit": f"{git['commit']}{changed}"} if git.get("commit") else {}
    return {
        "name": run.name,
        "path": str(run.path),
        "status": run.status,
        "done": run.done,
        "facts": [
            ("Run", {k: _text(v) for k, v in about.items()}),
            ("Environment", commit | {k: _text(v) for k, v in (run.about.get("versions") or {}).items()}),
            ("Evaluation", {k: _text(v) for k, v in ((run.evaluation or {}).get("overall") or {}).items()}),
        ],
        "config": to_yaml(run.config),
    }


def _text(value: Any) -> str:
    if value is None:
        return "-"
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.6g}"
    return f"{value:,}" if isinstance(value, int) and not isinstance(value, bool) else str(value)


def write_text(path: Path, text: str) -> None:
    """Write ``text`` to ``path`` atomically, in UTF-8. Raises InputError where that cannot be."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as out:
            out.write(text.rstrip("\n").encode(errors="backslashreplace") + b"\n")
    except OSError as error:
        raise InputError(
            f"cannot write '{path}' ({error.strerror}); choose another place with --out or --markdown"
        ) from None
