"""plan.json: a sharding plan as JSON, written atomically and read back."""

import json
from pathlib import Path
from typing import Any

import numpy as np

from embeddings.atomic_file import atomic_write
from embeddings.errors import InputError
from embeddings.planner.sharding_plan import ParameterSharding, ShardingPlan

VERSION = 1


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


def plan_from_dict(raw: Any, where: str) -> ShardingPlan:
    """The plan in ``raw``, JSON data as ``plan_as_dict`` gives it.

    Raises InputError naming ``where``, the file or checkpoint that it is from, and what is wrong in it.
    """
    try:
        if raw["version"] != VERSION:
            raise InputError(f"plan '{where}' is of version {raw['version']}, this code reads {VERSION}; plan again")
        tables = {}
        for name, t in raw["tables"].items():
            shards = np.array(t["shards"], dtype=np.int64).reshape(len(t["shards"]), 5)
            tables[name] = ParameterSharding(
                str(t["module"]), str(t["sharding_type"]), str(t["compute_kernel"]), shards
            )
        numbers = {key: int(raw[key]) for key in ("world_size", "ranks_of_host", "batch_size")}
        if not 1 <= numbers["ranks_of_host"] <= numbers["world_size"] or numbers["batch_size"] < 1:
            raise ValueError(f"impossible figures {numbers}")
        return ShardingPlan(device=str(raw["device"]), tables=tables, frozen=dict(raw["frozen"]), **numbers)
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"'{where}' is no plan ({type(error).__name__}: {error}); python -m embeddings.plan --out FILE writes one"
        ) from error


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
        raw = json.loads(Path(path).read_text())
    except FileNotFoundError:
        raise InputError(f"plan '{path}' does not exist; python -m embeddings.plan --out {path} writes one") from None
    except (ValueError, IsADirectoryError) as error:
        raise InputError(f"plan '{path}' is not readable JSON: {error}; plan again") from error
    return plan_from_dict(raw, str(path))
