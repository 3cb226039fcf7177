"""The prepare command: a raw or generated data set into a data folder."""

from typing import Any

import click

from recsys.datasets import DATASETS
from train.commands.parameter_types import INPUT, OUTPUT_FOLDER

_OUT = click.option(
    "--out", type=OUTPUT_FOLDER, required=True, help="Data folder to write; nothing half-written is ever left there."
)
_OVERWRITE = click.option("--overwrite", is_flag=True, help="Replace a data folder that prepare wrote before.")
_SEED = click.option(
    "--seed", type=click.IntRange(0, 2**63 - 1), default=0, show_default=True, help="Same seed and flags, same files."
)


class _DataSets(click.Group):
    """Lists the data sets in the order of DATASETS."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(DATASETS)


@click.group(cls=_DataSets)
def command() -> None:
    """Write a data set as standard rows (parquet), with their schema and, where it has vectors, a frozen store."""


@command.command()
@click.option(
    "--rows",
    type=click.IntRange(1_000, 10**10),
    default=300_000,
    show_default=True,
    help="Impressions over all splits, 10^3 to 10^10.",
)
@click.option(
    "--users", type=click.IntRange(1, 10**10), show_default="rows / 50", help="Users; each has at least one impression."
)
@click.option(
    "--items",
    type=click.IntRange(20, 10**9),
    show_default="rows ^ 0.75",
    help="Items on sale over time; memory goes by their number.",
)
@click.option(
    "--history", type=click.IntRange(1, 10_000), default=30, show_default=True, help="Longest history, in items."
)
@click.option(
    "--width", type=click.IntRange(2, 65_536), default=64, show_default=True, help="Width of the frozen vectors."
)
@click.option(
    "--click-rate", type=click.FloatRange(0.001, 0.999), default=0.17, show_default=True, help="Mean click rate."
)
@click.option(
    "--searches",
    type=click.IntRange(0, 10**9),
    default=0,
    show_default=True,
    help="Searches over all splits; none: no pictures and titles either.",
)
@_SEED
@_OUT
@_OVERWRITE
def shop(out: str, overwrite: bool, **flags: Any) -> None:
    """A generated market: long-tailed users and items, new items, timestamps.

    Clicks follow taste that no content shows and closeness of content to a user's interests. The vectors are an
    imperfect encoder's view of the content. The first 24 of 30 days are train, then 3 validation, 3 test. With
    --searches, items have pictures and titles (OUT/items), and searches become pairs of a query and the item bought
    (OUT/searches/image and OUT/searches/text), from which encoders learn.
    """
    from recsys.datasets.shop import prepare as shop
    from recsys.datasets.shop.config import ShopConfig

    _announce("shop", out, shop.prepare(out, ShopConfig(**flags), overwrite=overwrite))


@command.command()
@click.option(
    "--source", type=INPUT, required=True, help="Folder with the pairs file, title_ids.npy and title_vectors_128.npy."
)
@click.option(
    "--history", type=click.IntRange(1, 10_000), default=20, show_default=True, help="Longest history, in items."
)
@_SEED
@_OUT
@_OVERWRITE
def microlens(source: str, out: str, overwrite: bool, **flags: int) -> None:
    """MicroLens-50k: short videos with title vectors, from its public files.

    A user's last item is test, the one before validation, the others train. Negatives are drawn, as none are recorded.
    """
    from recsys.datasets import microlens

    _announce("microlens", out, microlens.prepare(source, out, microlens.MicroLensConfig(**flags), overwrite=overwrite))


@command.command()
@click.option(
    "--source", type=INPUT, required=True, help="Folder ml-100k, ml-latest-small, or another in the latter's format."
)
@click.option("--posters", type=INPUT, help="Folder of <movieId>.jpg; those there are go into pictures.parquet.")
@click.option(
    "--history", type=click.IntRange(1, 10_000), default=50, show_default=True, help="Longest history, in movies."
)
@_SEED
@_OUT
@_OVERWRITE
def movielens(source: str, posters: str | None, out: str, overwrite: bool, **flags: int) -> None:
    """MovieLens: ratings of movies, from its public files. A rating of 4 or more is a click.

    Histories are clicks strictly earlier. Of a user's ratings in time order, 80 % are train, 10 % validation and 10 %
    test. Titles, and posters, lie beside the rows for encoders; there are no vectors yet.
    """
    from recsys.datasets import movielens

    config = movielens.MovieLensConfig(**flags)
    _announce("movielens", out, movielens.prepare(source, out, config, posters=posters, overwrite=overwrite))


@command.command("taobao-mm")
@click.option(
    "--source",
    type=INPUT,
    required=True,
    help="Folder of the data set: train/ and test/ shards, or the tables of raw/.",
)
@click.option(
    "--history",
    type=click.IntRange(1, 10_000),
    default=1000,
    show_default=True,
    help="Longest history, in items; the newest are kept.",
)
@click.option(
    "--validation",
    type=click.IntRange(2, 10**6),
    default=100,
    show_default=True,
    help="One in so many train users is held out.",
)
@_OUT
@_OVERWRITE
def taobao_mm(source: str, out: str, overwrite: bool, **flags: int) -> None:
    """TAOBAO-MM: 99 million ad impressions with long histories and int8 vectors, streamed from its public parquet.

    Memory: 32 bytes for each vector's id while they are sorted (1.1 GB for 35 million), and little else. Where there
    are only raw tables, joining them takes 45 bytes for each sample of a split. On disk, the vectors pass through a
    temporary file. Validation is a fixed part of the train users, by a hash of their ids; test is as published.
    """
    from pathlib import Path

    from embeddings.files.json_file import read_json
    from recsys.datasets import taobao_mm

    counts = taobao_mm.prepare(source, out, taobao_mm.TaobaoConfig(**flags), overwrite=overwrite)
    facts = read_json(Path(out, "prepare.json"), "facts of the data")
    click.echo(
        f"vectors    {facts['vectors']:>13,}; none for {facts['targets_without_vector']:,} of {facts['targets']:,} "
        f"targets, and {facts['behaviours_without_vector']:,} of {facts['behaviours_looked_up']:,} behaviours looked up"
    )
    _announce("taobao-mm-muse", out, counts)


@command.command("grocery-store")
@click.option("--source", type=INPUT, required=True, help="Folder with photos.parquet and products.parquet.")
@click.option("--items", default="image", show_default=True, type=click.Choice(["image", "text"]),
              help="What a photo is paired with: the product's studio picture, or its description.")  # fmt: skip
@click.option(
    "--held-out",
    type=click.IntRange(0, 10**6),
    default=0,
    show_default=True,
    help="One in so many train photos becomes validation, val test.",
)
@_SEED
@_OUT
@_OVERWRITE
def grocery_store(source: str, out: str, overwrite: bool, **flags: Any) -> None:
    """Grocery Store: photos taken in shops, paired with 81 products. Hard negatives are of the same coarse class."""
    from recsys.datasets import grocery

    for split, rows in grocery.prepare(source, out, grocery.GroceryConfig(**flags), overwrite=overwrite).items():
        click.echo(f"{split:<10} {rows:>13,} pairs")
    click.echo(f"written to {out}")
    click.echo(f"next: python -m train scl --config configs/grocery.yaml data.path={out}")


def _announce(config: str, out: str, counts: dict) -> None:
    for split, count in counts.items():
        click.echo(f"{split:<10} {count.rows:>13,} rows  {count.positives / max(count.rows, 1):.1%} clicked")
    click.echo(f"written to {out}")
    click.echo(f"next: python -m train ctr --config configs/{config}.yaml data.path={out}")
