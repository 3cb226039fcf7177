"""The nearline command: train a CTR run on along a stream of impressions, and publish what changes."""

from pathlib import Path

import click

from embeddings.command_line import named_values
from train.commands.parameter_types import INPUT, OUTPUT_PLACE
from train.ctr.config import load_config

DTYPES = click.Choice(("float32", "float16", "int8"))


@click.command()
@click.option("--config", "path", type=INPUT, required=True, help="YAML file of the CTR run that is trained on.")
@click.option("--stream", type=INPUT, required=True, help="Folder of numbered files; docs/stream.md has the format.")
@click.option("--model", type=OUTPUT_PLACE, help="Folder of an exported model, to which is published.")
@click.option("--checkpoint", default="newest", show_default=True, help="Of the CTR run, where training starts.")
@click.option(
    "--first", type=click.IntRange(0, 10**17), default=1, show_default=True, help="Number of the stream's first file."
)
@click.option(
    "--publish-s", type=click.FloatRange(0, 86_400), default=10.0, show_default=True, help="Seconds between deltas."
)
@click.option(
    "--full-every", type=click.IntRange(0, 10**6), default=100, show_default=True, help="Deltas between full versions."
)
@click.option("--dtype", type=DTYPES, default="float32", show_default=True, help="Of the ID tables.")
@click.option("--table", "tables", multiple=True, metavar="NAME=DTYPE", help="Of one table; may be given again.")
@click.option(
    "--keep", type=click.IntRange(1, 10_000), default=3, show_default=True, help="Full versions that stay, the newest."
)
@click.option("--stop-after", type=click.IntRange(0, 10**9), help="Files after which to end; else at the stream's end.")
@click.argument("overrides", nargs=-1, metavar="[KEY.SUB=VALUE]...")
def command(
    path: str,
    stream: str,
    model: str | None,
    checkpoint: str,
    first: int,
    publish_s: float,
    full_every: int,
    dtype: str,
    tables: tuple[str, ...],
    keep: int,
    stop_after: int | None,
    overrides: tuple[str, ...],
) -> None:
    """Train a CTR run on along a stream of impressions, and publish what changes to the scorers of --model.

    It begins with a checkpoint of the run that --config names, keeps checkpoints of its own in the run's folder
    nearline, and goes on from the newest of those when it is started again. SIGTERM saves and ends it.

    python -m train nearline --config configs/shop.yaml --stream streams/shop --model models/shop
    """
    config = load_config(path, overrides)
    dtypes = named_values("--table", tables, DTYPES)

    from train.ctr.zch_check import refuse_zch
    from train.distributed.process_group import process_group
    from train.nearline.nearline_run import train_nearline
    from train.nearline.settings import NearlineSettings, nearline_config
    from train.run.run_folder import RECORDS

    refuse_zch(config)
    settings = NearlineSettings(
        stream=stream, first=first, checkpoint=checkpoint, model=model, publish_s=publish_s, full_every=full_every,
        keep=keep, dtype=dtype, dtypes=dtypes, stop_after=stop_after,
    )  # fmt: skip
    with process_group(config.process, Path(nearline_config(config).run_folder, RECORDS)) as ranks:
        train_nearline(config, settings, ranks)
