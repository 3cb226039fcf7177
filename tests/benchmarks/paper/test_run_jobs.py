"""Jobs: in what order they run, what counts as done, and what a failure says."""

import dataclasses
import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.paper import run_jobs as work
from benchmarks.paper.experiments import Experiment, Job
from embeddings.errors import InputError
from embeddings.files.yaml_file import read_yaml, write_yaml
from recsys.models.arch_config import make_alone
from train.config import save_config
from train.ctr.config import load_config


def job(name: str, needs: tuple[str, ...] = (), *settings: str) -> Job:
    return Job(name=name, command="ctr", model=name, seed=0, settings=settings, needs=needs)


def left(experiment: Experiment, name: str, status: str = "done", stores: dict | None = None, *settings: str) -> Path:
    """A run folder as the ctr command leaves it; of a MAKE, that of its modality, as the make command does."""
    folder = Path(experiment.root) / name
    folder.mkdir(parents=True)
    config = load_config(experiment.config, settings)
    if "/" in name:
        config = config.model_copy(update={"model": make_alone(config.model, folder.name)})
    save_config(config, str(folder / "config.yaml"))
    (folder / "run.json").write_text(json.dumps({"status": status, "stores": stores or {}}))
    return folder


def test_done_is_done_and_nothing_else(experiment: Experiment):
    wanted = job("a", (), "train.seed=3")
    assert not work.is_done(wanted, experiment, [], {})
    folder = left(experiment, "a", "done", {"text": "x"}, "train.seed=3", "process.threads=1", "run.name=z")
    assert work.is_done(wanted, experiment, [], {"text": "x"})
    with pytest.raises(InputError, match="vectors of modality 'text' have changed since; remove that folder, or"):
        work.is_done(wanted, experiment, [], {"text": "y"})
    with pytest.raises(InputError, match=r"'.*a' was made with other settings: train.seed is 3, wanted 4"):
        work.is_done(job("a", (), "train.seed=4"), experiment, [], {"text": "x"})
    (folder / "run.json").write_text(json.dumps({"status": "failed", "stores": {}}))
    assert not work.is_done(wanted, experiment, [], {})
    with open(folder / "config.yaml", "a") as config:
        config.write("gone: 1\n")
    with pytest.raises(InputError, match=r"made with other settings: .*unknown key 'gone'.*remove that folder, or"):
        work.is_done(wanted, experiment, [], {})


def test_what_began_with_weights_that_are_gone_is_refused(experiment: Experiment):
    wanted = [job("alone", ()), job("joined", ("alone",))]
    work.refuse_outlived(wanted, {"alone", "joined"}, experiment)
    work.refuse_outlived(wanted, {"alone"}, experiment)
    with pytest.raises(InputError, match="joined' began with 'alone', which is to be trained anew; remove that folder"):
        work.refuse_outlived(wanted, {"joined"}, experiment)


def test_make_is_done_once_every_modality_is(experiment: Experiment):
    wanted = Job(name="m", command="make", model="alone", seed=0, settings=())
    left(experiment, "m/text")
    assert not work.is_done(wanted, experiment, ["text", "image"], {})
    folder = left(experiment, "m/image")
    assert work.is_done(wanted, experiment, ["text", "image"], {})
    old = read_yaml(folder / "config.yaml", "config")
    old["model"] = {**load_config(experiment.config).model.model_dump(exclude={"arch"}), "alone": "image"}
    write_yaml(folder / "config.yaml", old)
    assert work.is_done(wanted, experiment, ["text", "image"], {}), "of the time before there was arch make"
    other = dataclasses.replace(wanted, settings=("model.multimodal.make.hidden=[9]",))
    with pytest.raises(InputError, match=r"model.multimodal.make.hidden is \[.*\], wanted \[9\]"):
        work.is_done(other, experiment, ["text", "image"], {})


def commands(monkeypatch, **code: str) -> list[str]:
    """Jobs run Python ``code`` by name instead of training; the list is filled with names as they start."""
    started: list[str] = []

    def start(job: Job, experiment: Experiment, threads: int):
        started.append(job.name)
        folder = Path(experiment.root) / job.name
        folder.mkdir(parents=True)
        log = open(folder / "log", "a")
        command = [sys.executable, "-c", f"import os, sys, time; os.chdir({str(folder)!r}); {code.get(job.name, '')}"]
        return subprocess.Popen(command, stdout=log, stderr=log), log

    monkeypatch.setattr(work, "_start", start)
    return started


def test_jobs_run_side_by_side_after_those_that_they_need(experiment: Experiment, monkeypatch):
    # a and b each wait for the other to have begun; c fails where a has not ended
    meet = "open('here', 'w'); [time.sleep(.01) for _ in range(3000) if not os.path.exists('../{}/here')]; {}"
    started = commands(
        monkeypatch,
        a=meet.format("b", "assert os.path.exists('../b/here'); open('end', 'w')"),
        b=meet.format("a", "assert os.path.exists('../a/here')"),
        c="open('../a/end')",
    )
    work.run_all([job("c", ("a",)), job("a"), job("b"), job("done")], {"done"}, experiment, 2, 1)
    assert started == ["a", "b", "c"]


def test_one_at_a_time(experiment: Experiment, monkeypatch):
    lonely = "assert not os.path.exists('../busy'); open('../busy', 'w'); time.sleep(.2); os.remove('../busy')"
    commands(monkeypatch, a=lonely, b=lonely, c=lonely)
    work.run_all([job("a"), job("b"), job("c")], set(), experiment, 1, 1)


def test_a_run_that_fails_ends_all_and_is_named(experiment: Experiment, monkeypatch):
    save = "import signal; signal.signal(signal.SIGTERM, lambda *_: (open('saved', 'w'), os._exit(143)))"
    started = commands(
        monkeypatch,
        a=f"{save}; open('ready', 'w'); time.sleep(60)",
        b="[time.sleep(.01) for _ in range(3000) if not os.path.exists('../a/ready')]; print('error: bad rows'); "
        "print('more'); sys.exit(2)",
    )
    with pytest.raises(InputError, match=r"run 'b' failed with status 2: bad rows \(all of it is in '.*b/log'\)"):
        work.run_all([job("a"), job("b"), job("c")], set(), experiment, 2, 1)
    assert started == ["a", "b"] and (Path(experiment.root) / "a" / "saved").exists(), "the one beside it was let save"
