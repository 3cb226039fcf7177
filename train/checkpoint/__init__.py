"""Checkpoints of a run: what is in them, how they are written beside the training, which one is whole."""

from train.checkpoint.checkpointer import Checkpoints

__all__ = ["Checkpoints"]
