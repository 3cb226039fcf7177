"""The ctr command: train a CTR model."""

from pathlib import Path

import click

from train.commands.parameter_types import INPUT
from train.ctr.config import load_config


@click.command()
@click.option("--config", "path", type=INPUT, required=True, help="YAML file; the shipped ones are in configs/.")
@click.option("--plan", type=INPUT, help="plan.json of python -m embeddings.plan; the same as sharding.plan=FILE.")
@click.argument("overrides", nargs=-1, metavar="[KEY.SUB=VALUE]...")
def command(path: str, plan: str | None, overrides: tuple[str, ...]) -> None:
    """Train a CTR model, choose its epoch on validation, report it on test.

    One process: python -m train ctr --config configs/shop.yaml train.epochs=2

    Two ranks: torchx run -s local_cwd dist.ddp -j 1x2 -m train -- ctr --config configs/shop.yaml
    """
    config = load_config(path, (*overrides, *([f"sharding.plan={plan}"] if plan else [])))

    from train.ctr.task import train_ctr
    from train.ctr.zch_check import refuse_zch
    from train.distributed.process_group import process_group
    from train.run.run_folder import RECORDS

    refuse_zch(config)
    with process_group(config.process, Path(config.run_folder, RECORDS)) as ranks:
        train_ctr(config, ranks)
