"""Trains what tables and figures of the paper need, and writes rows, tables and plots."""

from collections.abc import Sequence
from pathlib import Path

from benchmarks import ROOT
from benchmarks.harness import RESULTS, append_all, read
from benchmarks.paper import chain_rows
from benchmarks.paper import figure6a as vectors
from benchmarks.paper.experiments import Experiment, Job, jobs
from benchmarks.paper.figures import of_data
from benchmarks.paper.plots import plot
from benchmarks.paper.result_rows import not_yet_written, row_of
from benchmarks.paper.run_jobs import folders, is_done, refuse_outlived, run_all
from benchmarks.paper.tables import BY_TARGET, figure6a
from benchmarks.render import rewrite
from embeddings.frozen.store import FrozenStore
from recsys.schema import Schema, load_schema
from train.ctr.config import load_config

NAME = "paper"  # of the results file


def reproduce(
    targets: Sequence[str],
    config: str,
    *,
    seeds: int,
    epochs: int,
    at_once: int,
    threads: int,
    root: str,
    out: Path | None,
    overrides: tuple[str, ...],
) -> None:
    """Train what is missing, then write rows, tables and plots. Raises InputError."""
    read_config = load_config(config, overrides)
    schema = load_schema(read_config.data.path)
    experiment = Experiment(
        name=Path(config).stem,
        config=config,
        batch_size=read_config.data.batch_size,
        root=root,
        seeds=seeds,
        epochs=epochs,
        extra=overrides,
    )
    wanted: dict[str, Job] = {job.name: job for target in targets for job in jobs(target, experiment)}
    stores = _checksums(schema, read_config.data.path)
    modalities = list(schema.modalities)
    done = {job.name for job in wanted.values() if is_done(job, experiment, modalities, stores)}
    refuse_outlived(list(wanted.values()), done, experiment)
    print(f"{len(wanted)} runs, {len(done)} of them done", flush=True)
    run_all(list(wanted.values()), done, experiment, at_once, threads)
    results = out or RESULTS
    left = [(job, folder) for job in wanted.values() for folder in folders(job, experiment, modalities)]
    rows = [row_of(job, folder, experiment.name) for job, folder in left]
    append_all(NAME, not_yet_written(rows, read(NAME, results)), results)
    runs = of_data(read(NAME, results), experiment.name)
    pictures = (out or ROOT / "docs") / "figures"
    pictures.mkdir(parents=True, exist_ok=True)
    for target in targets:
        print(f"\n{target}, {experiment.name}\n\n{BY_TARGET[target](runs)}", flush=True)
        (pictures / f"{experiment.name}-{target}.svg").write_bytes(plot(target, runs))
    if out is None:
        rewrite()
    else:
        _page(out / f"{experiment.name}.md", experiment.name, targets, runs)


def reproduce6a(*, seeds: int, root: str, out: Path | None, overrides: tuple[str, ...]) -> None:
    """Figure 6a on the generated market. Raises InputError."""
    results = out or RESULTS
    written = chain_rows.of_size(read(chain_rows.RESULTS, results))
    trained = vectors.train(root, seeds, overrides)
    append_all(chain_rows.RESULTS, not_yet_written(trained, written, ("gauc",), chain_rows.key_of), results)
    rows = read(chain_rows.RESULTS, results)
    print(f"\nfig6a, shop\n\n{figure6a(rows)}", flush=True)
    pictures = (out or ROOT / "docs") / "figures"
    pictures.mkdir(parents=True, exist_ok=True)
    (pictures / "shop-fig6a.svg").write_bytes(plot("fig6a", rows))
    if out is None:
        rewrite()


def _checksums(schema: Schema, folder: str) -> dict[str, str]:
    return {name: FrozenStore.open(m.store_path(folder)).checksum for name, m in schema.modalities.items()}


def _page(path: Path, data: str, targets: Sequence[str], runs: dict) -> None:
    """A page of one data set for a folder of the user's."""
    parts = [f"# {data}\n"]
    for target in targets:
        parts.append(f"## {target}\n\n{BY_TARGET[target](runs)}\n\n![{target}](figures/{data}-{target}.svg)\n")
    path.write_text("\n".join(parts))
