"""Kills by the hundred: python -m tests.faults.kill_trial --kills 100 --seed 1.

Runs of ctr, make and scl on one rank and on two are killed with SIGKILL, while they train and while they save, and
started again with run.resume=auto: the process, a rank, all ranks, the launcher alone, or it with its ranks. At last
every number is the undisturbed run's, and nothing is left over: no half-written checkpoint, no temporary file.
"""

import argparse
import contextlib
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from tests.faults.strikes import Ended, figures, launched, said_by, strike_time, whole_and_clean, write_config
from tests.train import tiny
from tests.train.launch import Done, ranks_of, start
from tests.train.scl.tiny import make_pairs
from tests.train.scl.tiny import write_config as write_scl_config

ONE, TWO = ("process",), ("one rank", "all ranks", "launcher", "launcher and ranks")
IN_USE = "is being written by"  # what a start says that meets the ranks of a dead launcher


@dataclass(frozen=True)
class Subject:
    """What is struck: a command with its settings, on so many ranks; ``share`` of the kills is meant for it."""

    name: str
    command: str
    ranks: int
    share: float
    settings: Sequence[str] = ()
    ways: Sequence[str] = TWO  # of killing; of one rank there is one


SUBJECTS = [
    Subject("ctr on one rank", "ctr", 1, 0.3, ["data.batch_size=32", "train.epochs=20"]),
    Subject("ctr on two ranks", "ctr", 2, 0.4, ["train.epochs=16"]),
    Subject("make on one rank", "make", 1, 0.1, ["data.batch_size=32", "train.epochs=8"]),
    Subject("scl on one rank", "scl", 1, 0.1, ["train.epochs=24"]),
    Subject("scl on two ranks", "scl", 2, 0.1, ["data.batch_size=4", "train.epochs=24"]),
]


@dataclass
class Tally:
    """What happened to a subject."""

    name: str
    kills: Counter = field(default_factory=Counter)
    while_saving: int = 0
    refused: int = 0
    runs: int = 0
    orphans_s: float = 0.0  # longest that ranks outlived their launcher
    faults: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        kinds = ", ".join(f"{how} {count}" for how, count in sorted(self.kills.items()))
        return (
            f"{self.name}: {self.kills.total()} kills ({kinds}), {self.while_saving} while saving, {self.runs} runs, "
            f"{self.refused} starts refused, ranks outlived a launcher by at most {self.orphans_s:.1f} s\n"
        ) + ("\n".join(f"  FAULT {fault}" for fault in self.faults) or "  all figures equal, nothing left over")


