"""The report command: compares runs in a table and an HTML page."""

from pathlib import Path

import click

from train.commands.parameter_types import INPUT, OUTPUT_FILE, OUTPUT_PLACE, SPLIT


@click.command()
@click.argument("runs", type=INPUT, nargs=-1, required=True, metavar="RUN...")
@click.option("--split", type=SPLIT, default="test", show_default=True, help="Split whose evaluation is reported.")
@click.option(
    "--out",
    type=OUTPUT_PLACE,
    help="Folder for report.html; without it the run's own, or the one that holds all the runs.",
)
@click.option("--markdown", type=OUTPUT_FILE, help="File for the table alone.")
def command(runs: tuple[str, ...], split: str, out: str | None, markdown: str | None) -> None:
    """Compare runs: print a table, write an HTML report with plots.

    RUN is a run's folder, such as runs/shop. Runs that differ in nothing that a result depends on but their seed share
    a row: mean and standard deviation.
    """
    from embeddings.errors import InputError
    from train.report.comparison import compare
    from train.report.html_page import PAGE_NAME, write_page, write_text
    from train.report.run_reader import read_run
    from train.report.tables import as_markdown, as_text, summary_table

    typed = dict.fromkeys(str(Path(run)) for run in runs)  # each once, whatever slashes it was typed with
    paths = [path for path in typed if Path(path).name != PAGE_NAME]  # an earlier report that RUN/* has matched
    if not paths:
        raise InputError(f"no run among {', '.join(runs)}; give run folders, such as runs/shop")
    comparison = compare([read_run(path, split) for path in paths], split)
    click.echo(as_text(comparison))
    if markdown:
        write_text(Path(markdown), as_markdown(summary_table(comparison)))
    click.echo(f"report: {write_page(comparison, out)}")
