"""Checkpoints of any kind of training: sharded, asynchronous, with checksums, whole or unnamed."""
