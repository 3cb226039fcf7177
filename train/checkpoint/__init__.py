"""Checkpoints of any kind of training: sharded, asynchronous, atomic, checksummed."""
