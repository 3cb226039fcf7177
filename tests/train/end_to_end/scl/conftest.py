"""The pairs and the config of the tests of train/scl."""

from tests.train.scl.conftest import config, own_pairs

__all__ = ["config", "own_pairs"]
