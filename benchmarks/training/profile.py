"""Where a training step's time goes, on rank 0 of two, by torch's profiler. Runs apart from what is timed."""

import json
import re
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

WARM_UP, STEPS = 10, 30

# An operator belongs to the first class that its own name, or that of a caller, matches; the innermost name decides.
# TorchRec labels its stages. Time inside the backward but in no operator is DDP's wait for its all-reduces.
CLASSES = [
    ("input", r"## next_batch"),
    (
        "wait",
        r"^c10d::|_Wait\b|_Wait$|_Req\w*Backward|Awaitable wait|wait_sparse_data_dist|wait_for_batch|^## backward",
    ),
    ("sparse", r"fbgemm|Lookup|\[(lookup|input_dist|output_dist|splits_dist)\]|start_sparse_data_dist|all2all_data"),
    ("backward", r"^autograd::engine|Backward"),
    ("optimizer", r"## optimizer|## zero_grad|Optimizer\."),
    ("forward", r"^## forward|DistributedDataParallel"),
]
SHARES = [name for name, _ in CLASSES] + ["rest"]


def profile(config: Mapping[str, Any]) -> dict[str, Any]:
    """Profile a short run of ``config`` on two ranks: milliseconds a step, and the share of each class in it."""
    from benchmarks.training.step import launch

    with tempfile.TemporaryDirectory(prefix="profile-") as folder:
        launch(config, folder, "benchmarks.training.profile")
        return json.loads((Path(folder) / "bench" / "profile.json").read_text())


def shares(events: Iterable[tuple[list[str], float]], total: float) -> dict[str, float]:
    """Share of ``total`` by class, the rest included.

    Args:
        events: names from an operator outwards to its outermost caller, and the time in it that is not in a callee.
    """
    times: dict[str, float] = defaultdict(float)
    for names, own in events:
        times[_class(names)] += own
    times["rest"] = max(0.0, total - sum(v for k, v in times.items() if k != "rest"))
    return {name: round(times[name] / total, 4) for name in SHARES}


def _class(names: list[str]) -> str:
    for name in names:
        for kind, pattern in CLASSES:
            if re.search(pattern, name):
                return kind
    return "rest"


def _measure(path: str) -> None:
    """One rank's part."""
    import time

    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as profiler
    from train.ctr.trainer import Run

    from embeddings.atomic_file import write_json
    from train.config import load_config
    from train.distributed.process_group import process_group

    config = load_config(path)
    with process_group(config.process) as ranks:
        run = Run(config, ranks)
        run.pipeline.attach(run.trainable.model.train())
        batches = run.reader.epoch(0)
        for _ in range(WARM_UP):
            run.pipeline.progress(batches)
        steps = min(STEPS, run.reader.num_batches - WARM_UP)
        if ranks.first:
            with profiler(activities=[ProfilerActivity.CPU]) as found:
                start = time.perf_counter()
                for _ in range(steps):
                    run.pipeline.progress(batches)
                seconds = time.perf_counter() - start
            by_thread: dict[int, list] = defaultdict(list)
            for event in found.events():
                by_thread[event.thread].append(event)
            main = max(by_thread.values(), key=lambda es: any("## forward" in e.name for e in es))
            own = shares(((_callers(e), e.self_cpu_time_total) for e in main), seconds * 1e6)
            result = {"steps": steps, "step_ms": round(seconds / steps * 1e3, 2), "shares": own}
            write_json(Path(config.run_folder) / "profile.json", result)
        else:
            for _ in range(steps):
                run.pipeline.progress(batches)
        batches.close()


def _callers(event: Any) -> list[str]:
    names = []
    while event is not None:
        names.append(event.name)
        event = event.cpu_parent
    return names


if __name__ == "__main__":
    _measure(sys.argv[sys.argv.index("--config") + 1])
