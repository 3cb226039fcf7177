"""The benchmark's cases, planned by the planner and trained over two ranks with those plans."""

import dataclasses
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from benchmarks.planner.cases import POOL, RANKS, Case
from benchmarks.ranks import measure_on_ranks


def plan_case(case: Case, hardware: Any) -> tuple[Any, Any]:
    """The planner's input for a case, and the assessment of the plan that it chooses."""
    from embeddings.planner.plan_search import PlanSearch
    from embeddings.planner.topology import Topology
    from recsys.schema import Schema
    from train.ctr.build_planner_input import build_planner_input
    from train.ctr.config import Config

    schema, config = Schema.model_validate(case.tables.schema()), Config.model_validate(case.settings())
    planner_input = build_planner_input(config, schema, case.tables.lengths(), {})
    planner_input = dataclasses.replace(planner_input, checkpoints=False)  # the worker saves none
    return planner_input, PlanSearch(planner_input, Topology.of(hardware, RANKS)).best()


def train(cases: Sequence[Case], plans: Sequence[Any]) -> list[list[dict[str, Any]]]:
    """What each rank measured of each case, all in one launch; the trainer takes the plans as files."""
    from embeddings.planner.plan_json import save_plan

    with tempfile.TemporaryDirectory(prefix="planner-") as folder:
        jobs = []
        for i, (case, plan) in enumerate(zip(cases, plans, strict=True)):
            path = f"{folder}/plan-{i}.json"
            save_plan(plan, Path(path))
            config = case.settings()
            config["sharding"]["plan"] = path
            about = {"schema": case.tables.schema(), "lengths": case.tables.lengths()}
            jobs.append({"config": config, "steps": case.steps, "pool": POOL, **about})
        return measure_on_ranks(RANKS, "benchmarks.planner.rank", {"jobs": jobs})


def step_ms(ranks: Sequence[dict[str, Any]]) -> float:
    """Milliseconds a step of the slowest rank."""
    return max(r["step_ms"] for r in ranks)
