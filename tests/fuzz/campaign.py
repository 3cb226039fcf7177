"""Many cases over several fork servers: each takes every n-th case of every format, and writes a row for each."""

import json
import os
import shutil
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.fuzz import fork_server, verdict
from tests.fuzz.case import Case, generator
from tests.fuzz.corpus import make_corpus
from tests.fuzz.formats import FORMATS
from tests.fuzz.mutate.payloads import MARKERS


@dataclass(frozen=True)
class Campaign:
    """What is run: ``cases`` over all formats ``names``, no new one after ``minutes``."""

    seed: int
    cases: int
    minutes: float
    workers: int
    names: Sequence[str]
    keep: Path | None = None

    def numbers(self) -> Iterator[tuple[str, int]]:
        """(format, case) in the order in which they are run: formats take turns."""
        each, rest = divmod(self.cases, len(self.names))
        for number in range(each + bool(rest)):
            yield from ((name, number) for name in (self.names if number < each else self.names[:rest]))


@dataclass(frozen=True)
class Row:
    """What became of one case."""

    format: str
    case: int
    statuses: list[int]
    seconds: float
    peak: int
    faults: list[str]
    cause: str = ""


def run_case(corpus: Path, work: Path, seed: int, name: str, number: int) -> tuple[Row, Case | None, list[Any]]:
    """Make one case below ``work``, run its commands, and judge them."""
    folder = work / "case"
    shutil.rmtree(folder, ignore_errors=True)
    form = FORMATS[name]
    for needed in form.needs:
        _copy(corpus / needed, folder / needed)
    (folder / MARKERS).mkdir()
    (folder / fork_server.TEMPORARY).mkdir()
    rng, plan = generator(seed, name, number), folder.parent / "case.json"
    plan.unlink(missing_ok=True)

    def mutate() -> int:
        case = form.make(folder, rng)
        plan.write_text(json.dumps(asdict(case), default=str))
        return 0

    made = fork_server.run(mutate, folder, watched=False)
    if not plan.is_file():
        return (
            Row(name, number, [], made.seconds, 0, [f"mutator: {verdict.last_line(made.err)}"], made.err),
            None,
            [made],
        )
    case = Case(**json.loads(plan.read_text()))
    outcomes: list[fork_server.Outcome] = []
    for command in case.commands:
        outcomes.append(fork_server.run(fork_server.command(command), folder))
        if outcomes[-1].stopped == "time":  # once more, for the machine may have been busy
            outcomes[-1] = fork_server.run(fork_server.command(command), folder)
        if outcomes[-1].status != 0:
            break
    faults = verdict.wrong(case, outcomes, folder)
    row = Row(name, number, [done.status for done in outcomes], max(done.seconds for done in outcomes),
              max(done.peak for done in outcomes), faults, verdict.cause(outcomes[-1]) if faults else "")  # fmt: skip
    return row, case, outcomes


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target)
    elif source.is_file():
        shutil.copy(source, target)


def _set_up(folder: Path) -> Path:
    """Everything imported, and the corpus made; where it is."""
    fork_server.import_everything()
    corpus = folder / "corpus"
    make_corpus(corpus)
    return corpus


def run_campaign(campaign: Campaign, folder: Path) -> list[Row]:
    """All cases over fork servers of this process's; the rows that they wrote."""
    until = time.monotonic() + campaign.minutes * 60
    corpus = _set_up(folder)
    servers = [_start(campaign, corpus, folder, n, until) for n in range(campaign.workers)]
    for pid in servers:
        os.waitpid(pid, 0)
    rows = [Row(**json.loads(line)) for p in sorted(folder.glob("rows-*")) for line in p.read_text().splitlines()]
    return sorted(rows, key=lambda row: (campaign.names.index(row.format), row.case))


def _start(campaign: Campaign, corpus: Path, folder: Path, worker: int, until: float) -> int:
    pid = os.fork()
    if pid:
        return pid
    try:
        work = folder / f"worker-{worker}"
        work.mkdir()
        with open(folder / f"rows-{worker}", "w") as out:
            for n, (name, number) in enumerate(campaign.numbers()):
                if n % campaign.workers == worker and time.monotonic() < until:
                    row, _, outcomes = run_case(corpus, work, campaign.seed, name, number)
                    print(json.dumps(asdict(row)), file=out, flush=True)
                    if row.faults:
                        _report(campaign, row, outcomes, work)
    except BaseException as error:
        print(f"fuzz worker {worker} failed: {error!r}", file=sys.stderr, flush=True)
        os._exit(1)
    os._exit(0)


def _report(campaign: Campaign, row: Row, outcomes: list[Any], work: Path) -> None:
    again = f"python -m tests.fuzz --seed {campaign.seed} --format {row.format} --case {row.case}"
    print(f"{row.format} {row.case}: {row.faults[0]} | {row.cause} | {again}", flush=True)
    if campaign.keep is not None:
        kept = campaign.keep / f"{row.format}-{campaign.seed}-{row.case}"
        shutil.rmtree(kept, ignore_errors=True)
        shutil.copytree(
            work / "case",
            kept,
            symlinks=True,
            ignore=lambda d, names: [
                n for n in names if os.path.islink(os.path.join(d, n)) or os.path.getsize(os.path.join(d, n)) > 1 << 26
            ],
        )
        (kept / "said.txt").write_text("\n".join(f"{done.out}\n{done.err}\n{done.noted}" for done in outcomes))


def one_case(folder: Path, seed: int, name: str, number: int, keep: Path | None) -> int:
    """Run one case, print what it did; 1 where something is wrong with it."""
    corpus = _set_up(folder)
    work = folder / "worker"
    work.mkdir()
    row, case, outcomes = run_case(corpus, work, seed, name, number)
    for command, done in zip(case.commands if case else [], outcomes, strict=False):
        print(f"$ python -m train {' '.join(map(repr, command))[:2000]}\n{done.out[-6000:]}{done.err[-6000:]}")
        print(f"-> status {done.status}, {done.seconds:.1f} s, {done.peak / 2**20:.0f} MiB {done.stopped} {done.noted}")
    if case is None:
        print(outcomes[0].err)
    print("\n".join(row.faults) or "nothing wrong")
    if keep is not None:
        shutil.rmtree(keep, ignore_errors=True)
        shutil.copytree(work / "case", keep, symlinks=True)
    return int(bool(row.faults))
