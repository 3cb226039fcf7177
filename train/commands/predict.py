"""The predict command: a run's scores of a split as parquet."""

from contextlib import ExitStack
from pathlib import Path

import click

from train.commands.parameter_types import INPUT, OUTPUT_FOLDER, SPLIT


@click.command()
@click.argument("run", type=INPUT)
@click.option("--out", type=OUTPUT_FOLDER, required=True, help="Folder for part-<rank>.parquet; must not exist.")
@click.option("--split", type=SPLIT, default="test", show_default=True, help="Split of the data folder.")
@click.option("--checkpoint", default="best", show_default=True, help="best, newest, or a folder of RUN/checkpoints.")
@click.option("--labels/--no-labels", default=False, help="Read the label column and copy it.")
@click.argument("overrides", nargs=-1, metavar="[KEY.SUB=VALUE]...")
def command(run: str, out: str, split: str, checkpoint: str, labels: bool, overrides: tuple[str, ...]) -> None:
    """Score a split with RUN, a folder such as runs/shop.

    Writes columns user, target, score (a probability), the timestamp where there is one, and with --labels the label,
    in the order of the split's rows: rank after rank.
    """
    from train.ctr.trained_run import open_run, run_config
    from train.ctr.write_predictions import claimed_output, write_predictions
    from train.distributed.process_group import process_group
    from train.distributed.ranks import on_first
    from train.run.run_folder import RECORDS

    config = run_config(run, overrides)
    with process_group(config.process, Path(config.run_folder, RECORDS)) as ranks, ExitStack() as held:
        on_first(ranks, lambda: held.enter_context(claimed_output(Path(out))))
        opened = open_run(config, split, checkpoint, ranks, with_labels=labels, in_order=True)
        written = write_predictions(opened, ranks, Path(out), labels)
        if ranks.first:
            left = opened.reader.num_rows - written
            without = f"; {left:,} rows could not be read and have none" if left else ""
            click.echo(f"wrote {written:,} scores to {out}{without}")
