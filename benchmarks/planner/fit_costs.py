"""Least-squares fit of the planner's unit costs, none below its floor, to measured steps of training."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.optimize import nnls

from embeddings.planner.hardware import Hardware, Speed
from embeddings.planner.plan_cost import cost_plan
from embeddings.planner.planner_input import PlannerInput
from embeddings.planner.sharding_plan import ShardingPlan
from embeddings.planner.topology import Topology

NAMES = tuple(Speed.model_fields)
_NONE = dict.fromkeys(NAMES, 0.0)
_ROUNDS = 20


@dataclass(frozen=True)
class Measured:
    """A plan that ran, and its median step."""

    planner_input: PlannerInput
    plan: ShardingPlan
    step_ms: float


def work(planner_input: PlannerInput, plan: ShardingPlan, hardware: Hardware) -> np.ndarray:
    """How much of each unit every rank does in a step: [W, units], in the order of NAMES."""
    topology = Topology.of(hardware, plan.world_size)
    columns = []
    for name in NAMES:
        speed = Speed(**{**_NONE, name: 1.0})
        a = cost_plan(plan, planner_input, Topology.of(hardware.with_(speed=speed), topology.world_size))
        columns.append(a.fixed.base_ms + a.exchanges_ms + a.rank_ms)
    return np.stack(columns, axis=1)


def fit(measured: Sequence[Measured], hardware: Hardware, floors: Speed) -> tuple[Speed, np.ndarray]:
    """Unit costs, none below its floor, that make predictions least wrong, relative to each step, and the predictions.

    Which rank is critical depends on the costs, so the two are found in turns. Units whose work the measured plans do
    not have, or have always alike, would come out as nothing without a floor.
    """
    least = np.array([getattr(floors, name) or 0.0 for name in NAMES])
    works = [work(m.planner_input, m.plan, hardware) for m in measured]
    times = np.array([m.step_ms for m in measured])
    rows = np.stack([w.mean(axis=0) for w in works])
    costs = np.zeros(len(NAMES))
    for _ in range(_ROUNDS):
        scale = rows.max(axis=0) + 1e-12
        above = nnls(rows / scale / times[:, None], 1 - rows @ least / times)[0] / scale
        before, costs = costs, least + above
        rows = np.stack([w[int((w @ costs).argmax())] for w in works])
        if np.allclose(before, costs, rtol=1e-6):
            break
    predictions = np.array([float((w @ costs).max()) for w in works])
    return Speed(**dict(zip(NAMES, (float(c) for c in costs), strict=True))), predictions
