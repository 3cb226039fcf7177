"""Runs training jobs side by side: those that are done are left alone, those that were interrupted go on."""

import json
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TextIO

from benchmarks.paper.experiments import Experiment, Job
from embeddings.errors import InputError
from recsys.models.arch_config import make_alone
from train.config import load_settings
from train.ctr.config import Config
from train.report.run_identity import WITHOUT_EFFECT
from train.run.run_folder import LOGS
from train.scl.config import SCLConfig

_WITHOUT_EFFECT = tuple(WITHOUT_EFFECT.keys() - {"train.seed"})
Running = tuple[Job, "subprocess.Popen[bytes]", TextIO]  # with its process and its log
_WAIT_S = 60.0  # for children to save after SIGTERM


def folders(job: Job, experiment: Experiment, modalities: Sequence[str]) -> list[Path]:
    """The run folders that a job leaves: make trains one MAKE a modality."""
    top = Path(experiment.root) / job.name
    return [top / m for m in modalities] if job.command == "make" else [top]


def is_done(job: Job, experiment: Experiment, modalities: Sequence[str], stores: dict[str, str]) -> bool:
    """Whether all runs of ``job`` are done.

    Args:
        stores: modality -> checksum of its vectors now.

    Raises InputError for a run, done or begun, that was made with other settings or other vectors.
    """
    begun = [folder for folder in folders(job, experiment, modalities) if (folder / "run.json").is_file()]
    for folder in begun:
        if difference := _difference(job, experiment, folder, stores):
            remedy = "remove that folder, or choose another --root"
            raise InputError(f"run '{folder}' was made with other settings: {difference}; {remedy}")
    states = [json.loads((folder / "run.json").read_text())["status"] for folder in begun]
    return len(begun) == len(folders(job, experiment, modalities)) and all(state == "done" for state in states)


def refuse_outlived(wanted: Sequence[Job], done: set[str], experiment: Experiment) -> None:
    """Raises InputError for a run that is done although one that it began with is not: it had other weights."""
    for job in wanted:
        missing = sorted(set(job.needs) - done)
        if job.name in done and missing:
            raise InputError(
                f"run '{Path(experiment.root) / job.name}' began with '{missing[0]}', which is to be trained anew; "
                f"remove that folder too, or choose another --root"
            )


def _difference(job: Job, experiment: Experiment, folder: Path, stores: dict[str, str]) -> str | None:
    """The first setting or store in which the run in ``folder`` differs from what ``job`` wants, in words, or None."""
    settings = SCLConfig if job.command == "scl" else Config
    section = "make" if job.command == "make" else ""
    config = load_settings(settings, experiment.config, job.settings, section)
    if job.command == "make":
        assert isinstance(config, Config)
        config = config.model_copy(update={"model": make_alone(config.model, folder.name)})
    wanted = _flat(config.model_dump())
    try:
        had = _flat(load_settings(settings, str(folder / "config.yaml")).model_dump())
    except InputError as error:  # of a time when there were other settings
        return str(error)
    for key, value in wanted.items():
        if not any(key == k or key.startswith(f"{k}.") for k in _WITHOUT_EFFECT) and had.get(key) != value:
            return f"{key} is {had.get(key)}, wanted {value}"
    for name, checksum in json.loads((folder / "run.json").read_text()).get("stores", {}).items():
        if stores.get(name) != checksum:
            return f"the vectors of modality '{name}' have changed since"
    return None


def _flat(config: dict[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in config.items():
        flat |= _flat(value, f"{prefix}{key}.") if isinstance(value, dict) else {f"{prefix}{key}": value}
    return flat


def run_all(wanted: Sequence[Job], done: set[str], experiment: Experiment, at_once: int, threads: int) -> None:
    """Run every job of ``wanted`` that is not in ``done``, ``at_once`` at a time, a job after those that it needs.

    Raises InputError where one fails, after those beside it have saved and stopped.
    """
    waiting = [job for job in wanted if job.name not in done]
    running: dict[str, Running] = {}
    finished, total = set(done), len(waiting)
    try:
        while waiting or running:
            for job in [j for j in waiting if set(j.needs) <= finished][: at_once - len(running)]:
                waiting.remove(job)
                running[job.name] = (job, *_start(job, experiment, threads))
                print(f"[{total - len(waiting)}/{total}] {job.command} {job.name}", flush=True)
            assert running, "jobs wait for jobs that nobody runs"
            time.sleep(0.1)
            for name, (job, process, log) in list(running.items()):
                if process.poll() is None:
                    continue
                log.close()
                del running[name]
                if process.returncode:
                    raise InputError(f"run '{job.name}' failed with status {process.returncode}: {_last(log.name)}")
                finished.add(name)
    finally:
        _stop(running.values())


def _start(job: Job, experiment: Experiment, threads: int) -> tuple[subprocess.Popen[bytes], TextIO]:
    logs = Path(experiment.root) / job.name / LOGS
    logs.mkdir(parents=True, exist_ok=True)
    log = open(logs / "output.txt", "a")
    command = [sys.executable, "-m", "train", job.command, "--config", experiment.config, *job.settings]
    command += [f"process.threads={threads}", "run.resume=auto"]
    return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT), log


def _last(path: str) -> str:
    """The last error in a log, or its last line, and where the rest is."""
    lines = [line for line in Path(path).read_text(errors="replace").splitlines() if line.strip()]
    said = [line for line in lines[-20:] if "error" in line.lower()] or lines or ["it said nothing"]
    return f"{said[-1].removeprefix('error: ')} (all of it is in '{path}')"


def _stop(running: Iterable[Running]) -> None:
    """Let children that are still there save, as they do on SIGTERM, and wait for them."""
    for _, process, _ in running:
        process.terminate()
    until = time.monotonic() + _WAIT_S
    for _, process, log in running:
        try:
            process.wait(max(0.0, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        log.close()
