"""The random generators of a rank in a checkpoint: saved, restored, or seeded anew on other ranks or devices."""

from typing import Any

import numpy as np
import torch

from train.checkpoint.shards import TensorShard, whole_tensor
from train.distributed.ranks import Ranks


def rng_shards(ranks: Ranks) -> list[TensorShard]:
    """The states of this rank's generators, keys ``random.DEVICE.RANK``.

    The reader has none to save: its random numbers follow from seed, epoch and position.
    """
    states = {"cpu": torch.get_rng_state()}
    if ranks.device.type == "cuda":
        states["cuda"] = torch.cuda.get_rng_state(ranks.device)
    return [whole_tensor(f"random.{device}.{ranks.rank}", s, replicated=False) for device, s in states.items()]


def has_rng_of(progress: dict[str, Any], ranks: Ranks) -> bool:
    """Whether a checkpoint holds what ``rng_shards`` asks for: it is of as many ranks, of the same device type."""
    device = progress.get("device", ranks.device.type)  # older checkpoints do not say
    return progress["world_size"] == ranks.world_size and device == ranks.device.type


def set_rng(shards: list[TensorShard], ranks: Ranks) -> None:
    """Set the generators to the states in ``shards``, as ``rng_shards`` gave them."""
    for shard in shards:
        if shard.key.startswith("random.cuda"):
            torch.cuda.set_rng_state(shard.tensor, ranks.device)
        else:
            torch.set_rng_state(shard.tensor)


def reseed(seed: int, step: int, ranks: Ranks) -> None:
    """Seed this rank's generators anew, by seed, step and rank: the saved ones are of other ranks or another device."""
    sequence = np.random.SeedSequence([seed % 2**63, step, ranks.rank])
    torch.manual_seed(int(sequence.generate_state(1, np.uint64)[0] >> 1))
