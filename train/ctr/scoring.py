"""Scores of a split from all ranks, and the metrics over them."""

import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.distributed as dist

from embeddings.errors import InputError, first_line
from embeddings.files.json_file import write_json
from embeddings.frozen.check_store import refuse_changed
from recsys.batch import Batch
from recsys.metrics import evaluate_predictions, undefined
from recsys.schema import Schema
from train.ctr.config import Config
from train.data.reader import RowReader
from train.data.stats.item_counts import counts_of, item_counts
from train.distributed.ranks import Ranks, on_first
from train.run.progress import ProgressBar


@dataclass(frozen=True)
class Scores:
    """One row per impression.

    labels   [R]  float32
    logits   [R]  float32
    users    [R]  int64 raw ids
    targets  [R]  int64 raw ids
    """

    labels: np.ndarray
    logits: np.ndarray
    users: np.ndarray
    targets: np.ndarray


@torch.no_grad()
def scored(
    model: torch.nn.Module, batches: Iterator[Batch], device: torch.device
) -> Iterator[tuple[Batch, torch.Tensor]]:
    """Each batch, on the host, with its logits [B]; the caller leaves out ``repeated`` rows.

    Under no_grad and not inference_mode, which breaks gloo's collectives.
    """
    model.eval()
    for batch in batches:
        _, (_, logits, _) = model(batch.to(device))
        yield batch, logits.cpu()


def collect(
    model: torch.nn.Module, reader: RowReader, ranks: Ranks, advance: Callable[[int], None] = lambda rows: None
) -> Scores | None:
    """Score the whole split. All ranks call it; rank 0 gets every row, the others None."""
    parts: list[tuple[torch.Tensor, ...]] = []
    for batch, logits in scored(model, reader.epoch(0), ranks.device):
        parts.append(tuple(c[batch.repeated :] for c in (batch.labels, logits, batch.users, batch.targets)))
        advance(len(batch) * ranks.world_size)
    columns = [_gathered(torch.cat(column), ranks) for column in zip(*parts, strict=True)]
    gathered = [column for column in columns if column is not None]
    return Scores(*gathered) if ranks.first else None


def _gathered(column: torch.Tensor, ranks: Ranks) -> np.ndarray | None:
    """``column`` of every rank, end to end, on rank 0. Lengths may differ."""
    if ranks.world_size == 1:
        return column.numpy()
    length = torch.tensor([column.numel()])
    lengths = [torch.zeros_like(length) for _ in range(ranks.world_size)]
    dist.all_gather(lengths, length)
    longest = int(max(lengths))
    padded = torch.zeros(longest, dtype=column.dtype)
    padded[: column.numel()] = column
    parts = [torch.empty_like(padded) for _ in lengths] if ranks.first else None
    dist.gather(padded, parts, dst=0)
    if parts is None:
        return None
    return torch.cat([p[: int(n)] for p, n in zip(parts, lengths, strict=True)]).numpy()


def read_counters(reader: RowReader, schema: Schema, ranks: Ranks) -> dict[str, float]:
    """What the reader cut or missed in its last pass, over all ranks, which all call this; nothing where nothing was.

    ``truncated/FEATURE`` is the share of rows whose list was longer than max_length, ``missing/MODALITY`` the share of
    item lookups without a vector, ``corrupt`` that of rows that could not be read.
    """
    c = reader.counters
    counts = {f"truncated/{f.name}": (c.truncated.get(f.name, 0), c.rows) for f in schema.features if f.max_length}
    for name in schema.modalities:
        counts[f"missing/{name}"] = (c.missing.get(name, 0), c.lookups.get(name, 0))
    counts["corrupt"] = (c.corrupt, c.rows)
    sums = torch.tensor(list(counts.values()), dtype=torch.float64).reshape(-1, 2)
    if ranks.world_size > 1:
        dist.all_reduce(sums)
    return {name: part / whole for name, (part, whole) in zip(counts, sums.tolist(), strict=True) if part}


def in_words(metrics: dict[str, Any]) -> str:
    """Metrics of ``compute_metrics`` in one line: those that are defined, then why the others are not."""
    figures = [f"{name} {value:.4f}" for name, value in metrics.items() if isinstance(value, float)]
    why = undefined(metrics)
    missing = [
        f"no {', '.join(n for n in why if why[n] == reason)}: {reason}" for reason in dict.fromkeys(why.values())
    ]
    return "  ".join([*figures, *missing])


def _training_counts(config: Config, schema: Schema) -> list[tuple[np.ndarray, np.ndarray]]:
    """``item_counts`` of the split that was trained on; nothing where it is not there, which is said."""
    folder, split = config.data.path, config.data.train
    if not Path(folder, split).is_dir():
        print(f"note: '{folder}' has no split '{split}': no metrics by item frequency", file=sys.stderr, flush=True)
        return []
    return [item_counts(folder, split, schema, skip_corrupt=config.data.on_corrupt == "skip")]


def write_evaluation(
    config: Config, schema: Schema, model: torch.nn.Module, reader: RowReader, ranks: Ranks, epoch: int
) -> None:
    """Score ``reader``'s split, print its metrics, write ``evaluation/<split>.json`` into the run's folder.

    All ranks call it. Where the split that was trained on is not there, there are no metrics by item frequency.
    Raises InputError where the file cannot be written: what was printed stays.
    """
    counted: list[tuple[np.ndarray, np.ndarray]] = []  # on rank 0, which alone asks for them
    on_first(ranks, lambda: counted.extend(_training_counts(config, schema)))
    bar = ProgressBar(reader.split, reader.num_rows, ranks.first)
    scores = collect(model, reader, ranks, bar.advance)
    bar.close()
    counters = read_counters(reader, schema, ranks)

    def write() -> None:
        refuse_changed(reader.stores.values())
        assert scores is not None, "rank 0 has the scores"
        counts = counts_of(scores.targets, *counted[0]) if counted else None
        result = evaluate_predictions(scores.labels, scores.logits, scores.users, counts)
        print(f"{reader.split} (epoch {epoch}): {in_words(result['overall'])}", flush=True)
        about = {"split": reader.split, "data": config.data.path, "epoch": epoch, "reading": counters}
        path = Path(config.run_folder) / "evaluation" / f"{reader.split}.json"
        try:
            path.parent.mkdir(exist_ok=True)
            write_json(path, {**about, **result})
        except OSError as error:
            raise InputError(
                f"the evaluation is printed, and cannot be written to '{path}' ({first_line(error)}); make that "
                "writable, or evaluate a copy of the run"
            ) from error

    on_first(ranks, write)
