"""The export command: a run's checkpoint as a version of a model that is served elsewhere."""

import click

from embeddings.command_line import named_values
from train.commands.parameter_types import INPUT, OUTPUT_PLACE

DTYPES = click.Choice(("float32", "float16", "int8"))


@click.command()
@click.argument("run", type=INPUT)
@click.option("--out", type=OUTPUT_PLACE, required=True, help="Folder of the model, to which a version is added.")
@click.option("--checkpoint", default="best", show_default=True, help="best, newest, or a folder of RUN/checkpoints.")
@click.option("--dtype", type=DTYPES, default="float32", show_default=True, help="Of the ID tables.")
@click.option("--table", "tables", multiple=True, metavar="NAME=DTYPE", help="Of one table; may be given again.")
@click.option(
    "--keep", type=click.IntRange(1, 10_000), default=3, show_default=True, help="Versions that stay, the newest."
)
@click.argument("overrides", nargs=-1, metavar="[KEY.SUB=VALUE]...")
def command(
    run: str, out: str, checkpoint: str, dtype: str, tables: tuple[str, ...], keep: int, overrides: tuple[str, ...]
) -> None:
    """Export RUN, a folder such as runs/shop, as the next version of the model in --out, and make it current.

    A version holds the schema, the architecture's parameters and the ID tables, with checksums. Frozen vectors stay in
    their stores, which it names. python -m serve score and python -m train predict --model take it. Overrides change
    the run's config, such as data.path where its data has moved.
    """
    from train.ctr.trained_run import run_config
    from train.export.export_run import export_run

    dtypes = named_values("--table", tables, DTYPES)
    click.echo(export_run(run_config(run, overrides), checkpoint, out, dtypes, dtype, keep))
