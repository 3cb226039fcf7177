"""The predict command: a split's scores as parquet, by a run or by an exported model."""

from contextlib import ExitStack
from pathlib import Path

import click

from embeddings.command_line import named_values
from embeddings.errors import InputError, shown
from train.commands.parameter_types import INPUT, INPUT_STORE, OUTPUT_FOLDER, SPLIT


@click.command()
@click.argument("run", type=INPUT, required=False)
@click.option("--out", type=OUTPUT_FOLDER, required=True, help="Folder for part-<rank>.parquet; must not exist.")
@click.option("--split", type=SPLIT, default="test", show_default=True, help="Split of the data folder.")
@click.option("--labels/--no-labels", default=False, help="Read the label column and copy it.")
@click.option("--checkpoint", show_default="best", help="Of RUN: best, newest, or a folder of RUN/checkpoints.")
@click.option("--model", type=INPUT, help="Folder of an exported model, in the place of RUN.")
@click.option("--version", show_default="the current one", help="Of --model.")
@click.option("--data", type=INPUT, help="Data folder for --model; RUN's is its own, or data.path=FOLDER.")
@click.option(
    "--store", "stores", multiple=True, metavar="NAME=FOLDER", help="Of --model: where a modality's store is."
)
@click.argument("overrides", nargs=-1, metavar="[KEY.SUB=VALUE]...")
def command(
    run: str | None,
    out: str,
    split: str,
    labels: bool,
    checkpoint: str | None,
    model: str | None,
    version: str | None,
    data: str | None,
    stores: tuple[str, ...],
    overrides: tuple[str, ...],
) -> None:
    """Score a split with RUN, a folder such as runs/shop, or with an exported model, such as --model models/shop.

    Writes columns user, target, score (a probability), the timestamp where there is one, and with --labels the label,
    in the order of the split's rows: rank after rank.
    """
    if model is not None:
        if run is not None:
            raise InputError(f"RUN and --model exclude each other, got {shown(run)} and {shown(model)}; name one")
        if checkpoint is not None:
            raise InputError("--checkpoint is of a RUN; an exported model has versions: name one by --version")
        if data is None:
            raise InputError("--model needs a data folder; name it by --data")
        _by_model(model, version, data, named_values("--store", stores, INPUT_STORE), split, out, labels)
        return
    for option, given in (("--version", version), ("--data", data), ("--store", stores)):
        if given:
            raise InputError(f"{option} is for --model, which is not given; a RUN takes --checkpoint, data.path=FOLDER")
    if run is None:
        raise InputError("nothing to score with; name a RUN, such as runs/shop, or an exported model by --model")
    _by_run(run, overrides, checkpoint or "best", split, out, labels)


def _by_run(run: str, overrides: tuple[str, ...], checkpoint: str, split: str, out: str, labels: bool) -> None:
    from train.ctr.scoring import scored
    from train.ctr.trained_run import open_run, run_config
    from train.ctr.write_predictions import claimed_output, write_predictions
    from train.distributed.process_group import process_group
    from train.distributed.ranks import on_first
    from train.run.run_folder import RECORDS

    config = run_config(run, overrides)
    with process_group(config.process, Path(config.run_folder, RECORDS)) as ranks, ExitStack() as held:
        on_first(ranks, lambda: held.enter_context(claimed_output(Path(out))))
        opened = open_run(config, split, checkpoint, ranks, with_labels=labels, in_order=True)
        rows = scored(opened.model, opened.reader.epoch(0), ranks.device)
        _say(ranks.first, opened.reader.num_rows, write_predictions(opened.reader, rows, ranks, Path(out), labels), out)


def _by_model(
    model: str, version: str | None, data: str, stores: dict[str, str], split: str, out: str, labels: bool
) -> None:
    from train.config import ProcessConfig
    from train.ctr.write_predictions import claimed_output, write_predictions
    from train.distributed.process_group import process_group
    from train.distributed.ranks import on_first
    from train.export.score_split import open_split

    with process_group(ProcessConfig(device="cpu")) as ranks, ExitStack() as held:
        on_first(ranks, lambda: held.enter_context(claimed_output(Path(out))))
        opened = open_split(model, version, data, split, stores, ranks, labels)
        written = write_predictions(opened.reader, opened.scored(), ranks, Path(out), labels)
        _say(ranks.first, opened.reader.num_rows, written, out)


def _say(first: bool, rows: int, written: int, out: str) -> None:
    if first:
        without = f"; {rows - written:,} rows could not be read and have none" if rows > written else ""
        click.echo(f"wrote {written:,} scores to {out}{without}")
