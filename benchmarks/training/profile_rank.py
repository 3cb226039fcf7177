"""A rank of benchmarks.training.profile: trains, and on rank 0 sums the time of a step's operators by class."""

import time
from collections import defaultdict
from typing import Any

from torch.profiler import ProfilerActivity
from torch.profiler import profile as profiler

from benchmarks.ranks import read_job, write_result
from benchmarks.training.operator_classes import shares
from train.ctr.config import Config
from train.ctr.task import CTRTask
from train.distributed.process_group import process_group
from train.run.trainer_state import TrainerState

WARM_UP, STEPS = 10, 30


def main() -> None:
    config = Config.model_validate(read_job()["config"])
    with process_group(config.process) as ranks:
        task, state = CTRTask(config, ranks), TrainerState()
        batches = task.batches(state)
        steps = min(STEPS, task.num_batches - WARM_UP)

        def train(count: int) -> None:
            for _ in range(count):
                task.step(batches, state)

        train(WARM_UP)
        if ranks.first:
            with profiler(activities=[ProfilerActivity.CPU]) as profiled:
                start = time.perf_counter()
                train(steps)
                seconds = time.perf_counter() - start
            parts = shares(_main_thread(profiled.events()), seconds * 1e6)
            write_result({"steps": steps, "step_ms": round(seconds / steps * 1e3, 2), "shares": parts})
        else:
            train(steps)
        batches.close()


def _main_thread(events: Any) -> list[tuple[list[str], float]]:
    """Of the thread that runs the forward: each operator's names, outwards, and its own microseconds."""
    by_thread: dict[int, list] = defaultdict(list)
    for event in events:
        by_thread[event.thread].append(event)
    main = max(by_thread.values(), key=lambda es: any("## forward" in e.name for e in es))
    return [(_callers(event), event.self_cpu_time_total) for event in main]


def _callers(event: Any) -> list[str]:
    """The names of an operator and of its callers, outwards."""
    names = []
    while event is not None:
        names.append(event.name)
        event = event.cpu_parent
    return names


if __name__ == "__main__":
    main()
