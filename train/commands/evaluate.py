"""The evaluate command: a run's metrics on a split."""

from pathlib import Path

import click

from train.commands.parameter_types import INPUT, SPLIT


@click.command()
@click.argument("run", type=INPUT)
@click.option("--split", type=SPLIT, default="test", show_default=True, help="Split of the data folder.")
@click.option("--checkpoint", default="best", show_default=True, help="best, newest, or a folder of RUN/checkpoints.")
@click.argument("overrides", nargs=-1, metavar="[KEY.SUB=VALUE]...")
def command(run: str, split: str, checkpoint: str, overrides: tuple[str, ...]) -> None:
    """Evaluate RUN, a folder such as runs/shop, and write RUN/evaluation/SPLIT.json.

    Any number of ranks will do. Overrides change the run's config, such as data.path=other/folder.
    """
    from train.ctr.scoring import write_evaluation
    from train.ctr.trained_run import open_run, run_config
    from train.distributed.process_group import process_group
    from train.run.run_folder import RECORDS

    config = run_config(run, overrides)
    with process_group(config.process, Path(config.run_folder, RECORDS)) as ranks:
        opened = open_run(config, split, checkpoint, ranks)
        write_evaluation(config, opened.schema, opened.model, opened.reader, ranks, opened.epoch)
