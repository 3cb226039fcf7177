"""YAML files of settings: one reader, one writer, for configs, schemas, pairs, hardware and assumptions."""

import re
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, ListConfig, OmegaConf
from omegaconf._yaml import get_yaml_loader

from embeddings.atomic_file import atomic_write
from embeddings.errors import InputError

_BOOL = "tag:yaml.org,2002:bool"


class _Loader(get_yaml_loader()):  # type: ignore[misc]  # OmegaConf makes the class anew at each call
    """OmegaConf's loader, with the truth values of YAML 1.2: on, off, yes and no are text.

    A setting that is true or false takes those words all the same, as pydantic reads them.
    """


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _BOOL]
    for first, resolvers in _Loader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(_BOOL, re.compile("^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))


def parse_yaml(text: str) -> Any:
    """The plain data that ``text`` writes, such as the value of an override. Raises what the parser raises."""
    return yaml.load(text, Loader=_Loader)


def load_yaml(path: str | Path) -> DictConfig | ListConfig:
    """The file's data as OmegaConf's, interpolations not yet resolved. Raises what the parsers raise."""
    data = parse_yaml(Path(path).read_text(encoding="utf-8"))
    return OmegaConf.create() if data is None else OmegaConf.create(data)


def read_yaml(path: str | Path, what: str) -> Any:
    """The plain data in ``path``, interpolations resolved.

    Args:
        what: what an error calls the file, such as "hardware file".

    Raises InputError where it is no readable YAML. A missing file is for the caller to word: OSError.
    """
    if not Path(path).is_file():
        raise FileNotFoundError(path)
    try:
        return OmegaConf.to_container(load_yaml(path), resolve=True)
    except Exception as error:  # the YAML parsers raise many kinds
        raise InputError(f"{what} '{path}' is not readable YAML: {' '.join(str(error).split())}") from error


def write_yaml(path: str | Path, value: Any) -> None:
    """``value``, plain data, as YAML at ``path``, atomically. Raises OSError."""
    with atomic_write(path) as out:
        out.write(OmegaConf.to_yaml(OmegaConf.create(value)).encode())
