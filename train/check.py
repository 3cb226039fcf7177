"""The check verb: a config and its schema, without importing torch."""

import click
from omegaconf import OmegaConf

from recsys.schema import load_schema
from train.config import load_config


@click.command()
@click.option("--config", "path", required=True, help="YAML file; the shipped ones are in configs/.")
@click.option("--schema/--no-schema", default=True, help="Check the data set's schema too.")
@click.argument("overrides", nargs=-1, metavar="[KEY.SUB=VALUE]...")
def command(path: str, schema: bool, overrides: tuple[str, ...]) -> None:
    """Check a config, print it resolved."""
    config = load_config(path, overrides)
    if schema:
        load_schema(config.data.path)
    click.echo(OmegaConf.to_yaml(OmegaConf.create(config.model_dump())))
