"""Which runs a table or a figure of the paper needs: every model, for every seed, with what it is built on."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

PRETRAINED = (0, 2, 4, 6, 8, 10)  # epochs that MAKE is trained alone, figure 6c
TABLE3 = ("none", "vector", "simscore", "simtier", "make", "simtier+make")
_CONFIG_RANKS = 2  # the shipped configs' batch sizes are for so many ranks; a run here is one process


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What is asked for.

    name    of the data, and of its config
    epochs  of the curves of figure 3
    """

    name: str
    config: str
    batch_size: int
    root: str
    seeds: int = 3
    epochs: int = 6
    extra: tuple[str, ...] = ()  # key.sub=value, for every run


@dataclass(frozen=True, kw_only=True)
class Job:
    """One command line of ``python -m train`` and the run that it leaves.

    name   folder below the root
    model  what the rows call it
    needs  names of the jobs that must be done before
    """

    name: str
    verb: str
    model: str
    seed: int
    settings: tuple[str, ...]
    needs: tuple[str, ...] = ()


def jobs(target: str, plan: Plan) -> list[Job]:
    """The jobs of ``target``, each once. Those that others wait for come first; they are the longest too."""
    found: dict[str, Job] = {}
    for seed in range(plan.seeds):
        for job in TARGETS[target](plan, seed):
            found.setdefault(job.name, job)
    needed = {name for job in found.values() for name in job.needs}
    return sorted(found.values(), key=lambda job: job.name not in needed)


def _job(plan: Plan, seed: int, model: str, *settings: str, verb: str = "ctr", needs: tuple[str, ...] = ()) -> Job:
    name = f"{plan.name}-{model.replace('+', '-').replace('@', '-after-')}-{seed}"
    common = (f"train.seed={seed}", f"data.batch_size={_CONFIG_RANKS * plan.batch_size}", "train.keep=1")
    where = (f"run.name={name}", f"run.root={plan.root}")
    return Job(
        name=name, verb=verb, model=model, seed=seed, settings=(*common, *plan.extra, *settings, *where), needs=needs
    )


def _alone(plan: Plan, seed: int) -> Job:
    """MAKE without ids, for as many epochs as any figure asks for; nothing stops it early."""
    epochs = max(*PRETRAINED, plan.epochs)
    return _job(plan, seed, "alone", f"train.epochs={epochs}", "train.patience=null", verb="make")


def _model(plan: Plan, seed: int, mode: str) -> Iterator[Job]:
    if "make" not in mode:
        yield _job(plan, seed, mode, f"model.multimodal.mode={mode}")
        return
    alone = _alone(plan, seed)
    yield alone
    make = (f"model.multimodal.mode={mode}", f"model.multimodal.make.run={plan.root}/{alone.name}")
    yield _job(plan, seed, mode, *make, needs=(alone.name,))


def _table3(plan: Plan, seed: int) -> Iterator[Job]:
    for mode in TABLE3:
        yield from _model(plan, seed, mode)


def _figure3(plan: Plan, seed: int) -> Iterator[Job]:
    ids = ("model.multimodal.mode=none", f"train.epochs={plan.epochs}", "train.patience=null")
    yield _job(plan, seed, "epochs", *ids)
    yield _job(plan, seed, "reset", *ids, "train.reset_tables=each_epoch")
    yield _alone(plan, seed)


def _figure6b(plan: Plan, seed: int) -> Iterator[Job]:
    for mode in ("none", "simtier", "simtier+make"):
        yield from _model(plan, seed, mode)


def _figure6c(plan: Plan, seed: int) -> Iterator[Job]:
    yield from _model(plan, seed, "none")
    *_, best = _model(plan, seed, "make")
    yield from _model(plan, seed, "make")
    for epoch in PRETRAINED:
        job = _job(plan, seed, f"make@{epoch}")
        begun = (f"model.multimodal.make.epoch={epoch}", *(["model.multimodal.make.frozen=false"] if not epoch else []))
        yield replace(job, settings=(*best.settings[:-2], *begun, *job.settings[-2:]), needs=best.needs)


TARGETS = {"table3": _table3, "fig3": _figure3, "fig6b": _figure6b, "fig6c": _figure6c}
