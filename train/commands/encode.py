"""The encode command: items into a frozen store."""

from contextlib import ExitStack

import click

from train.commands.parameter_types import INPUT, OUTPUT_FOLDER


@click.command()
@click.argument("encoder", type=INPUT)
@click.option("--items", type=INPUT, required=True, help="Parquet file of items, or a folder of them.")
@click.option("--id", "id_column", default="item", show_default=True, help="Column of integer ids.")
@click.option("--column", required=True, help="Column with what the encoder reads, such as picture or title.")
@click.option("--out", type=OUTPUT_FOLDER, required=True, help="Frozen store to write.")
@click.option("--dtype", type=click.Choice(["float16", "float32", "int8"]), default="int8", show_default=True)
@click.option("--data", type=INPUT, help="Data folder: say how many of its items and impressions have a vector.")
@click.option(
    "--batch-size", type=click.IntRange(1, 2**22), default=256, show_default=True, help="Items encoded at once."
)
@click.option(
    "--workers", type=click.IntRange(1, 256), default=2, show_default=True, help="Threads of a rank that decode."
)
@click.option("--device", type=click.Choice(["auto", "cpu", "cuda"]), default="auto", show_default=True)
@click.option("--overwrite", is_flag=True, help="Replace the store at --out, and drop what was begun of another one.")
def command(
    encoder: str,
    items: str,
    id_column: str,
    column: str,
    out: str,
    dtype: str,
    data: str | None,
    batch_size: int,
    workers: int,
    device: str,
    overwrite: bool,
) -> None:
    """Encode items with ENCODER: a run of scl or its encoder folder; raw-pixels or raw-words to compare with.

    Any number of ranks will do. What is done is kept in parts beside OUT: the same command, started again after a
    kill, goes on. Items whose content is broken are left out, and counted.
    """
    from embeddings.frozen.store_writer import check_target, locked_target
    from recsys.schema import load_schema
    from train.config import ProcessConfig
    from train.data.parquet_files import announce_source
    from train.distributed.process_group import process_group
    from train.distributed.ranks import on_first
    from train.encoding.encode_items import encode
    from train.encoding.item_files import find_items
    from train.encoding.open_encoder import open_encoder

    check_target(out, overwrite)
    if data:
        load_schema(data)
    with process_group(ProcessConfig(device=device)) as ranks, ExitStack() as held:
        on_first(ranks, lambda: held.enter_context(locked_target(out, overwrite)))
        opened = open_encoder(encoder, ranks.device)
        item_files = find_items(items, id_column, column, opened.kind)
        if ranks.first:
            announce_source(items)
        opened.fit(item_files)
        encode(
            opened,
            item_files,
            out,
            ranks,
            dtype=dtype,
            batch_size=batch_size,
            workers=workers,
            data=data,
            overwrite=overwrite,
        )