class Trial:
    """One subject in a folder of its own."""

    def __init__(self, subject: Subject, folder: Path, seed: int) -> None:
        self.subject, self.folder = subject, folder
        self._rng = random.Random(f"{seed}/{subject.name}")
        self._temporary = folder / "tmp"
        self._temporary.mkdir(parents=True)
        if subject.command == "scl":
            self._config = write_scl_config(folder, make_pairs(folder / "data"))
            self._settings = [*subject.settings, "run.resume=auto", "train.checkpoint_every=2"]
        else:
            self._config = write_config(folder, tiny.make_data(folder / "data", train_rows=768))
            self._settings = list(subject.settings)
        self.tally = Tally(subject.name)

    def start(self, name: str) -> subprocess.Popen:
        settings, temporary = [*self._settings, f"run.name={name}"], {"TMPDIR": self._temporary}
        if self.subject.ranks == 1:
            return start(self.subject.command, "--config", self._config, *settings, **temporary)
        return launched(self._config, *settings, command=self.subject.command, **temporary)

    def to_end(self, name: str) -> Done:
        """Start the run, or go on with it, and wait for its end; ranks that outlived their launcher are waited for."""
        until = time.monotonic() + 90
        while True:
            process = self.start(name)
            try:
                out, err = process.communicate(timeout=300)
            except subprocess.TimeoutExpired:
                process.kill()
                out, err = process.communicate()
                err += "\nit did not end within 300 s"
            done = Done(process.returncode, out, err + self._said())
            if done.status == 0 or IN_USE not in done.err or time.monotonic() > until:
                return done
            self.tally.refused += 1
            time.sleep(1)

    def _said(self) -> str:
        said = "".join(path.read_text() for path in said_by(self._config))
        shutil.rmtree(self._config.parent / "logs", ignore_errors=True)
        return said

    def run(self, kills: int) -> None:
        """Strike ``kills`` times, on as many runs as it takes, and compare each of them with the undisturbed one."""
        done = self.to_end("whole")
        if done.status:
            self.tally.faults.append(f"the undisturbed run: status {done.status}: {done.err[-2000:]}")
            return
        self._usual = self._temporary_files()  # caches of libraries
        struck = 0
        while struck < kills and not self.tally.faults:
            self.tally.runs += 1
            name = f"run-{self.tally.runs}"
            struck += self._strike_often(name, kills - struck)
            done = self.to_end(name)
            if done.status:
                self.tally.faults.append(f"{name} does not end: status {done.status}: {done.err[-2000:]}")
            else:
                self._compare(name)

    def _strike_often(self, name: str, most: int) -> int:
        """Strike one run until it ends before it is struck, or ``most`` times; how often."""
        run = self._folder(name)
        for n in range(most):
            process = self.start(name)
            saving = self._rng.random() < 0.5
            try:
                strike_time(run, process, self._rng, saving, most_steps=8)
                ranks = self._ranks(process)
            except Ended:
                _, err = process.communicate()
                said = err + self._said()
                if process.returncode == 2 and IN_USE in said:  # ranks of a dead launcher still hold the run
                    self.tally.refused += 1
                    time.sleep(1)
                    continue
                if process.returncode:
                    self.tally.faults.append(f"{name} ended with {process.returncode} unasked: {said[-2000:]}")
                return n
            except AssertionError as error:
                self.tally.faults.append(f"{name}: {error}; {self._said()[-2000:]}")
                process.kill()
                return n
            how = self._rng.choice(ONE if self.subject.ranks == 1 else self.subject.ways)
            self._kill(process, how, ranks)
            self.tally.kills[how] += 1
            self.tally.while_saving += saving
        return most

    def _ranks(self, process: subprocess.Popen) -> list[int]:
        """The ranks of a launcher; none where there is none."""
        try:
            return ranks_of(process) if self.subject.ranks == 2 else []
        except (KeyError, OSError):  # they have ended, and their launcher is about to
            process.wait(120)
            raise Ended from None

    def _kill(self, process: subprocess.Popen, how: str, ranks: list[int]) -> None:
        """Kill, wait until the launcher has ended, and until ranks have that lost it."""
        victims = {
            "process": [process.pid],
            "one rank": [self._rng.choice(ranks)] if ranks else [],
            "all ranks": ranks,
            "launcher": [process.pid],
            "launcher and ranks": [process.pid, *ranks],
        }[how]
        for pid in victims:
            with contextlib.suppress(ProcessLookupError):  # it has just ended by itself
                os.kill(pid, signal.SIGKILL)
        process.communicate(timeout=120)
        if how == "launcher" and self._rng.random() < 0.5:  # else the next start meets them
            self._await_orphans(ranks)

    def _await_orphans(self, ranks: Sequence[int]) -> None:
        began = time.monotonic()
        while any(Path(f"/proc/{pid}").exists() for pid in ranks):
            if time.monotonic() - began > 60:
                self.tally.faults.append(f"ranks {ranks} outlive their launcher by more than 60 s")
                for pid in ranks:
                    os.kill(pid, signal.SIGKILL)
                return
            time.sleep(0.05)
        self.tally.orphans_s = max(self.tally.orphans_s, time.monotonic() - began)

    def _folder(self, name: str) -> Path:
        return self.folder / "runs" / (f"{name}/text" if self.subject.command == "make" else name)

    def _temporary_files(self) -> set[str]:
        return {str(p.relative_to(self._temporary)) for p in self._temporary.iterdir()}

    def _compare(self, name: str) -> None:
        run, whole = self._folder(name), self._folder("whole")
        if figures(run) != figures(whole):
            self.tally.faults.append(f"{name} has other figures than the undisturbed run")
        try:
            whole_and_clean(run)
        except AssertionError as error:
            self.tally.faults.append(f"{name} is not clean: {error}")
        left = sorted(self._temporary_files() - self._usual)
        half = sorted(
            str(p.relative_to(run)) for p in run.rglob("*") if p.name.startswith(".") and p.name != ".metadata"
        )
        if left or half:
            self.tally.faults.append(f"{name} left {left[:5]} in TMPDIR, {half[:5]} in its folder")


def trial(kills: int, seed: int, folder: Path, subjects: Sequence[Subject] = SUBJECTS, lanes: int = 2) -> list[Tally]:
    """Strike the subjects ``kills`` times in all, ``lanes`` of them at once."""
    numbers = [round(subject.share * kills) for subject in subjects]
    numbers[0] += kills - sum(numbers)
    trials = [Trial(subject, folder / str(n), seed) for n, subject in enumerate(subjects)]

    def struck(one: Trial, times: int) -> Tally:
        try:
            one.run(times)
        except Exception:  # of the trial itself; the other subjects go on
            one.tally.faults.append(traceback.format_exc())
        print(one.tally, flush=True)
        return one.tally

    with ThreadPoolExecutor(lanes) as pool:
        return list(pool.map(struck, trials, numbers))


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=100)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--lanes", type=int, default=2, help="runs at once")
    parser.add_argument("--only", help="subjects whose name has this")
    given = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    subjects = [subject for subject in SUBJECTS if not given.only or given.only in subject.name]
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="kills-") as folder:
        tallies = trial(given.kills, given.seed, Path(folder), subjects, given.lanes)
    total = sum(tally.kills.total() for tally in tallies)
    print(
        f"{total} kills in {(time.monotonic() - began) / 60:.1f} minutes, {sum(len(t.faults) for t in tallies)} faults"
    )
    return int(any(tally.faults for tally in tallies) or total < given.kills)


if __name__ == "__main__":
    sys.exit(main())
