"""Run folders that the report's tests write, and how they read what it made."""

import base64
import json
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

from click.testing import CliRunner

from train.commands.report import command
from train.report.comparison import compare
from train.report.run_reader import read_run
from train.report.tables import as_text

METRICS = {"auc": 0.7, "gauc": 0.65, "gauc_unweighted": 0.64, "ne": 0.9, "log_loss": 0.4, "calibration": 1.01}
COUNTS = {"rows": 800, "positives": 160, "users": 90, "users_left_out": 10}
PLOTS = ["curves", "frequency", "reliability"]


def evaluation(**overall):
    """An evaluation whose AUC is the overall one in every group."""
    metrics = COUNTS | METRICS | overall
    groups = [metrics | {"group": k + 1, "rows": 100, "min_count": 10 * k, "max_count": 10 * k + 9} for k in range(8)]
    bins = [{"low": p, "high": p, "rows": 400, "mean_prediction": p, "base_rate": p + 0.05} for p in (0.1, 0.3)]
    subsets = {"new_items": metrics | {"rows": 60}, "known_items": metrics | {"rows": 740}}
    return {
        "split": "test",
        "epoch": 1,
        "overall": metrics,
        "frequency_groups": groups,
        **subsets,
        "reliability": bins,
    }


def write_run(folder, mode="simtier", seed=0, test_evaluation=None, status="done", config=(), **about):
    """A run folder of the documented format."""
    name = about.pop("name", folder.name)
    (folder / "evaluation").mkdir(parents=True)
    (folder / "config.yaml").write_text(
        json.dumps(  # JSON is YAML
            {
                "data": {"path": "data/shop"},
                "model": {"multimodal": {"mode": mode, "num_tiers": 20}, "modalities": {}},
                "train": {"epochs": 2, "seed": seed},
                "run": {"name": name, "root": str(folder.parent)},
            }
            | dict(config)
        )
    )
    about = {
        "name": name,
        "status": status,
        "mode": mode,
        "seed": seed,
        "world_size": 2,
        "versions": {"torch": "2.13.0"},
        "git": {"commit": "c0ffee" * 6, "changed": False},
        "examples_per_s": 50_000.0,
        "best_epoch": 2,
        "parameters": 1234,
    } | about
    (folder / "run.json").write_text(json.dumps(about))
    rows = [
        {"kind": "train", "step": s, "epoch": 1, "loss": 0.5, "ne": 0.95, "examples_per_s": 5e4}
        for s in range(10, 60, 10)
    ]
    rows += [{"kind": "evaluation", "step": 50 * e, "epoch": e, "split": "validation", **METRICS} for e in (1, 2)]
    (folder / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    if test_evaluation is not None:
        (folder / "evaluation" / "test.json").write_text(json.dumps(test_evaluation))
    return folder


def report(*arguments):
    """Standard output of the command. InputError passes through."""
    result = CliRunner().invoke(command, [str(a) for a in arguments], standalone_mode=False)
    if result.exception:
        raise result.exception
    return result.output


def comparison(*folders, split="test"):
    return compare([read_run(str(folder), split) for folder in folders], split)


def text(*folders, split="test"):
    """What the command prints, without drawing the page."""
    return as_text(comparison(*folders, split=split))


def cells(output):
    """Model -> its cells by column, from the printed Markdown."""
    header, _, *lines = [line.strip("| ").split(" | ") for line in output.splitlines() if line.startswith("|")]
    return {
        line[0].strip(): dict(zip([h.strip() for h in header], map(str.strip, line), strict=True)) for line in lines
    }


class Page(HTMLParser):
    """Tags of an HTML page, checked to be nested; images by the figure that holds them."""

    def __init__(self, path):
        super().__init__()
        self.open, self.tags, self.images, self.text, self.figure = [], [], {}, "", None
        self.feed(Path(path).read_text(encoding="utf-8"))
        assert not self.open

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append((tag, attrs))
        if tag == "figure":
            self.figure = attrs["id"]
        if tag == "img":
            kind, data = attrs["src"].split(",")
            assert kind == "data:image/svg+xml;base64" and attrs["alt"]
            self.images[self.figure] = ElementTree.fromstring(base64.b64decode(data))
        if tag not in ("meta", "img"):
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text += data


def four_runs(root):
    modes = {"simtier": 0.7371, "none": 0.63, "simscore": 0.7182, "vector": 0.6489}
    return [write_run(root / mode, mode, test_evaluation=evaluation(gauc=gauc)) for mode, gauc in modes.items()]
