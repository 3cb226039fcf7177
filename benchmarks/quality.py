"""Quality on one data set: every multimodal mode and seed trained on two ranks, one row a run.

    python -m benchmarks.quality --config configs/microlens.yaml

Runs stay in runs/CONFIG-MODE-SEED, and those that are done are not trained again.
"""

import json
import subprocess
import sys
from pathlib import Path

import click

from benchmarks.harness import append

MODES = ("none", "vector", "simscore", "simtier")


@click.command()
@click.option("--config", required=True, help="Such as configs/microlens.yaml; its file name names the results.")
@click.option("--data", help="Folder that prepare wrote, if not the config's.")
@click.option("--modes", default=",".join(MODES), show_default=True, help="Multimodal modes, by commas.")
@click.option("--seeds", default=3, show_default=True, help="Seeds 0 to N - 1.")
@click.option("--ranks", default=2, show_default=True)
@click.option("--root", default="runs", show_default=True, help="Where runs are kept.")
def main(config: str, data: str | None, modes: str, seeds: int, ranks: int, root: str) -> None:
    """Train what is missing, then write a row for every run into benchmarks/results/CONFIG.jsonl."""
    name = Path(config).stem
    for seed in range(seeds):
        for mode in modes.split(","):
            run = Path(root) / f"{name}-{mode}-{seed}"
            if not _done(run):
                settings = [f"model.multimodal.mode={mode}", f"train.seed={seed}", f"run.name={run.name}"]
                settings += [f"run.root={run.parent}", "run.overwrite=true", *([f"data.path={data}"] if data else [])]
                _train(config, settings, ranks)
            append(name, _row(run, mode, seed))


def _done(run: Path) -> bool:
    path = run / "run.json"
    return path.is_file() and json.loads(path.read_text())["status"] == "done"


def _train(config: str, settings: list[str], ranks: int) -> None:
    print("==", *settings, flush=True)
    launch = ["-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={ranks}"]
    subprocess.run([sys.executable, *launch, "-m", "train", "ctr", "--config", config, *settings], check=True)


def _row(run: Path, mode: str, seed: int) -> dict:
    about = json.loads((run / "run.json").read_text())
    evaluation = json.loads((run / "evaluation" / "test.json").read_text())
    epochs = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    validation = [row["gauc"] for row in epochs if row["kind"] == "evaluation"]
    metrics = {key: evaluation["overall"][key] for key in ("gauc", "auc", "ne", "log_loss", "calibration")}
    return {
        "mode": mode,
        "seed": seed,
        "ranks": about["world_size"],
        "run_commit": about["git"],
        "best_epoch": about["best_epoch"],
        "epochs": len(validation),
        "validation_gauc": validation,
        "examples_per_s": about["examples_per_s"],
        **metrics,
        "auc_by_frequency": [group["auc"] for group in evaluation["frequency_groups"]],
        "auc_new_items": evaluation["new_items"]["auc"],
    }


if __name__ == "__main__":
    main()
