"""plan.json: a sharding plan as JSON, written atomically and read back."""

import json
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from pydantic import Field, model_validator

from embeddings.errors import InputError, shown
from embeddings.files.atomic_file import atomic_write
from embeddings.files.json_file import read_json
from embeddings.planner.hardware import MOST_RANKS
from embeddings.planner.sharding_plan import ParameterSharding, ShardingPlan
from embeddings.planner.sharding_types import ShardingType
from embeddings.planner.table_constraint import MOST_TABLE_ROWS
from embeddings.validation import Strict, validated

VERSION = 1
MOST_SHARDS = 2**20
Index = Annotated[int, Field(ge=0, le=MOST_TABLE_ROWS)]  # a row, a column, a size or a rank


def plan_as_dict(plan: ShardingPlan) -> dict[str, Any]:
    """``plan`` as JSON data; ``plan_from_dict`` is the inverse."""
    return {
        "version": VERSION,
        "world_size": plan.world_size,
        "ranks_of_host": plan.ranks_of_host,
        "device": plan.device,
        "batch_size": plan.batch_size,
        "frozen": dict(plan.frozen),
        "tables": {
            name: {
                "module": p.module,
                "sharding_type": p.sharding_type,
                "compute_kernel": p.compute_kernel,
                "shards": p.shards.tolist(),
            }
            for name, p in plan.tables.items()
        },
    }


class _Table(Strict):
    """One table of plan.json."""

    module: str
    sharding_type: ShardingType
    compute_kernel: str
    shards: list[tuple[Index, Index, Index, Index, Index]] = Field(min_length=1, max_length=MOST_SHARDS)


class _Plan(Strict):
    """plan.json."""

    version: int
    world_size: int = Field(ge=1, le=MOST_RANKS)
    ranks_of_host: int = Field(ge=1, le=MOST_RANKS)
    device: Literal["cpu", "cuda"]
    batch_size: int = Field(ge=1, le=2**22)
    frozen: dict[str, str]
    tables: dict[str, _Table]

    @model_validator(mode="after")
    def _hosts(self) -> "_Plan":
        if self.ranks_of_host > self.world_size:
            raise ValueError(f"impossible figures: {self.ranks_of_host} ranks of a host of {self.world_size} in all")
        return self


def plan_from_dict(raw: Any, where: str) -> ShardingPlan:
    """The plan in ``raw``, JSON data as ``plan_as_dict`` gives it.

    Raises InputError naming ``where``, the file or checkpoint that it is from, and what is wrong in it. Whether it is
    one of a model and its ranks is for ``check_plan`` to say.
    """
    if isinstance(raw, dict) and raw.get("version", VERSION) != VERSION:
        raise InputError(f"plan '{where}' is of version {shown(raw['version'])}, this code reads {VERSION}; plan again")
    plan = validated(_Plan, raw, f"'{where}' is no plan, python -m embeddings.plan --out FILE writes one")
    tables = {
        name: ParameterSharding(t.module, t.sharding_type, t.compute_kernel, np.array(t.shards, dtype=np.int64))
        for name, t in plan.tables.items()
    }
    return ShardingPlan(plan.world_size, plan.ranks_of_host, plan.device, plan.batch_size, tables, plan.frozen)


def save_plan(plan: ShardingPlan, path: str | Path) -> None:
    """Write plan.json atomically, one table a line.

    Raises InputError where ``path`` is a folder or its folder does not exist, OSError where it cannot be written.
    """
    raw = plan_as_dict(plan)
    tables = raw.pop("tables")
    lines = ",\n".join(f"  {json.dumps(name)}: {json.dumps(entry)}" for name, entry in tables.items())
    text = json.dumps(raw, indent=1)[:-2] + f',\n "tables": {{\n{lines}\n }}\n}}\n'
    path = Path(path)
    if path.is_dir():
        raise InputError(f"'{path}' is a folder; name the plan's file, such as {path / 'plan.json'}")
    try:
        with atomic_write(path) as out:
            out.write(text.encode())
    except FileNotFoundError:
        raise InputError(f"folder '{path.parent}' for the plan does not exist; make it first") from None


def load_plan(path: str | Path) -> ShardingPlan:
    """Read plan.json. Raises InputError where there is none or it is damaged."""
    try:
        raw = read_json(path, "plan")
    except FileNotFoundError:
        raise InputError(f"plan '{path}' does not exist; python -m embeddings.plan --out {path} writes one") from None
    return plan_from_dict(raw, str(path))
