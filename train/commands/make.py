"""The make command: train a MAKE alone, before the CTR model takes it."""

from pathlib import Path

import click

from embeddings.errors import InputError
from train.commands.parameter_types import INPUT
from train.ctr.config import load_config, make_alone_config


@click.command()
@click.option(
    "--config", "path", type=INPUT, required=True, help="YAML file; its section 'make' changes it for this command."
)
@click.option("--modality", "modalities", multiple=True, help="Default: every modality of the data, one after another.")
@click.argument("overrides", nargs=-1, metavar="[KEY.SUB=VALUE]...")
def command(path: str, modalities: tuple[str, ...], overrides: tuple[str, ...]) -> None:
    """Train MAKE on the frozen vectors alone, for several epochs; write its weights after each.

    The run of a modality is RUN/MODALITY, such as runs/shop-make/image, and its weights are in make/ there; with
    several modalities, run.resume=auto goes on with those that have begun. The CTR model takes them by
    model.multimodal.make.run=runs/shop-make.

    One process: python -m train make --config configs/shop.yaml train.epochs=6

    Two ranks: torchx run -s local_cwd dist.ddp -j 1x2 -m train -- make --config configs/shop.yaml
    """
    config = load_config(path, overrides, command="make")

    from recsys.schema import load_schema
    from train.ctr.task import train_ctr
    from train.distributed.process_group import process_group
    from train.run.run_folder import RECORDS

    schema = load_schema(config.data.path)
    configs = [make_alone_config(name, config, schema) for name in modalities or schema.modalities]
    if not configs:
        raise InputError(f"the schema of '{config.data.path}' has no modality, so there is nothing to train MAKE on")
    with process_group(config.process, Path(config.run_folder, RECORDS)) as ranks:
        for own in configs:
            if ranks.first and len(configs) > 1:
                print(f"== {own.run_folder}", flush=True)
            train_ctr(own, ranks)
