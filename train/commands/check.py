"""The check command: a config and its schema, without importing torch."""

import click

from embeddings.files.yaml_file import to_yaml
from recsys.schema import Schema, load_schema
from train.commands.parameter_types import INPUT
from train.config_docs import describe
from train.ctr.config import Config, check_names, check_sharding, load_config


@click.command()
@click.option("--config", "path", type=INPUT, help="YAML file; the shipped ones are in configs/.")
@click.option(
    "--describe", "what", type=click.Choice(["config", "schema"]), help="Print every setting there is, and stop."
)
@click.option("--schema/--no-schema", default=True, help="Check the data set's schema too.")
@click.argument("overrides", nargs=-1, metavar="[KEY.SUB=VALUE]...")
def command(path: str | None, what: str | None, schema: bool, overrides: tuple[str, ...]) -> None:
    """Check a config, print it resolved."""
    if what:
        settings, fields = describe(Config, "Settings of a run"), describe(Schema, "Fields of schema.yaml")
        click.echo(settings if what == "config" else fields)
        return
    if path is None:
        raise click.UsageError("--config is missing; the shipped ones are in configs/")
    config = load_config(path, overrides)
    if schema:
        of_data = load_schema(config.data.path)
        check_names(config, of_data)
        check_sharding(config, of_data)
    click.echo(to_yaml(config.model_dump()))
