"""Training speed beside its peers, in one run: python -m benchmarks.training.step --data data/microlens.

Contenders take turns, round after round, so that a machine that drifts drifts for all:

    ours              two ranks of one thread each, the real command: reader, pipeline, sharded tables
    pytorch_padded,   the same model in plain PyTorch, one process of two threads, all rows in memory
    pytorch_jagged    (benchmarks.peers.pytorch_baseline); padded as one writes it, and jagged with our own attention
    fuxictr           FuxiCTR's DIN with its fastest loader, two threads, ids only (benchmarks.peers.fuxictr)

All see the same rows a step: ours takes --batch-size on each rank, the peers twice that.
"""

import json
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from benchmarks.harness import append, measurement, ratios, results_option, run_command
from benchmarks.ranks import run_on_ranks
from benchmarks.training.profile import profile
from embeddings.errors import InputError
from embeddings.files.yaml_file import write_yaml

RANKS = 2
WINDOW = 20  # steps; speeds are medians over windows
STEPS = 240  # of training a sample, at the default batch
MODES = ("none", "simtier")
FUXICTR_LOADERS = ("npz-0", "npz-1")  # round one picks; its Ray loader came within a tenth of these, and hung at times


def settings(data: str, mode: str, batch_size: int) -> dict[str, Any]:
    """The run's config: everything not named here is the default."""
    return {
        "data": {"path": str(Path(data).resolve()), "batch_size": batch_size, "test": None},
        "model": {"multimodal": {"mode": mode}},
        "train": {"log_every": WINDOW},
        "process": {"threads": 1, "device": "cpu"},
    }


