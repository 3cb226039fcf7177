"""Table 2: from a config to runs, rows and the table."""

import time
from pathlib import Path
from typing import Any

from benchmarks.harness import RESULTS, append_all, read
from benchmarks.paper.encoder_accuracy import AT, MODELS, table
from benchmarks.paper.experiments import Job, Plan
from benchmarks.paper.figures import of_data
from benchmarks.paper.result_rows import about, evaluations, not_yet_written
from benchmarks.paper.run_jobs import is_done, run_all
from benchmarks.render import rewrite
from recsys.scl.pairs_schema import load_pairs
from train.config import load_settings
from train.scl.config import SCLConfig

NAME, TARGET = "paper", "table2"  # of the results file; of the command line


def jobs(plan: Plan) -> list[Job]:
    """A run of every model for every seed, on the test split once it has ended."""
    return [_job(plan, model, seed) for seed in range(plan.seeds) for model in MODELS]


def _job(plan: Plan, model: str, seed: int) -> Job:
    name = f"{plan.name}-{model.replace(' ', '-')}-{seed}"
    common = (f"train.seed={seed}", "data.test=test", "train.keep=1", *plan.extra)
    where = (f"run.name={name}", f"run.root={plan.root}")
    return Job(name=name, verb="scl", model=model, seed=seed, settings=(*common, *MODELS[model], *where))


def row_of(job: Job, folder: Path, data: str) -> dict[str, Any]:
    """What a done run found: its test split with its best encoder, and validation by epoch."""
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
    plan = Plan(
        name=Path(config).stem,
        config=config,
        batch_size=settings.data.batch_size,
        root=root,
        seeds=seeds,
        extra=overrides,
    )
    wanted = jobs(plan)
    done = {job.name for job in wanted if is_done(job, plan, [], {})}
    print(f"{len(wanted)} runs, {len(done)} of them done", flush=True)
    began = time.monotonic()
    run_all(wanted, done, plan, at_once, threads)
    whole = None if done else {"runs": len(wanted), "at_once": at_once, "seconds": round(time.monotonic() - began, 1)}
    results = out or RESULTS
    found = [{**row_of(job, Path(root) / job.name, plan.name), "table_time": whole} for job in wanted]
    written = read(NAME, results)
    append_all(NAME, not_yet_written(found, written, ("run_commit", *AT)), results)
    page = table(of_data(read(NAME, results), plan.name))
    print(f"\n{TARGET}, {plan.name}\n\n{page}", flush=True)
    if whole:
        print(f"{whole['seconds'] / 60:.1f} minutes for all {whole['runs']} runs, {at_once} at once", flush=True)
    if out is None:
        rewrite()
    else:
        (out / f"{plan.name}.md").write_text(f"# {plan.name}\n\n## {TARGET}\n\n{page}\n")
