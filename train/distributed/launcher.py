"""A launcher's environment variables (RANK, WORLD_SIZE, MASTER_ADDR and others), checked in this one place."""

import os

from pydantic import Field, model_validator

from embeddings.errors import InputError, shown
from embeddings.validation import Strict, validated

_RANK = ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE")
_PLACE = ("MASTER_ADDR", "MASTER_PORT")
_ALONE = {"WORLD_SIZE": "1", "LOCAL_RANK": "0", "LOCAL_WORLD_SIZE": "1"}  # what may be set without a RANK
_TORCHRUN = ("TORCHELASTIC_RESTART_COUNT", "TORCHELASTIC_USE_AGENT_STORE", "TORCHELASTIC_RUN_ID")
_NEXT_STEP = "start with torchrun or torchx, which set all of it, or unset RANK to run as one process"


class Launcher(Strict):
    """The environment of one rank; without a launcher, that of one that is alone.

    attempt  how often torchrun has started the ranks again
    """

    rank: int = Field(0, alias="RANK", ge=0)
    world_size: int = Field(1, alias="WORLD_SIZE", ge=1)
    local_rank: int = Field(0, alias="LOCAL_RANK", ge=0)
    local_world_size: int = Field(1, alias="LOCAL_WORLD_SIZE", ge=1)
    master_addr: str | None = Field(None, alias="MASTER_ADDR", min_length=1)
    master_port: int = Field(1, alias="MASTER_PORT", ge=1, le=65_535)
    attempt: str = Field("0", alias="TORCHELASTIC_RESTART_COUNT")
    agent_store: str = Field("", alias="TORCHELASTIC_USE_AGENT_STORE")
    torchrun_id: str | None = Field(None, alias="TORCHELASTIC_RUN_ID")

    @model_validator(mode="after")
    def _consistent(self) -> "Launcher":
        for name, value, most, of in (
            ("RANK", self.rank, self.world_size - 1, f"WORLD_SIZE={self.world_size}"),
            ("LOCAL_RANK", self.local_rank, self.local_world_size - 1, f"LOCAL_WORLD_SIZE={self.local_world_size}"),
            ("LOCAL_WORLD_SIZE", self.local_world_size, self.world_size, f"WORLD_SIZE={self.world_size}"),
        ):
            if value > most:
                raise ValueError(f"{name} is {value}; allowed with {of}: at most {most}")
        return self

    @property
    def store_is_torchruns(self) -> bool:
        """Whether torchrun's own process holds the store through which the ranks meet."""
        return self.agent_store == "True"

    @property
    def below_torchrun(self) -> bool:
        return self.torchrun_id is not None


def read_launcher() -> Launcher:
    """What the environment says of this rank.

    Raises InputError for an environment that only half says it, or says what cannot be.
    """
    given = {name: os.environ[name] for name in (*_RANK, *_PLACE, *_TORCHRUN) if name in os.environ}
    if "RANK" not in given:
        odd = [f"{name}={shown(given[name])}" for name, alone in _ALONE.items() if given.get(name, alone) != alone]
        if odd:
            raise InputError(f"{' '.join(odd)} is set, and RANK is not; allowed: all or none of them; {_NEXT_STEP}")
        return Launcher()
    optional = ("LOCAL_RANK", "LOCAL_WORLD_SIZE") if given.get("WORLD_SIZE") == "1" else ()
    if missing := [name for name in (*_RANK, *_PLACE) if name not in given and name not in optional]:
        raise InputError(
            f"RANK={shown(given['RANK'])} is set, as a launcher does, and {', '.join(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} not; allowed: all or none of them; {_NEXT_STEP}"
        )
    try:
        return validated(Launcher, given, where="environment of this rank")
    except InputError as error:
        raise InputError(f"{error}; {_NEXT_STEP}") from None
