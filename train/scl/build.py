"""SCL (contrastive learning): builds encoders, optimizer, momentum encoder and memory bank from a run's config."""

import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from tokenizers import Tokenizer
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from embeddings.errors import InputError, first_line
from recsys.scl.encoders.build import build_encoder, needs_vocabulary
from recsys.scl.encoders.encoder import Encoder
from recsys.scl.encoders.tokenizer import read_tokenizer, train_tokenizer
from recsys.scl.memory_bank import MemoryBank
from recsys.scl.momentum_encoder import MomentumEncoder
from recsys.scl.pairs_schema import Pairs
from recsys.scl.towers import Towers
from train.distributed.ranks import Ranks, on_first
from train.scl.config import OptimizerConfig, SCLConfig
from train.scl.item_contents import ItemContents
from train.scl.pair_rows import PairRows
from train.scl.trainable import SCLTrainable

VOCABULARY = "vocabulary.json"  # of a run's folder
_QUERIES_AT_ONCE = 8192


def build_towers(config: SCLConfig, pairs: Pairs, rows: PairRows, items: ItemContents, ranks: Ranks) -> Towers:
    """The encoders, with the same new weights on every rank. Raises InputError for a model that cannot be had."""
    torch.manual_seed(config.train.seed)

    def encoder(kind: str) -> Encoder:
        tokenizer = _tokenizer(config, pairs, rows, items, ranks) if needs_vocabulary(kind, config.model) else None
        return build_encoder(kind, config.model, tokenizer)

    query = encoder(pairs.query.kind)
    item = encoder(pairs.items.kind) if pairs.joint else None
    return Towers(query, item, config.model.temperature).to(ranks.device)


def build_trainable(config: SCLConfig, towers: Towers, ranks: Ranks) -> SCLTrainable:
    """``towers`` with all that trains it. Raises InputError where the bank's rows cannot be shared out."""
    group = dist.group.WORLD if ranks.world_size > 1 else None
    bank = config.model.bank
    momentum_encoder = MomentumEncoder(towers, bank.momentum) if bank.rows else None
    queue = MemoryBank(bank.rows, config.model.width, group, bank.distinct).to(ranks.device) if bank.rows else None
    model: nn.Module = towers
    if group is not None:
        devices = [ranks.device.index] if ranks.device.type == "cuda" else None
        model = DistributedDataParallel(towers, device_ids=devices)
    return SCLTrainable(model, towers, _optimizer(config.optimizer, towers), momentum_encoder, queue)


def learning_rate(config: OptimizerConfig, step: int, steps: int) -> float:
    """Of the step after ``step`` steps, of ``steps`` in all: a linear rise, then half a cosine."""
    if step < config.warmup_steps:
        return config.lr * (step + 1) / (config.warmup_steps + 1)
    done = (step - config.warmup_steps) / max(steps - config.warmup_steps, 1)
    return config.lr * 0.5 * (1 + math.cos(math.pi * min(done, 1.0)))


def _optimizer(config: OptimizerConfig, towers: Towers) -> torch.optim.AdamW:
    decayed = [p for p in towers.parameters() if p.dim() > 1]
    others = [p for p in towers.parameters() if p.dim() <= 1]
    groups: list[dict[str, Any]] = [{"params": decayed}, {"params": others, "weight_decay": 0.0}]
    return torch.optim.AdamW(groups, lr=config.lr, weight_decay=config.weight_decay)


@torch.no_grad()
def same_buffers(towers: nn.Module) -> None:
    """Give all ranks rank 0's buffers, BatchNorm's running statistics above all. All ranks call it.

    DistributedDataParallel does so before each forward, so in between every rank has those of its own last rows: one
    evaluation would mix encoders, a checkpoint, whose shards all ranks write, too, and momentum encoders would part.
    """
    buffers = [buffer for buffer in towers.buffers() if buffer.is_floating_point()]  # steps are counted alike
    if dist.get_world_size() == 1 or not buffers:
        return
    together = torch.cat([buffer.flatten() for buffer in buffers])
    dist.broadcast(together, 0)
    for buffer, part in zip(buffers, together.split([b.numel() for b in buffers]), strict=True):
        buffer.copy_(part.view_as(buffer))


def _tokenizer(config: SCLConfig, pairs: Pairs, rows: PairRows, items: ItemContents, ranks: Ranks) -> Tokenizer:
    """The run's vocabulary: of the train split's texts, found by rank 0 at the run's start and kept in its folder."""
    path = Path(config.run_folder) / VOCABULARY

    def vocabulary() -> str:
        if config.run.resume and path.is_file():
            try:
                text = path.read_text(encoding="utf-8")
                read_tokenizer(text)
            except (OSError, ValueError) as error:
                raise InputError(f"'{path}' is damaged ({first_line(error)}); start a new run") from error
            return text
        if config.run.resume is True:
            raise InputError(f"'{path}' is missing, and a resumed run needs it; put it back, or start a new run")
        return train_tokenizer(_texts(pairs, rows, items), config.model.text.vocabulary).to_str()

    return Tokenizer.from_str(on_first(ranks, vocabulary))


def _texts(pairs: Pairs, rows: PairRows, items: ItemContents) -> Iterator[str]:
    """Texts of the train split: its queries, and the items that it names."""
    import numpy as np

    if pairs.query.kind == "text":
        for start in range(0, len(rows), _QUERIES_AT_ONCE):
            texts = rows.queries(np.arange(start, min(start + _QUERIES_AT_ONCE, len(rows)))).values()
            yield from (text for text in texts if isinstance(text, str))  # what is no text is an error where it is read
    if pairs.items.kind == "text":
        for row in np.unique(rows.positives).tolist():
            if isinstance(text := items.content(row), str):
                yield text
