"""The training runs that a table or a figure of the paper needs: every model and seed, and the runs before it."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

PRETRAINED = (0, 2, 4, 6, 8, 10)  # epochs that MAKE is trained alone, figure 6c
TABLE3 = ("none", "vector", "simscore", "simtier", "make", "simtier+make")
_CONFIG_RANKS = 2  # the shipped configs' batch sizes are for so many ranks; a run here is one process


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """What all runs of a data set share.

    name    of the data, and of its config
    config  path of the config
    root    folder of the runs
    seeds   of each model, from 0
    epochs  of the curves of figure 3
    extra   key.sub=value, for every run
    """

    name: str
    config: str
    batch_size: int
    root: str
    seeds: int = 3
    epochs: int = 6
    extra: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Job:
    """One command line of ``python -m train`` and the run that it leaves.

    name     folder below the root
    command  of python -m train
    model    what the rows call it
    needs    names of the jobs that must be done before
    """

    name: str
    command: str
    model: str
    seed: int
    settings: tuple[str, ...]
    needs: tuple[str, ...] = ()


def jobs(target: str, experiment: Experiment) -> list[Job]:
    """The jobs of ``target``, each once. Those that others wait for come first; they are the longest too."""
    by_name: dict[str, Job] = {}
    for seed in range(experiment.seeds):
        for job in TARGETS[target](experiment, seed):
            by_name.setdefault(job.name, job)
    needed = {name for job in by_name.values() for name in job.needs}
    return sorted(by_name.values(), key=lambda job: job.name not in needed)


def _job(
    experiment: Experiment, seed: int, model: str, *settings: str, command: str = "ctr", needs: tuple[str, ...] = ()
) -> Job:
    name = f"{experiment.name}-{model.replace('+', '-').replace('@', '-after-')}-{seed}"
    common = (f"train.seed={seed}", f"data.batch_size={_CONFIG_RANKS * experiment.batch_size}", "train.keep=1")
    where = (f"run.name={name}", f"run.root={experiment.root}")
    settings = (*common, *experiment.extra, *settings, *where)
    return Job(name=name, command=command, model=model, seed=seed, settings=settings, needs=needs)


def _alone(experiment: Experiment, seed: int) -> Job:
    """MAKE without ids, for as many epochs as any figure asks for; nothing stops it early."""
    epochs = max(*PRETRAINED, experiment.epochs)
    return _job(experiment, seed, "alone", f"train.epochs={epochs}", "train.patience=null", command="make")


def _model(experiment: Experiment, seed: int, mode: str) -> Iterator[Job]:
    if "make" not in mode:
        yield _job(experiment, seed, mode, f"model.multimodal.mode={mode}")
        return
    alone = _alone(experiment, seed)
    yield alone
    make = (f"model.multimodal.mode={mode}", f"model.multimodal.make.run={experiment.root}/{alone.name}")
    yield _job(experiment, seed, mode, *make, needs=(alone.name,))


def _table3(experiment: Experiment, seed: int) -> Iterator[Job]:
    for mode in TABLE3:
        yield from _model(experiment, seed, mode)


def _figure3(experiment: Experiment, seed: int) -> Iterator[Job]:
    ids = ("model.multimodal.mode=none", f"train.epochs={experiment.epochs}", "train.patience=null")
    yield _job(experiment, seed, "epochs", *ids)
    yield _job(experiment, seed, "reset", *ids, "train.reset_tables=each_epoch")
    yield _alone(experiment, seed)


def _figure6b(experiment: Experiment, seed: int) -> Iterator[Job]:
    for mode in ("none", "simtier", "simtier+make"):
        yield from _model(experiment, seed, mode)


def _figure6c(experiment: Experiment, seed: int) -> Iterator[Job]:
    yield from _model(experiment, seed, "none")
    *_, best = _model(experiment, seed, "make")
    yield from _model(experiment, seed, "make")
    for epoch in PRETRAINED:
        job = _job(experiment, seed, f"make@{epoch}")
        begun = (f"model.multimodal.make.epoch={epoch}", *(["model.multimodal.make.frozen=false"] if not epoch else []))
        yield replace(job, settings=(*best.settings[:-2], *begun, *job.settings[-2:]), needs=best.needs)


TARGETS = {"table3": _table3, "fig3": _figure3, "fig6b": _figure6b, "fig6c": _figure6c}
