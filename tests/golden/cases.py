"""The golden runs: their data, settings and ranks, all by the command line, and what is read from their folders."""

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from tests.conftest import ROOT
from tests.train.launch import Done, finished, rows, start, start_launched_ranks

STEPS, SCL_STEPS = 200, 100
MICROLENS_USERS = 3000  # the first lines of its file; all of them would only make validation longer
UNSTORED = {"kind", "step", "epoch", "split"}  # of an evaluation's row; the rest are its metrics
SCL = (
    "data.candidates=positives",
    "model.triplet.weight=0.5",
    "model.bank.rows=128",  # over all ranks
    "model.bank.momentum=0.9",
    "model.bank.wait_epochs=1",  # of 50 steps, or of 25
    "train.evaluate_every=100",
    "train.epochs=8",  # more than are run: the learning rate's cosine is still high at the end
)


@dataclass(frozen=True, kw_only=True)
class Case:
    """One run of a command. Tolerances hold between kinds of machine; test_losses.py says where they come from."""

    name: str
    overrides: tuple[str, ...]
    tolerance: float  # of a loss, over the mean of its curve
    metric_tolerance: float  # absolute
    command: str = "ctr"
    config: str = "shop"
    data: str = "shop"
    batch: int = 64  # rows a step over all ranks
    steps: int = STEPS
    columns: tuple[str, ...] = ("loss",)
    takes: str | None = None  # the case whose MAKE this one takes
    part: str = ""  # folder of the run, where a command's run has several
    quick: bool = False  # on one rank


def _mode(mode: str, *more: str) -> tuple[str, ...]:
    return (f"model.multimodal.mode={mode}", *more)


def _shop(name: str, *overrides: str, tolerance: float = 1e-4, metric: float = 1e-4, **more: Any) -> Case:
    return Case(name=name, overrides=overrides, tolerance=tolerance, metric_tolerance=metric, **more)


def _scl(kind: str, *overrides: str, batch: int = 16, **more: Any) -> Case:
    return Case(
        name=f"scl-{kind}", command="scl", config=f"shop-{kind}", data=f"searches/{kind}", overrides=(*SCL, *overrides),
        batch=batch, steps=SCL_STEPS, columns=("loss", "info_nce", "triplet"), metric_tolerance=0.05, **more,
    )  # fmt: skip


CASES = [
    _shop("none", *_mode("none"), tolerance=1e-5),
    _shop("vector", *_mode("vector"), tolerance=1e-5),
    _shop("simscore", *_mode("simscore")),
    _shop("simtier", *_mode("simtier")),
    _shop("make", *_mode("make")),
    _shop("simtier-make", *_mode("simtier+make"), quick=True),
    _shop("sa-ta", *_mode("simtier", "model.multimodal.sa_ta=true", "model.attention.softmax=true")),
    _shop(
        "dcn-dropout-reset", *_mode("simtier", "model.interaction=dcn", "model.dropout=0.2"),
        "train.reset_tables=each_epoch", "train.epochs=2", "sharding.tables.item.sharding_types=[row_wise]", batch=128,
    ),
    _shop("adagrad", "sparse_optimizer.name=adagrad", "sharding.sharding_types=[column_wise]"),
    _shop("sgd", "sparse_optimizer.name=sgd", "sparse_optimizer.lr=1.0", "sharding.sharding_types=[data_parallel]"),
    Case(
        name="microlens", config="microlens", data="microlens", overrides=_mode("simtier+make"),
        tolerance=2e-4, metric_tolerance=1e-3,
    ),
    _shop(
        "make-alone", "model.multimodal.make.thinned=0.4", "train.epochs=2",
        command="make", part="content", batch=128, tolerance=2e-4, metric=3e-4,
    ),
    _shop(
        "make-taken", *_mode("simtier+make", "model.multimodal.make.withheld=0.5"),
        takes="make-alone", tolerance=4e-4, metric=3e-4,
    ),
    _scl(
        "image", "model.image.channels=[8,16,32]", "augment.flip=0.5", "augment.colour=0.2", "augment.rotate=10",
        "optimizer.lr=5.0e-5",  # a higher one makes more of each rounding: by the last step a hundredth of the loss
        batch=32, tolerance=5e-3,
    ),
    _scl("text", "model.text.hidden=32", "model.width=32", tolerance=2e-4, quick=True),
]  # fmt: skip
BY_NAME = {case.name: case for case in CASES}


