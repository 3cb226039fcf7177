"""The error of a CTR config that is refused, for tests of settings."""

from pathlib import Path

import pytest

from embeddings.errors import InputError
from train.ctr.config import load_config


def refused(path: Path, *overrides: str) -> str:
    """What is said of the config at ``path`` with ``overrides``, in one line."""
    with pytest.raises(InputError) as caught:
        load_config(str(path), overrides)
    assert "\n" not in str(caught.value)
    return str(caught.value)
