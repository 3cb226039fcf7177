"""The run and the stream of the tests of near-line training."""

from tests.train.nearline.conftest import nearline, trained

__all__ = ["nearline", "trained"]