@dataclass(frozen=True)
class Curves:
    """What is kept of a run: the loss of every step, float32, and the metrics of its last validation."""

    losses: dict[str, np.ndarray]
    metrics: dict[str, float]


@dataclass
class Runs:
    """Prepares data and runs cases below ``folder``; nothing is made twice, unless it is asked for afresh."""

    folder: Path
    shared_data: Path | None
    threads: int = 1
    _done: dict[tuple[str, int], Path] = field(default_factory=dict)

    def curves(self, case: Case, ranks: int, afresh: bool = False) -> Curves:
        """Run the case, and read what it logged."""
        if afresh:
            shutil.rmtree(self._done.pop((case.name, ranks), self.folder / "none"), ignore_errors=True)
        run = self._run(case, ranks) / case.part
        train, validation = rows(run), rows(run, "evaluation")[-1]
        assert [row["step"] for row in train] == list(range(1, case.steps + 1)), f"{case.name}: steps are missing"
        losses = {name: np.array([row[name] for row in train], np.float32) for name in case.columns}
        figures = {key: value for key, value in validation.items() if key not in UNSTORED}
        return Curves(losses, {key: float(f"{value:.9g}") for key, value in figures.items() if value is not None})

    def _run(self, case: Case, ranks: int) -> Path:
        if (case.name, ranks) in self._done:
            return self._done[case.name, ranks]
        run = self.folder / "runs" / f"{case.name}-{ranks}"
        taken = [f"model.multimodal.make.run={self._run(BY_NAME[case.takes], ranks)}"] if case.takes else []
        arguments = [
            case.command, "--config", ROOT / "configs" / f"{case.config}.yaml", f"data.path={self._data(case.data)}",
            "data.test=null", f"data.batch_size={case.batch // ranks}", f"train.max_steps={case.steps}",
            "train.log_every=1", "train.seed=11", "train.autocast=auto", "process.device=cpu",
            f"process.threads={self.threads}", f"run.root={run.parent}", f"run.name={run.name}",
            *case.overrides, *taken,
        ]  # fmt: skip
        begin = start if ranks == 1 else start_launched_ranks
        _succeeded(finished(begin(*([ranks] if ranks > 1 else []), *arguments), 300))
        self._done[case.name, ranks] = run
        return run

    def _data(self, name: str) -> Path:
        """The folder of a data set, prepared where it is not there yet."""
        top = name.split("/")[0]
        out = self.folder / "data" / top
        if not out.exists():
            arguments: dict[str, list[object]] = {
                "shop": ["--rows", 16_500, "--users", 400, "--items", 800, "--history", 20, "--width", 32],
                "searches": ["--rows", 1_000, "--items", 300, "--width", 8, "--searches", 1_000],
                "microlens": ["--source", self._microlens()] if top == "microlens" else [],
            }
            kind = "microlens" if top == "microlens" else "shop"
            _succeeded(finished(start("prepare", kind, *arguments[top], "--seed", 3, "--out", out)))
        return out / "searches" / name.split("/")[1] if "/" in name else out

    def _microlens(self) -> Path:
        """The public files, of fewer users."""
        assert self.shared_data is not None, "MicroLens needs the folder of public data sets"
        source, part = self.shared_data / "microlens-50k", self.folder / "microlens-source"
        part.mkdir(exist_ok=True)
        for path in source.glob("*.npy"):
            shutil.copyfile(path, part / path.name)
        pairs = "MicroLens-50k_pairs.tsv"
        lines = (source / pairs).read_text(encoding="ascii").splitlines(keepends=True)
        (part / pairs).write_text("".join(lines[:MICROLENS_USERS]), encoding="ascii")
        return part


def _succeeded(done: Done) -> None:
    assert done.status == 0, f"status {done.status}\n{done.out[-2000:]}\n{done.err[-4000:]}"
