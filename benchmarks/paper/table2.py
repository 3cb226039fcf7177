"""Table 2, accuracy of encoders: trains what is missing, and writes rows and the table."""

import time
from pathlib import Path
from typing import Any

from benchmarks.harness import RESULTS, append_all, read
from benchmarks.paper.encoder_accuracy import AT, MODELS, table
from benchmarks.paper.experiments import Experiment, Job
from benchmarks.paper.figures import of_data
from benchmarks.paper.result_rows import about, evaluations, not_yet_written
from benchmarks.paper.run_jobs import is_done, run_all
from benchmarks.render import rewrite
from recsys.scl.pairs_schema import load_pairs
from train.config import load_settings
from train.scl.config import SCLConfig

NAME, TARGET = "paper", "table2"  # of the results file; of the command line


def jobs(experiment: Experiment) -> list[Job]:
    """A run of every model for every seed, on the test split once it has ended."""
    return [_job(experiment, model, seed) for seed in range(experiment.seeds) for model in MODELS]


def _job(experiment: Experiment, model: str, seed: int) -> Job:
    name = f"{experiment.name}-{model.replace(' ', '-')}-{seed}"
    common = (f"train.seed={seed}", "data.test=test", "train.keep=1", *experiment.extra)
    where = (f"run.name={name}", f"run.root={experiment.root}")
    return Job(name=name, command="scl", model=model, seed=seed, settings=(*common, *MODELS[model], *where))


def row_of(job: Job, folder: Path, data: str) -> dict[str, Any]:
    """The row of a done SCL run: its test split with its best encoder, and validation by epoch."""
    *validations, test = evaluations(folder)
    assert test["split"] == "test" and all(row["split"] != "test" for row in validations)
    return {
        **about(job, folder, data),
        **{f"validation_{key}": [row[key] for row in validations] for key in AT},
        **{key: test[key] for key in (*AT, "queries", "candidates")},
    }


def reproduce(
    config: str, *, seeds: int, at_once: int, threads: int, root: str, out: Path | None, overrides: tuple[str, ...]
) -> None:
    """Train what is missing, then write rows and the table. Raises InputError."""
    settings = load_settings(SCLConfig, config, overrides)
    load_pairs(settings.data.path)
    experiment = Experiment(
        name=Path(config).stem,
        config=config,
        batch_size=settings.data.batch_size,
        root=root,
        seeds=seeds,
        extra=overrides,
    )
    wanted = jobs(experiment)
    done = {job.name for job in wanted if is_done(job, experiment, [], {})}
    print(f"{len(wanted)} runs, {len(done)} of them done", flush=True)
    began = time.monotonic()
    run_all(wanted, done, experiment, at_once, threads)
    whole = None if done else {"runs": len(wanted), "at_once": at_once, "seconds": round(time.monotonic() - began, 1)}
    results = out or RESULTS
    rows = [{**row_of(job, Path(root) / job.name, experiment.name), "table_time": whole} for job in wanted]
    written = read(NAME, results)
    append_all(NAME, not_yet_written(rows, written, ("run_commit", *AT)), results)
    page = table(of_data(read(NAME, results), experiment.name))
    print(f"\n{TARGET}, {experiment.name}\n\n{page}", flush=True)
    if whole:
        print(f"{whole['seconds'] / 60:.1f} minutes for all {whole['runs']} runs, {at_once} at once", flush=True)
    if out is None:
        rewrite()
    else:
        (out / f"{experiment.name}.md").write_text(f"# {experiment.name}\n\n## {TARGET}\n\n{page}\n")
