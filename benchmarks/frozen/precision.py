"""GAUC of trained SimTier models with frozen vectors of fewer bits: python -m benchmarks.frozen.precision RUN [...].

Scores a split with a run's trained SimTier model, its table exchanged for the same vectors in other formats, and
counts the behaviours that change their tier against float32. int4 has no format of its own: its values, 4 bits and a
scale a row, are held in an int8 table here, which gives the same similarities.
"""

import sys
from collections.abc import Iterator
from typing import Any

import click
import numpy as np
import torch

from benchmarks.harness import append, run_command
from benchmarks.kernels.peers import tier_of
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
        return tier_of(similarity, num_tiers)

    return float((tiers(rounded) != tiers(vectors.double())).double().mean())


def measure(run: str, split: str) -> list[dict[str, Any]]:
    """A row for each format: pairs, share of them in another tier, GAUC, and its change against float32."""
    from train.ctr.trained_run import open_run, run_config
    from train.distributed.process_group import process_group

    config = run_config(run, ())
    with process_group(config.process) as ranks:
        rows = list(_rows(open_run(config, split, "best", ranks), ranks))
    return [{**row, "gauc_change": row["gauc"] - rows[0]["gauc"]} for row in rows]


def _rows(run: Any, ranks: Any) -> Iterator[dict[str, Any]]:
    """A row for each format, from an opened run whose only modality enters as SimTier."""
    from embeddings.frozen.table import FrozenTable
    from recsys.metrics import compute_metrics
    from recsys.models.multimodal import TierFeatures
    from train.ctr.scoring import collect

    (tiers,) = (m for m in run.model.modules() if isinstance(m, TierFeatures))
    table = tiers.table
    assert isinstance(table, FrozenTable)
    (modality,) = run.schema.modalities
    pairs = _known_pairs(run.reader, modality)
    vectors = table.gather(torch.arange(table.table.shape[0]))
    vectors = torch.nn.functional.normalize(vectors, dim=1)
    for name in FORMATS:
        table.table, table.scale = converted(vectors, name)
        scores = collect(run.model, run.reader, ranks)
        assert scores is not None
        gauc = compute_metrics(scores.labels, scores.logits, scores.users)["gauc"]
        share = moved(vectors, name, pairs, tiers.width)
        yield {"format": name, "pairs": pairs[0].numel(), "moved": share, "gauc": gauc}


def _known_pairs(reader: Any, modality: str) -> tuple[torch.Tensor, torch.Tensor]:
    """Rows of targets and of behaviours [P] of every pair of one epoch, of which both have a vector."""
    from embeddings.kernels.pairs import pairs

    targets, behaviours = [], []
    for batch in reader.epoch(0):
        frozen = batch.frozen[modality]
        target_of, history = pairs(frozen.target.numel(), frozen.history, frozen.offsets, frozen.bag_index)
        known = (history >= 0) & (frozen.target[target_of] >= 0)
        targets.append(frozen.target[target_of][known])
        behaviours.append(history[known])
    return torch.cat(targets), torch.cat(behaviours)


@click.command(context_settings={"help_option_names": ["-h", "--help"]})
@click.argument("runs", nargs=-1, required=True)
@click.option("--split", default="test", show_default=True)
def main(runs: tuple[str, ...], split: str) -> None:
    """Score trained SimTier RUNS with their vectors in other formats; rows in precision.jsonl."""
    for run in runs:
        for row in measure(run, split):
            append("precision", {"run": run.rstrip("/").split("/")[-1], "split": split, **row})
            print(run, row, flush=True)


if __name__ == "__main__":
    sys.exit(run_command(main, "benchmarks.frozen.precision"))
