"""One step of contrastive learning: losses, gradients, momentum encoder, memory bank."""

from dataclasses import dataclass

import torch
import torch.distributed as dist

from recsys.scl.bank import MemoryBank
from recsys.scl.config import SclModelConfig
from recsys.scl.losses import info_nce, triplet
from train.process import Ranks
from train.scl.reader import PairBatch
from train.scl.saving import SclTrainable


@dataclass(frozen=True)
class Losses:
    """Means over this rank's pairs, without gradient: InfoNCE, triplet (before lambda), and what was minimised."""

    info_nce: torch.Tensor
    triplet: torch.Tensor
    loss: torch.Tensor

    def stacked(self) -> torch.Tensor:
        return torch.stack([self.loss, self.info_nce, self.triplet])


class Step:
    """Trains on one batch after another. All ranks call it together, with as many pairs each."""

    def __init__(
        self, trainable: SclTrainable, model: SclModelConfig, ranks: Ranks, autocast: bool, clip: float | None
    ) -> None:
        self._trainable, self._model, self._ranks = trainable, model, ranks
        self._autocast, self._clip = autocast, clip
        self._group = dist.group.WORLD if ranks.world_size > 1 else None

    def __call__(self, batch: PairBatch, lr: float) -> Losses:
        parts = self._trainable
        batch = batch.to(self._ranks.device)
        keys = self._keys(batch)
        seen = None if keys is None else keys[1]  # the positives, as the bank's encoder sees them
        with torch.autocast(self._ranks.device.type, torch.bfloat16, enabled=self._autocast):
            queries, positives, negatives, scale = parts.model(batch.queries, batch.positives, batch.negatives)
        nce = info_nce(queries, positives, batch.items, scale, parts.bank, self._group, seen).mean()
        hard = self._hard(queries, positives, negatives, batch.negative_rows)
        loss = nce + self._model.triplet.weight * hard
        for group in parts.optimizer.param_groups:
            group["lr"] = lr
        parts.optimizer.zero_grad(set_to_none=True)
        loss.backward()
        if self._clip is not None:
            torch.nn.utils.clip_grad_norm_(parts.towers.parameters(), self._clip)
        parts.optimizer.step()
        parts.towers.temperature.clamp()
        if parts.bank is not None and keys is not None:
            self._remember(parts.bank, keys, batch.items)
        return Losses(nce.detach(), hard.detach(), loss.detach())

    def _hard(
        self, queries: torch.Tensor, positives: torch.Tensor, negatives: torch.Tensor, rows: torch.Tensor
    ) -> torch.Tensor:
        """The triplet loss's mean over the pairs of all ranks that have a hard negative: this rank's part, times W."""
        count = torch.tensor(rows.numel(), dtype=torch.float32, device=rows.device)
        if self._group is not None:
            dist.all_reduce(count, group=self._group)
        losses = triplet(queries, positives, negatives, rows, self._model.triplet.margin)
        return losses.sum() * self._ranks.world_size / count.clamp(min=1)

    def _keys(self, batch: PairBatch) -> tuple[torch.Tensor, torch.Tensor] | None:
        """The momentum encoder's vectors of queries and positives, after it has followed the trained one."""
        parts = self._trainable
        if parts.twin is None:
            return None
        parts.twin.follow(parts.towers)
        with torch.autocast(self._ranks.device.type, torch.bfloat16, enabled=self._autocast):
            return parts.twin.keys(batch.queries, batch.positives)

    def _remember(self, bank: MemoryBank, keys: tuple[torch.Tensor, torch.Tensor], items: torch.Tensor) -> None:
        """Put ``keys`` into the bank, for later steps."""
        queries, positives = keys
        bank.push(positives, items)
        if self._model.bank.holds == "both":
            bank.push(queries, items)
