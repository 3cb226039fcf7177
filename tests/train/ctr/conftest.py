"""Fixtures: a process group of this process alone."""

from collections.abc import Iterator

import pytest

from train.config import ProcessConfig
from train.distributed.process_group import process_group
from train.distributed.ranks import Ranks


@pytest.fixture(scope="module")
def ranks() -> Iterator[Ranks]:
    """One rank on CPU, for all tests of a file; such a file starts no command, which makes a group of its own."""
    with process_group(ProcessConfig(device="cpu", threads=1)) as alone:
        yield alone
