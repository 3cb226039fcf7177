"""The command ``python -m tests.mutations``: breaks settings one by one, and lists what no test notices."""

import sys
import tempfile
import time
from pathlib import Path

import click

from tests.mutations.mutation import Mutation
from tests.mutations.run_tests import Outcome, copy_tree, preload, run_tests
from tests.mutations.table import MUTATIONS


@click.command()
@click.option("--only", multiple=True, metavar="KEY", help="A setting or section, such as train.patience; repeatable.")
@click.option("--list", "listed", is_flag=True, help="List the mutations; run nothing.")
def command(only: tuple[str, ...], listed: bool) -> None:
    """Break one setting after another in a copy of the tree, and run the tests that should notice.

    The exit status is 1 where a mutation is not noticed, 2 where tests fail without any.
    """
    chosen = [m for m in MUTATIONS if not only or any(m.concerns(key) for key in only)]
    if not chosen:
        raise click.UsageError(f"no mutation of {', '.join(only)}; --list shows them all")
    if listed:
        for m in chosen:
            print(f"{', '.join(m.settings)}: {m.file}: {m.text!r} -> {m.becomes!r}")
        return
    preload()
    with tempfile.TemporaryDirectory(prefix="mutations-") as folder:
        root = copy_tree(Path(folder))
        before = run_tests(root, sorted({test for m in chosen for test in m.tests}))
        if before.status != "passed":
            print(f"without any mutation: {before.status} {before.test}\n{before.said}", file=sys.stderr)
            raise SystemExit(2)
        missed = [m for m in chosen if _judged(root, m).status != "noticed"]
    print(f"{len(chosen)} mutations, {len(missed)} not noticed", flush=True)
    for m in missed:
        print(f"  {', '.join(m.settings)}: {m.file}: {m.text!r} -> {m.becomes!r}")
    raise SystemExit(bool(missed))


def _judged(root: Path, m: Mutation) -> Outcome:
    """Run the tests of one mutation, say what came of it, and put the file back."""
    path = root / m.file
    source, mutated, began = path.read_text(), m.applied(root), time.monotonic()
    path.write_text(mutated)
    try:
        outcome = run_tests(root, m.tests)
    finally:
        path.write_text(source)
    status = {"passed": "NOT NOTICED", "noticed": "noticed by"}.get(outcome.status, outcome.status)
    print(f"{time.monotonic() - began:5.0f} s  {', '.join(m.settings)}: {status} {outcome.test}", flush=True)
    if outcome.status not in ("passed", "noticed"):
        print(outcome.said, file=sys.stderr)
    return outcome


if __name__ == "__main__":
    command()
