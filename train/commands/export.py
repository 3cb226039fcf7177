"""The export command: a run's checkpoint as a version of a model that is served elsewhere."""

import click
from click.core import ParameterSource

from embeddings.command_line import named_values
from embeddings.errors import InputError
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

    Of a run of scl it is the encoder, which python -m serve encode and python -m train encode take; of the options,
    --out and --keep are about it.
    """
    from recsys.scl.encoders.about import encoder_folder

    if (encoder := encoder_folder(run)) is not None:
        from train.export.export_encoder import export_encoder

        _refuse_options_of_a_model(run)
        click.echo(export_encoder(run, encoder, out, keep))
        return
    from train.ctr.trained_run import run_config
    from train.export.export_run import export_run

    dtypes = named_values("--table", tables, DTYPES)
    click.echo(export_run(run_config(run, overrides), checkpoint, out, dtypes, dtype, keep))


def _refuse_options_of_a_model(run: str) -> None:
    """Raises InputError where the command line has one that an encoder has no use for."""
    context = click.get_current_context()
    for name, option in (("checkpoint", "--checkpoint"), ("dtype", "--dtype"), ("tables", "--table")):
        if context.get_parameter_source(name) is not ParameterSource.DEFAULT:
            raise InputError(f"{option} is about models with ID tables, and '{run}' is an encoder; leave it out")
    if context.params["overrides"]:
        raise InputError(f"'{run}' is an encoder, which is exported as it is, without overrides; leave them out")
