"""Resets the embedding tables between epochs, against the one-epoch collapse (overfitting) of ID models.

MEDA (arXiv 2305.19531), non-continual: an ID model that sees its rows a second time has learnt them by heart in its
tables; with new tables the dense part cannot lean on that.
"""

import torch
from torch.nn.parallel import DistributedDataParallel

from embeddings.initialise import initialise_tables
from train.ctr.accumulators import accumulators
from train.ctr.trainable import Trainable


@torch.no_grad()
def reset_tables(trainable: Trainable, seed: int, epoch: int) -> None:
    """Fill the tables with the first weights of ``epoch`` and empty their optimizer's accumulators. All ranks call it.

    The rows that ZCH tables gave to ids stay theirs. The schedule of the learning rates goes on.
    """
    # Caches of rows of host memory go first: whoever asks for a state_dict has them written back over the weights.
    for module in trainable.model.modules():
        for lookup in getattr(module, "_lookups", ()):  # of a sharded collection
            (lookup.module if isinstance(lookup, DistributedDataParallel) else lookup).purge()
    initialise_tables(trainable.model, seed, epoch)
    for shard in accumulators(trainable, trainable.optimizer.state_dict()):
        shard.tensor.zero_()