def epochs_for(steps: int, rows: int, global_batch: int) -> int:
    """Whole epochs of at least ``steps`` steps."""
    return max(1, -(-steps // max(1, rows // global_batch)))


def ours(config: Mapping[str, Any], folder: str) -> dict[str, float]:
    """Run the ctr command on two ranks; its own examples/s, and those of whole epochs with their start-up."""
    path, run = Path(folder) / "config.yaml", Path(folder) / "bench"
    write_yaml(path, {**config, "run": {"name": run.name, "root": folder, "overwrite": True}})
    run_on_ranks(RANKS, "train", "ctr", "--config", path)
    logged = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    speed = json.loads((run / "run.json").read_text())["examples_per_s"]
    if speed is None:
        raise InputError(
            f"an epoch of '{config['data']['path']}' has under {WINDOW} steps; use more rows or a smaller batch"
        )
    return {"examples_per_s": speed, "with_start_up": whole_epochs(logged, config["data"]["batch_size"] * RANKS)}


def whole_epochs(logged: Sequence[Mapping[str, Any]], global_batch: int) -> float:
    """Examples/s over all rows of metrics.jsonl, an epoch's first window with the reader's start-up included."""
    seconds = examples = step = 0
    for row in logged:
        if row["kind"] == "train":
            examples += (row["step"] - step) * global_batch
            seconds += (row["step"] - step) * global_batch / row["examples_per_s"]
            step = row["step"]
    return examples / seconds


def pytorch_baseline(config: Mapping[str, Any], variants: Sequence[tuple[str, str]], steps: int) -> dict[str, float]:
    """``layout-tables`` -> examples/s of the PyTorch baseline, measured in a process of its own."""
    import multiprocessing
    from concurrent.futures import ProcessPoolExecutor

    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_pytorch_baseline, config, list(variants), steps).result()


def _pytorch_baseline(config: Mapping[str, Any], variants: list[tuple[str, str]], steps: int) -> dict[str, float]:
    from benchmarks.peers.pytorch_baseline import measure
    from train.ctr.config import Config

    batch_size = RANKS * config["data"]["batch_size"]
    return measure(
        Config.model_validate(config), variants, batch_size=batch_size, threads=RANKS, steps=steps, window=WINDOW
    )


def fuxictr(config: Mapping[str, Any], loaders: Sequence[str]) -> dict[str, float]:
    """Loader -> examples/s of FuxiCTR's DIN."""
    from benchmarks.peers.fuxictr.peer import measure

    batch_size = RANKS * config["data"]["batch_size"]
    rows = measure(config["data"]["path"], loaders=tuple(loaders), threads=RANKS, batch_size=batch_size)
    return {row["loader"]: row["examples_per_s"] for row in rows}


def compare(config: Mapping[str, Any], rounds: int, steps: int, with_fuxictr: bool) -> Iterator[dict[str, Any]]:
    """After each round, what is known so far: contender -> measurement.

    All variants of a peer run in round one, the fastest of them in the others.
    """
    from benchmarks.peers.pytorch_baseline import LAYOUTS, TABLES

    speed, start_up = [], []
    wanted = {f"pytorch_{layout}": [f"{layout}-{tables}" for tables in TABLES] for layout in LAYOUTS}
    wanted["fuxictr"] = list(FUXICTR_LOADERS) if with_fuxictr else []
    variants: dict[str, dict[str, list[float]]] = {peer: defaultdict(list) for peer in wanted}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory(prefix="train-step-") as folder:
            speeds = ours(config, folder)
        speed.append(speeds["examples_per_s"])
        start_up.append(speeds["with_start_up"])
        for peer, names in wanted.items():
            if not names:
                continue
            if peer != "fuxictr":
                speeds = pytorch_baseline(
                    config, [(layout, tables) for layout, tables in (n.split("-") for n in names)], steps
                )
            else:
                speeds = fuxictr(config, names)
            for name, examples_per_s in speeds.items():
                variants[peer][name].append(examples_per_s)
            wanted[peer] = [max(speeds, key=speeds.__getitem__)]
        result = {"ours": measurement(speed, threads=1, ranks=RANKS, with_start_up=measurement(start_up)["median"])}
        for peer, names in wanted.items():
            for name in names:
                first = {n: round(s[0]) for n, s in variants[peer].items()}
                result[peer] = measurement(variants[peer][name], threads=RANKS, variant=name, first_round=first)
        yield result


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--data", "folders", required=True, multiple=True, help="Data folder; repeat it for several.")
@click.option("--modes", default="none", show_default=True, help=f"Comma-separated, of {', '.join(MODES)}.")
@click.option("--batch-size", default=1024, show_default=True, type=click.IntRange(1), help="Rows a step and rank.")
@click.option("--rounds", default=3, show_default=True, type=click.IntRange(1))
@click.option("--steps", default=STEPS, show_default=True, type=click.IntRange(WINDOW), help="Training steps a sample.")
@click.option("--fuxictr", "with_fuxictr", is_flag=True, help="Measure FuxiCTR too, where the mode is none.")
@results_option("--out")
def main(
    folders: tuple[str, ...], modes: str, batch_size: int, rounds: int, steps: int, with_fuxictr: bool, results: Path
) -> None:
    """Measure training speed beside the peers, and where the time goes; rows in train_step.jsonl and profile.jsonl."""
    wanted = modes.split(",")
    if unknown := set(wanted) - set(MODES):
        raise InputError(f"modes {sorted(unknown)} have no PyTorch baseline; allowed: {', '.join(MODES)}")

    from recsys.schema import load_schema

    for data in folders:
        rows = split_rows(data)
        schema = load_schema(data)
        shapes = {
            "rows": rows,
            "ranks": RANKS,
            "features": len(schema.features),
            "histories": [f.max_length for f in schema.features if f.kind == "sequence"],
        }
        for mode in wanted:
            config = settings(data, mode, batch_size)
            config["train"]["epochs"] = epochs_for(steps, rows, RANKS * batch_size)
            contenders: dict[str, Any] = {}
            for contenders in compare(config, rounds, steps, with_fuxictr and mode == "none"):
                print(Path(data).name, mode, {k: c["samples"] for k, c in contenders.items()}, flush=True)
            name = Path(data).resolve().name
            about = {"data": name, "mode": mode, "batch_size": batch_size, "flags": sys.argv[1:], "shapes": shapes}
            row = append(
                "train_step", {**about, "contenders": contenders, "ratios": ratios(contenders, "ours")}, results
            )
            print(json.dumps({"data": about["data"], "mode": mode, "ratios": row["ratios"]}), flush=True)
            shares = append("profile", {**about, **profile(config, RANKS)}, results)
            print(json.dumps({k: shares[k] for k in ("step_ms", "shares")}), flush=True)


def split_rows(data: str) -> int:
    """Rows of the training split, by its footers."""
    from embeddings.files.parquet_footer import read_footers
    from train.data.parquet_files import find_files

    return int(sum(f.group_rows.sum() for f in read_footers(find_files(data, "train"))))


if __name__ == "__main__":
    sys.exit(run_command(main, "benchmarks.training.step"))
