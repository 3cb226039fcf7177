"""Read positions: where in a split a batch comes from, and the errors for a saved reader state that cannot be used."""

import math
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import AliasChoices, BaseModel, Field

from embeddings.errors import InputError
from embeddings.validation import Count
from train.data.resharding import LogicalShards

_Positive = Annotated[int, Field(ge=1, lt=1 << 31)]


class _Partition(BaseModel, extra="forbid"):
    world_size: _Positive
    workers: Annotated[int, Field(ge=1, le=1024)]
    batch_size: _Positive


class SavedPosition(BaseModel, extra="allow"):
    """A reader's ``state_dict`` as a checkpoint holds it; what it is compared with may be anything."""

    epoch: Count
    rows: Count
    # older checkpoints say lanes
    logical_shards: _Partition = Field(validation_alias=AliasChoices("logical_shards", "lanes"))


@dataclass(frozen=True)
class ReadPosition:
    """Where a batch came from. ``row_groups`` is how many row groups were shuffled together with the first."""

    split: str
    epoch: int
    batch: int
    file: str
    row_group: int
    row_groups: int

    def __str__(self) -> str:
        more = f" and {self.row_groups - 1} more shuffled with it" if self.row_groups > 1 else ""
        return (
            f"split '{self.split}', epoch {self.epoch + 1}, batch {self.batch}, "
            f"file '{self.file}', row group {self.row_group}{more}"
        )


def cannot_divide(shards: LogicalShards, split: str) -> InputError:
    """The error for steps whose rows do not divide among the ranks that the run began with."""
    first, ranks = shards.plan.world_size, shards.world_size
    step = math.lcm(first, ranks) // ranks
    near = max(step, round(shards.batch_size / step) * step)
    return InputError(
        f"cannot go on reading split '{split}' inside an epoch: {ranks} ranks with {shards.batch_size} rows each take "
        f"{ranks * shards.batch_size} rows a step, which is no multiple of the {first} ranks that the run began with; "
        f"set data.batch_size to a multiple of {step}, such as {near}"
    )


def cannot_resume(key: str, saved: Any, ours: Any, split: str) -> InputError:
    """The error for a saved state whose ``key`` differs from ours: of other rows, or of rows in another order."""
    if key == "files":
        return InputError(
            f"cannot go on reading split '{split}': its files are not those that the position was saved with "
            f"(fingerprint {ours}, saved {saved}); bring the old files back, or start a new run"
        )
    return InputError(
        f"cannot go on reading split '{split}': {key} is {ours}, the position was saved with {saved}; "
        f"set {key} back to {saved}, or start a new run"
    )
