"""One step of contrastive learning: losses, gradients, momentum encoder, memory bank."""

import torch
import torch.distributed as dist

from recsys.scl.config import SCLModelConfig
from recsys.scl.losses import centred, info_nce, triplet
from train.distributed.ranks import Ranks
from train.scl.build import same_buffers
from train.scl.pair_reader import PairBatch
from train.scl.trainable import SCLTrainable


class SCLStep:
    """One step of SCL (Sheng et al., 2024, section 3): InfoNCE and triplet loss, AdamW, EMA update, bank.

    All ranks call it together, with as many pairs each.
    """

    def __init__(
        self, trainable: SCLTrainable, model: SCLModelConfig, ranks: Ranks, autocast: bool, clip: float | None
    ) -> None:
        self._trainable, self._model, self._ranks = trainable, model, ranks
        self._autocast, self._clip = autocast, clip
        self._group = dist.group.WORLD if ranks.world_size > 1 else None

    def __call__(self, batch: PairBatch, lr: float, epoch: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
        """Train on this rank's pairs.

        Returns:
            Means over the pairs, [] each, without gradient: what was minimised, InfoNCE, triplet (before its weight).
        """
        parts = self._trainable
        batch = batch.to(self._ranks.device)
        bank = parts.bank if epoch >= self._model.bank.wait_epochs else None
        keys = self._keys(batch.positives, waits=bank is None)
        with torch.autocast(self._ranks.device.type, torch.bfloat16, enabled=self._autocast):
            queries, positives, negatives, scale = parts.model(batch.queries, batch.positives, batch.negatives)
        nce = info_nce(queries, positives, batch.items, scale, bank, self._group, keys).mean()
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
        if bank is not None:
            assert keys is not None
            bank.push(keys, batch.items)
        return loss.detach(), nce.detach(), hard.detach()

    def _hard(
        self, queries: torch.Tensor, positives: torch.Tensor, negatives: torch.Tensor, rows: torch.Tensor
    ) -> torch.Tensor:
        """The triplet loss's mean over the pairs of all ranks that have a hard negative: this rank's part, times W."""
        count = torch.tensor(rows.numel(), dtype=torch.float32, device=rows.device)
        if self._group is not None:
            dist.all_reduce(count, group=self._group)
        losses = triplet(queries, positives, negatives, rows, self._model.triplet.margin)
        return losses.sum() * self._ranks.world_size / count.clamp(min=1)

    def _keys(self, positives: torch.Tensor, waits: bool) -> torch.Tensor | None:
        """The momentum encoder's vectors of the step's positives, after it has followed the trained one."""
        encoder = self._trainable.momentum_encoder
        if encoder is None:
            return None
        same_buffers(self._trainable.towers)
        encoder.ema_update(self._trainable.towers, copy_weights=waits)
        if waits:
            return None
        with torch.autocast(self._ranks.device.type, torch.bfloat16, enabled=self._autocast):
            return centred(encoder.keys(positives), self._group)
