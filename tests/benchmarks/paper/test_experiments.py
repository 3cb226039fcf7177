"""The runs that each table and figure needs."""

import pytest

from benchmarks.paper.experiments import TABLE3, TARGETS, Experiment, jobs
from train.ctr.config import load_config


@pytest.mark.parametrize("target", TARGETS)
def test_every_seed_has_jobs_with_settings_that_the_config_takes(experiment: Experiment, target: str):
    wanted = jobs(target, experiment)
    assert len({job.name for job in wanted}) == len(wanted)
    for job in wanted:
        config = load_config(experiment.config, job.settings, command="make" if job.command == "make" else "")
        assert config.train.seed == job.seed and config.data.batch_size == 512, "two ranks' rows in one process"
        assert config.run_folder == f"{experiment.root}/{job.name}"
        assert all(wanted.index(other) < wanted.index(job) for other in wanted if other.name in job.needs)
    assert {job.seed for job in wanted} == {0, 1}


def test_what_each_target_trains(experiment: Experiment):
    def models(target: str) -> set[str]:
        return {job.model for job in jobs(target, experiment)}

    assert models("table3") == {*TABLE3, "alone"}
    assert models("fig3") == {"epochs", "reset", "alone"}
    assert models("fig6c") == {"none", "make", "alone", *(f"make@{e}" for e in (0, 2, 4, 6, 8, 10))}
    reset = next(job for job in jobs("fig3", experiment) if job.model == "reset")
    config = load_config(experiment.config, reset.settings)
    assert (config.train.reset_tables, config.train.epochs, config.train.patience) == ("each_epoch", 4, None)
    four = next(job for job in jobs("fig6c", experiment) if job.model == "make@4" and job.seed == 1)
    make = load_config(experiment.config, four.settings).model.multimodal.make
    assert (make.run, make.epoch, four.needs) == (f"{experiment.root}/shop-alone-1", 4, ("shop-alone-1",))
