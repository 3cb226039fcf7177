"""Reads YAML files of settings: one reader for configs, schemas, pairs, hardware and assumptions."""

from pathlib import Path
from typing import Any

from omegaconf import OmegaConf

from embeddings.errors import InputError


def read_yaml(path: str | Path, what: str) -> Any:
    """The plain data in ``path``, interpolations resolved.

    Args:
        what: what an error calls the file, such as "hardware file".

    Raises InputError where it is no readable YAML. A missing file is for the caller to word: OSError.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(path)
    try:
        return OmegaConf.to_container(OmegaConf.load(path), resolve=True)
    except Exception as error:  # the YAML parsers raise many kinds
        raise InputError(f"{what} '{path}' is not readable YAML: {' '.join(str(error).split())}") from error
