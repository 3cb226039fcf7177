"""Jobs: which a target needs, in what order they run, what counts as done, and what a failure says."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from benchmarks.paper import run_jobs as work
from benchmarks.paper.experiments import TABLE3, TARGETS, Job, Plan, jobs
from benchmarks.paper.result_rows import not_yet_written
from embeddings.errors import InputError
from recsys.models.config import make_alone
from tests.benchmarks.paper.rows import row
from train.config import load_config, save_config

CONFIG = "data: {path: somewhere, batch_size: 256}\ntrain: {patience: 1}\n"


@pytest.fixture
def plan(tmp_path: Path) -> Plan:
    (tmp_path / "shop.yaml").write_text(CONFIG)
    config = str(tmp_path / "shop.yaml")
    return Plan(name="shop", config=config, batch_size=256, root=str(tmp_path / "runs"), seeds=2, epochs=4)


@pytest.mark.parametrize("target", TARGETS)
def test_every_seed_has_jobs_with_settings_that_the_config_takes(plan: Plan, target: str):
    found = jobs(target, plan)
    assert len({job.name for job in found}) == len(found)
    for job in found:
        config = load_config(plan.config, job.settings, verb="make" if job.verb == "make" else "")
        assert config.train.seed == job.seed and config.data.batch_size == 512, "two ranks' rows in one process"
        assert config.run_folder == f"{plan.root}/{job.name}"
        assert all(found.index(other) < found.index(job) for other in found if other.name in job.needs)
    assert {job.seed for job in found} == {0, 1}


def test_what_each_target_trains(plan: Plan):
    def models(target: str) -> set[str]:
        return {job.model for job in jobs(target, plan)}

    assert models("table3") == {*TABLE3, "alone"}
    assert models("fig3") == {"epochs", "reset", "alone"}
    assert models("fig6c") == {"none", "make", "alone", *(f"make@{e}" for e in (0, 2, 4, 6, 8, 10))}
    reset = next(job for job in jobs("fig3", plan) if job.model == "reset")
    config = load_config(plan.config, reset.settings)
    assert (config.train.reset_tables, config.train.epochs, config.train.patience) == ("each_epoch", 4, None)
    four = next(job for job in jobs("fig6c", plan) if job.model == "make@4" and job.seed == 1)
    make = load_config(plan.config, four.settings).model.multimodal.make
    assert (make.run, make.epoch, four.needs) == (f"{plan.root}/shop-alone-1", 4, ("shop-alone-1",))


def job(name: str, needs: tuple[str, ...] = (), *settings: str) -> Job:
    return Job(name=name, verb="ctr", model=name, seed=0, settings=settings, needs=needs)


def left(plan: Plan, name: str, status: str = "done", stores: dict | None = None, *settings: str) -> Path:
    """A run folder as the ctr verb leaves it; of a MAKE, that of its modality, as the make verb does."""
    folder = Path(plan.root) / name
    folder.mkdir(parents=True)
    config = load_config(plan.config, settings)
    if "/" in name:
        config = config.model_copy(update={"model": make_alone(config.model, folder.name)})
    save_config(config, str(folder / "config.yaml"))
    (folder / "run.json").write_text(json.dumps({"status": status, "stores": stores or {}}))
    return folder


def test_done_is_done_and_nothing_else(plan: Plan):
    wanted = job("a", (), "train.seed=3")
    assert not work.is_done(wanted, plan, [], {})
    folder = left(plan, "a", "done", {"text": "x"}, "train.seed=3", "process.threads=1", "run.name=z")
    assert work.is_done(wanted, plan, [], {"text": "x"})
    with pytest.raises(InputError, match="vectors of modality 'text' have changed since; remove that folder, or"):
        work.is_done(wanted, plan, [], {"text": "y"})
    with pytest.raises(InputError, match=r"'.*a' was made with other settings: train.seed is 3, wanted 4"):
        work.is_done(job("a", (), "train.seed=4"), plan, [], {"text": "x"})
    (folder / "run.json").write_text(json.dumps({"status": "failed", "stores": {}}))
    assert not work.is_done(wanted, plan, [], {})
    with open(folder / "config.yaml", "a") as config:
        config.write("gone: 1\n")
    with pytest.raises(InputError, match=r"made with other settings: .*unknown key 'gone'.*remove that folder, or"):
        work.is_done(wanted, plan, [], {})


def test_what_began_with_weights_that_are_gone_is_refused(plan: Plan):
    wanted = [job("alone", ()), job("joined", ("alone",))]
    work.refuse_outlived(wanted, {"alone", "joined"}, plan)
    work.refuse_outlived(wanted, {"alone"}, plan)
    with pytest.raises(InputError, match="joined' began with 'alone', which is to be trained anew; remove that folder"):
        work.refuse_outlived(wanted, {"joined"}, plan)


def test_make_is_done_once_every_modality_is(plan: Plan):
    wanted = Job(name="m", verb="make", model="alone", seed=0, settings=())
    left(plan, "m/text")
    assert not work.is_done(wanted, plan, ["text", "image"], {})
    folder = left(plan, "m/image")
    assert work.is_done(wanted, plan, ["text", "image"], {})
    old = OmegaConf.load(folder / "config.yaml")
    old.model = {**load_config(plan.config).model.model_dump(exclude={"arch"}), "alone": "image"}
    OmegaConf.save(old, folder / "config.yaml")
    assert work.is_done(wanted, plan, ["text", "image"], {}), "of the time before there was arch make"
    other = dataclasses.replace(wanted, settings=("model.multimodal.make.hidden=[9]",))
    with pytest.raises(InputError, match=r"model.multimodal.make.hidden is \[.*\], wanted \[9\]"):
        work.is_done(other, plan, ["text", "image"], {})


def commands(monkeypatch, **code: str) -> list[str]:
    """Jobs run Python ``code`` by name instead of training; the list is filled with names as they start."""
    started: list[str] = []

    def start(job: Job, plan: Plan, threads: int):
        started.append(job.name)
        folder = Path(plan.root) / job.name
        folder.mkdir(parents=True)
        log = open(folder / "log", "a")
        command = [sys.executable, "-c", f"import os, sys, time; os.chdir({str(folder)!r}); {code.get(job.name, '')}"]
        return subprocess.Popen(command, stdout=log, stderr=log), log

    monkeypatch.setattr(work, "_start", start)
    return started


def test_jobs_run_side_by_side_after_those_that_they_need(plan: Plan, monkeypatch):
    # a and b each wait for the other to have begun; c fails where a has not ended
    meet = "open('here', 'w'); [time.sleep(.01) for _ in range(3000) if not os.path.exists('../{}/here')]; {}"
    started = commands(
        monkeypatch,
        a=meet.format("b", "assert os.path.exists('../b/here'); open('end', 'w')"),
        b=meet.format("a", "assert os.path.exists('../a/here')"),
        c="open('../a/end')",
    )
    work.run_all([job("c", ("a",)), job("a"), job("b"), job("done")], {"done"}, plan, 2, 1)
    assert started == ["a", "b", "c"]


def test_one_at_a_time(plan: Plan, monkeypatch):
    lonely = "assert not os.path.exists('../busy'); open('../busy', 'w'); time.sleep(.2); os.remove('../busy')"
    commands(monkeypatch, a=lonely, b=lonely, c=lonely)
    work.run_all([job("a"), job("b"), job("c")], set(), plan, 1, 1)


def test_a_run_that_fails_ends_all_and_is_named(plan: Plan, monkeypatch):
    save = "import signal; signal.signal(signal.SIGTERM, lambda *_: (open('saved', 'w'), os._exit(143)))"
    started = commands(
        monkeypatch,
        a=f"{save}; open('ready', 'w'); time.sleep(60)",
        b="[time.sleep(.01) for _ in range(3000) if not os.path.exists('../a/ready')]; print('error: bad rows'); "
        "print('more'); sys.exit(2)",
    )
    with pytest.raises(InputError, match=r"run 'b' failed with status 2: bad rows \(all of it is in '.*b/log'\)"):
        work.run_all([job("a"), job("b"), job("c")], set(), plan, 2, 1)
    assert started == ["a", "b"] and (Path(plan.root) / "a" / "saved").exists(), "the one beside it was let save"


def test_rows_are_written_once_unless_they_changed():
    old = row("none", 0, 0.5)
    assert not_yet_written([old], []) == [old]
    assert not_yet_written([old], [row("none", 0, 0.4), old]) == []
    new = row("none", 0, 0.6)
    assert not_yet_written([new, old | {"seed": 1}], [old]) == [new, old | {"seed": 1}]
