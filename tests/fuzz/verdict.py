"""What is wrong with how a command took its input: traceback, undocumented status, time, memory, something that ran."""

import re
from pathlib import Path

from tests.fuzz.case import Case
from tests.fuzz.fork_server import BYTES, SECONDS, Outcome
from tests.fuzz.mutate.payloads import MARKERS

DOCUMENTED = {0, 2}  # of one process that nobody signals
LONGEST_LINE, MOST_LINES = 2_200, 80
_CPP = re.compile(
    r"frame #\d+|Exception raised from|terminate called|Fatal Python error|C\+\+ CapturedTraceback|Aborted"
)
_RAISED = re.compile(r"^[A-Za-z_][\w.]*(Error|Exception|Exit|Warning|Interrupt|Stop\w*)(:|$)")
_ERROR = re.compile(r"^(\[rank \d+\] )?(error|Error|Usage): ", re.M)


def wrong(case: Case, outcomes: list[Outcome], folder: Path) -> list[str]:
    """Every fault of what the commands of a case did, worst first; the first word names its kind."""
    faults = [f"executed: {p.name}" for p in sorted((folder / MARKERS).iterdir())]
    for done in outcomes:
        for line in dict.fromkeys(done.noted.splitlines()):
            kind = line.strip("'\"").partition(":")[0]
            if kind != "wrote outside" or not case.anywhere:
                faults.append(f"{kind}: {line}")
        faults += _of_one(done)
    last = outcomes[-1]
    excused = case.unless is not None and case.unless in last.err
    if case.refused and not excused and last.status == 0 and not last.stopped and len(outcomes) == len(case.commands):
        faults.append(f"accepted: {case.refused}")
    if any(done.stopped for done in outcomes):  # what was killed may leave that
        return faults
    return faults + [f"litter: {name}" for name in litter(folder)]


def _of_one(done: Outcome) -> list[str]:
    text = f"{done.err}\n{done.out}"
    if done.stopped == "time":
        return [f"hang: more than {SECONDS:g} s"]
    if done.stopped == "memory" or done.peak > BYTES:
        return [f"memory: {done.peak / 2**30:.1f} GiB"]
    if "Traceback (most recent call last)" in text:
        return [f"traceback: {last_line(done.err)}"]
    if done.status not in DOCUMENTED:
        return [f"status {done.status}: {last_line(done.err)}"]
    faults = []
    if _CPP.search(text):
        faults.append(f"c++: {last_line(done.err)}")
    if done.status == 2 and not _ERROR.search(done.err):
        faults.append(f"wordless: {last_line(done.err)}")
    lines = done.err.splitlines()
    if max(map(len, lines), default=0) > LONGEST_LINE or len(lines) > MOST_LINES:
        faults.append(f"long: {len(lines)} lines, the longest of {max(map(len, lines))} characters")
    return faults


def last_line(text: str) -> str:
    """The last line that says something, at most 200 characters of it."""
    return next((line for line in reversed(text.splitlines()) if line.strip()), "")[:200]


def litter(folder: Path) -> list[str]:
    """What is half-written: names that the atomic writers give until a file or folder is whole.

    What encode has done stays in .NAME.parts, for the same command to go on with.
    """
    known = {".metadata", ".out.parts"}
    return sorted(
        str(p.relative_to(folder))
        for p in folder.rglob("*")
        if (p.name.startswith(".") and p.name not in known) or p.name.endswith((".tmp", ".writing"))
    )[:3]


def cause(done: Outcome) -> str:
    """Where a traceback ends: the deepest line of ours, and the class of the exception; empty where there is none."""
    if "Traceback (most recent call last)" not in done.err:
        return ""
    ours = re.findall(r'File "[^"]*?/((?:embeddings|recsys|serve|train)/[^"]+)", line (\d+), in (\S+)', done.err)
    raised = [line for line in done.err.splitlines() if _RAISED.match(line)]
    name = raised[-1].partition(":")[0] if raised else last_line(done.err)[:80]
    return f"{name} at {':'.join(ours[-1][:2])} {ours[-1][2]}" if ours else f"{name} outside our code"
