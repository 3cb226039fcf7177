"""What fewer bits of the frozen vectors cost: python -m benchmarks.frozen.precision RUN [...].

Scores a split with a run's trained SimTier model, its table exchanged for the same vectors in other formats, and
counts the behaviours that change their tier against float32. int4 has no format of its own: its values, 4 bits and a
scale a row, are held in an int8 table here, which gives the same similarities.
"""

import sys
from typing import Any

import click
import numpy as np
import torch

from embeddings.frozen.quantise import encoded

FORMATS = ("float32", "float16", "bfloat16", "int8", "int4")


def converted(vectors: torch.Tensor, name: str) -> tuple[torch.Tensor, torch.Tensor | None]:
    """Table and scale of ``vectors``, float32 [N, M] of norm 1, in format ``name``; rows keep norm 1 (int8, int4)."""
    if name == "int8":
        table, scale = encoded(np.arange(len(vectors)), vectors.numpy(), name)
        return torch.from_numpy(table), torch.from_numpy(scale)
    if name != "int4":
        return vectors.to(getattr(torch, name)), None
    whole = (vectors * (7 / vectors.abs().amax(1, keepdim=True))).round()
    return whole.to(torch.int8), 1 / whole.norm(dim=1)


def moved(vectors: torch.Tensor, name: str, pairs: tuple[torch.Tensor, torch.Tensor], num_tiers: int) -> float:
    """Share of pairs (rows of targets and of behaviours, [P] each) in another tier than by float64 of ``vectors``."""
    table, scale = converted(vectors, name)
    rounded = table.double() if scale is None else table.double() * scale.double().unsqueeze(1)

    def tiers(of: torch.Tensor) -> torch.Tensor:
        target, behaviour = pairs
        similarity = torch.cat(
            [(of[t] * of[b]).sum(1) for t, b in zip(target.split(1 << 16), behaviour.split(1 << 16), strict=True)]
        )
        return ((similarity.clamp(-1, 1) + 1) * (num_tiers / 2)).long().clamp(max=num_tiers - 1)

    return float((tiers(rounded) != tiers(vectors.double())).double().mean())


def measure(run: str, split: str) -> list[dict[str, Any]]:
    """A row for each format."""
    from embeddings.kernels.pairs import pairs
    from recsys.metrics import compute_metrics
    from recsys.models.multimodal import TierFeatures
    from train.ctr.scoring import collect
    from train.ctr.trained_run import open_run, run_config
    from train.distributed.process_group import process_group

    config = run_config(run, ())
    rows = []
    with process_group(config.process) as ranks:
        opened = open_run(config, split, "best", ranks)
        (module,) = (m for m in opened.model.modules() if isinstance(m, TierFeatures))
        (name,) = opened.schema.modalities
        vectors = module.table.gather(torch.arange(module.table.table.shape[0]))
        vectors = torch.nn.functional.normalize(vectors, dim=1)
        targets, behaviours = [], []
        for batch in opened.reader.epoch(0):
            frozen = batch.frozen[name]
            target_of, history = pairs(frozen.target.numel(), frozen.history, frozen.offsets, frozen.bag_index)
            known = (history >= 0) & (frozen.target[target_of] >= 0)
            targets.append(frozen.target[target_of][known])
            behaviours.append(history[known])
        both = torch.cat(targets), torch.cat(behaviours)
        for form in FORMATS:
            module.table.table, module.table.scale = converted(vectors, form)
            scores = collect(opened.model, opened.reader, ranks)
            assert scores is not None
            metrics = compute_metrics(scores.labels, scores.logits, scores.users)
            share = moved(vectors, form, both, module.width)
            rows.append({"format": form, "pairs": both[0].numel(), "moved": share, "gauc": metrics["gauc"]})
    return [{**row, "gauc_change": row["gauc"] - rows[0]["gauc"]} for row in rows]


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("runs", nargs=-1, required=True)
@click.option("--split", default="test", show_default=True)
def main(runs: tuple[str, ...], split: str) -> None:
    """Score trained SimTier RUNS with their vectors in other formats; rows in precision.jsonl."""
    from benchmarks.harness import append

    for run in runs:
        for row in measure(run, split):
            append("precision", {"run": run.rstrip("/").split("/")[-1], "split": split, **row})
            print(run, row, flush=True)


if __name__ == "__main__":
    from benchmarks.harness import run_command

    sys.exit(run_command(main, "benchmarks.frozen.precision"))
