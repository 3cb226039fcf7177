"""Golden losses from the command line: python -m tests.golden --check, or --write after a change that is meant."""

import sys
import tempfile
import time
from pathlib import Path

import click

from tests.conftest import ROOT
from tests.golden.cases import BY_NAME, CASES, Runs
from tests.golden.record import deviation, differences, machine, read, write


@click.command()
@click.argument("names", nargs=-1, metavar="[CASE]...", type=click.Choice(list(BY_NAME)))
@click.option("--write/--check", "writing", default=False, help="Store what is computed, or compare with it.")
@click.option("--ranks", "worlds", multiple=True, type=click.IntRange(1, 2), default=[1, 2], help="Default: 1 and 2.")
@click.option("--threads", default=1, show_default=True, help="Of each rank. Files are written with 1.")
@click.option("--shared-data", envvar="TIERWISE_DATA", default=str(ROOT.parent / "shared" / "data"), show_default=True,
              help="Folder of the public data sets.")  # fmt: skip
def main(names: tuple[str, ...], writing: bool, worlds: tuple[int, ...], threads: int, shared_data: str) -> None:
    """Run the golden cases (default: all), and compare their losses with what is stored, or store them.

    A case is stored from the second of two runs, with whether they gave the same bits. Environment variables that
    change how numbers are computed, such as TIERWISE_ISA=portable, reach the runs: --check shows what they change.
    """
    click.echo(str(machine()))
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        runs = Runs(Path(folder), Path(shared_data), threads)
        for name in names or [case.name for case in CASES]:
            for ranks in sorted(worlds):
                case, began = BY_NAME[name], time.monotonic()
                curves = runs.curves(case, ranks)
                if writing:
                    golden, curves = curves, runs.curves(case, ranks, afresh=True)
                    same = deviation(curves, golden) == (0, 0)
                    write(case, ranks, curves, deterministic=same)
                    wrong = []
                else:
                    golden, same = read(case, ranks)
                    wrong = differences(case, curves, golden, same)
                loss, metric = deviation(curves, golden)
                took = time.monotonic() - began
                words = ("deterministic", "not deterministic") if writing else ("bit for bit", "within the tolerance")
                click.echo(
                    f"{name:<18} {ranks} ranks  loss {loss:.2e}  metric {metric:.2e}  {words[not same]}  {took:.0f} s"
                )
                for line in wrong:
                    click.echo(f"    {line}")
                failed = failed or bool(wrong)
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
