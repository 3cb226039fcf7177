"""The scl command: train encoders by contrastive learning."""

from pathlib import Path

import click

from train.commands.parameter_types import INPUT
from train.config import load_settings
from train.scl.config import SCLConfig


@click.command()
@click.option("--config", "path", type=INPUT, required=True, help="YAML file; the shipped one is configs/grocery.yaml.")
@click.argument("overrides", nargs=-1, metavar="[KEY.SUB=VALUE]...")
def command(path: str, overrides: tuple[str, ...]) -> None:
    """Train encoders on pairs, choose the epoch by Acc@1 on validation; the best is RUN/encoder.

    One process: python -m train scl --config configs/grocery.yaml train.epochs=2

    Two ranks: torchx run -s local_cwd dist.ddp -j 1x2 -m train -- scl --config configs/grocery.yaml
    """
    config = load_settings(SCLConfig, path, overrides)

    from train.distributed.process_group import process_group
    from train.run.run_folder import RECORDS
    from train.scl.task import train_scl

    with process_group(config.process, Path(config.run_folder, RECORDS)) as ranks:
        train_scl(config, ranks)
