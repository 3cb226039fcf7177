"""Train and measure the peer on converted rows; print one JSON line. Runs inside the peer's environment only."""

import argparse
import json
import logging
import platform
import statistics
import sys
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from fuxictr.features import FeatureMap
from fuxictr.pytorch.dataloaders import RankDataLoader
from fuxictr.pytorch.torch_utils import seed_everything

from benchmarks.peers.fuxictr.din import DIN
from benchmarks.peers.fuxictr.loaders import LOADERS
from embeddings.errors import InputError
from recsys.metrics import auc, gauc, log_loss

START_UP_STEPS = 20  # of every epoch: workers start, queues fill


class MeasuredDIN(DIN):
    """DIN that notes when each step ended, and is judged on validation by our definition of GAUC."""

    def __init__(self, feature_map: Any, *, validation_keys: dict[str, np.ndarray], **settings: Any) -> None:
        super().__init__(feature_map, **settings)
        self.validation_keys = validation_keys
        self.epochs: list[dict] = []

    def train_epoch(self, data_generator: Any) -> None:
        self.began = time.perf_counter()
        self.stamps: list[tuple[float, int]] = []
        super().train_epoch(data_generator)

    def train_step(self, batch_data: Any) -> torch.Tensor:
        loss = super().train_step(batch_data)
        self.stamps.append((time.perf_counter(), len(batch_data[self.feature_map.labels[0]])))
        return loss

    def evaluate(self, data_generator: Any, metrics: list[str] | None = None) -> dict[str, float]:
        """The peer's fit calls this at each epoch's end, to choose the epoch it keeps."""
        steady, whole = rates(self.began, self.stamps)
        judged = quality(self.validation_keys, self.predict(data_generator))
        self.epochs.append({"examples_per_s": steady, "examples_per_s_with_start_up": whole, **judged})
        print(
            f"epoch {len(self.epochs)}: {steady:,.0f} examples/s, validation GAUC {judged['gauc']:.4f}",
            file=sys.stderr,
            flush=True,
        )
        return judged


def rates(began: float, stamps: list[tuple[float, int]]) -> tuple[float, float]:
    """Examples/s of an epoch without its first steps, and with all of it; stamps are (end of step, rows)."""
    first = min(START_UP_STEPS, len(stamps) - 1)
    start = stamps[first - 1][0] if first else began
    end = stamps[-1][0]
    return sum(rows for _, rows in stamps[first:]) / (end - start), sum(rows for _, rows in stamps) / (end - began)


def quality(keys: dict[str, np.ndarray], scores: np.ndarray) -> dict[str, float]:
    """GAUC, AUC and log loss of probabilities ``scores [B]``."""
    by_user = gauc(keys["label"], scores, keys["user"]).weighted
    by_pair, loss = auc(keys["label"], scores), log_loss(keys["label"], scores)
    if by_user is None or by_pair is None or loss is None:
        raise InputError("no user of a split has both labels, so GAUC is undefined; use more rows")
    return {"gauc": by_user, "auc": by_pair, "log_loss": loss}


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", help="what convert.py wrote")
    parser.add_argument("--loader", choices=LOADERS, default="npz-1")
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--batch-size", type=int, default=1024)
    parser.add_argument("--embedding-dim", type=int, default=16)
    parser.add_argument("--hidden", type=int, nargs="+", default=[256, 128, 64])
    parser.add_argument("--attention-hidden", type=int, nargs="+", default=[36])
    parser.add_argument("--attention-activation", default="Dice")
    parser.add_argument("--learning-rate", type=float, default=1e-3)
    return parser.parse_args()


def main() -> None:
    options = parsed()
    folder = Path(options.folder)
    about = json.loads((folder / "peer.json").read_text())
    logging.getLogger("ray.data").setLevel(logging.WARNING)  # its loader tells of every execution otherwise
    torch.set_num_threads(options.threads)
    seed_everything(options.seed)
    feature_map = FeatureMap("rows", str(folder))
    feature_map.load(str(folder / "feature_map.json"), {"embedding_dim": options.embedding_dim})
    keys = {split: dict(np.load(folder / f"{split}_keys.npz")) for split in ("validation", "test")}
    (folder / "checkpoints" / "rows").mkdir(parents=True, exist_ok=True)
    model = MeasuredDIN(
        feature_map,
        validation_keys=keys["validation"],
        pairs=about["pairs"],
        vectors=about["vectors"],
        embedding_dim=options.embedding_dim,
        hidden=options.hidden,
        attention_hidden=options.attention_hidden,
        attention_activation=options.attention_activation,
        learning_rate=options.learning_rate,
        model_root=str(folder / "checkpoints"),
        monitor="gauc",
        metrics=["gauc"],
        verbose=0,
    )
    file, settings = LOADERS[options.loader]
    reading = {"batch_size": options.batch_size, "stage": "train"}
    train, _ = RankDataLoader(feature_map, train_data=str(folder / file), shuffle=True, **reading, **settings)
    held_out = {
        split: RankDataLoader(feature_map, stage="test", test_data=str(folder / f"{split}.npz"), batch_size=8192)
        for split in keys
    }
    model.fit(train, epochs=options.epochs, validation_data=held_out["validation"])
    best = max(range(len(model.epochs)), key=lambda n: model.epochs[n]["gauc"])
    row = {
        "examples_per_s": statistics.median(e["examples_per_s"] for e in model.epochs),
        "epochs": model.epochs,
        "best_epoch": best + 1,
        "validation": {name: model.epochs[best][name] for name in ("gauc", "auc", "log_loss")},
        "test": quality(keys["test"], model.predict(held_out["test"])),
        "rows": about["rows"],
        "vector_width": about["vectors"]["width"] if about["vectors"] else None,
        "settings": {k: v for k, v in vars(options).items() if k != "folder"},
        "parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
        "versions": {
            "python": platform.python_version(),
            "torch": torch.__version__,
            "fuxictr": version("fuxictr"),
        },
    }
    print(json.dumps(row), flush=True)


if __name__ == "__main__":
    main()
