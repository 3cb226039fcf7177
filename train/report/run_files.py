"""What run.json and evaluation/SPLIT.json hold, as far as the report reads it. Other keys are left as they are."""

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from embeddings.validation import Count

_Number = Annotated[float, Field(allow_inf_nan=True)]  # of a run that diverged


class _Lenient(BaseModel):
    # strict: what is checked is the plain data, which goes on as it stands, "1" for 1 and all
    model_config = ConfigDict(frozen=True, extra="allow", strict=True)


class Git(_Lenient):
    commit: str | None = None
    changed: bool | None = None


class About(_Lenient):
    """run.json."""

    name: str | None = None
    status: str = "unknown"
    seed: int | None = None
    mode: str = "unknown"
    modes: dict[str, str] | None = None
    device: str | None = None
    world_size: Count | None = None
    stores: dict[str, str] | None = None
    schema_: str | None = Field(None, alias="schema")
    versions: dict[str, str | None] | None = None
    git: Git | None = None
    examples_per_s: _Number | None = None
    best_epoch: Count | None = None


class Metrics(_Lenient):
    """Metrics of some impressions; null where one is not defined."""

    __pydantic_extra__: dict[str, _Number | None]  # type: ignore[mutable-override]  # how pydantic has it

    rows: Count | None = None


class Group(Metrics):
    """Metrics of the impressions of items that were seen about equally often in training."""

    group: int | str
    min_count: Count
    max_count: Count
    rows: Count


class Bin(_Lenient):
    """Impressions of about equal predictions."""

    mean_prediction: float = Field(allow_inf_nan=False, ge=0, le=1)
    base_rate: float = Field(allow_inf_nan=False, ge=0, le=1)


class Evaluation(_Lenient):
    """evaluation/SPLIT.json."""

    overall: Metrics
    frequency_groups: list[Group] | None = None
    known_items: Metrics | None = None
    new_items: Metrics | None = None
    reliability: list[Bin] | None = None
