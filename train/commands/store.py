"""The store command: builds, verifies or shows a frozen store."""

from typing import TYPE_CHECKING

import click

from train.commands.parameter_types import INPUT, INPUT_STORE, OUTPUT_STORE

if TYPE_CHECKING:
    from embeddings.frozen.store import FrozenStore


@click.group()
def command() -> None:
    """Build, verify or show a frozen store: item id -> unit vector."""


@command.command()
@click.option("--out", type=OUTPUT_STORE, required=True, help="Folder to write.")
@click.option("--ids", type=INPUT, help=".npy file of integer ids, [N].")
@click.option("--vectors", type=INPUT, help=".npy file of float or int8 vectors, [N, M], in the order of the ids.")
@click.option("--parquet", type=INPUT, help="A parquet file or a folder of them, instead of --ids and --vectors.")
@click.option("--id-column", default="id", show_default=True, help="Parquet column of integer ids.")
@click.option("--vector-column", default="vector", show_default=True, help="Parquet column of lists of floats or int8.")
@click.option(
    "--dtype",
    type=click.Choice(["float16", "float32", "int8"]),
    default="float16",
    show_default=True,
    help="What to store; int8 vectors stored as int8 keep their values.",
)
@click.option("--encoder", default="", help="Name of what made the vectors, kept in meta.json.")
@click.option("--overwrite", is_flag=True, help="Replace the store at --out.")
def build(
    out: str,
    ids: str | None,
    vectors: str | None,
    parquet: str | None,
    id_column: str,
    vector_column: str,
    dtype: str,
    encoder: str,
    overwrite: bool,
) -> None:
    """Write a store of normalised vectors from .npy files or parquet."""
    from embeddings.frozen.build_store import build_from_npy, build_from_parquet

    if parquet and not (ids or vectors):
        from train.data.parquet_files import announce_source

        announce_source(parquet)
        store = build_from_parquet(
            out,
            parquet,
            id_column=id_column,
            vector_column=vector_column,
            dtype=dtype,
            encoder=encoder,
            overwrite=overwrite,
        )
    elif ids and vectors and not parquet:
        store = build_from_npy(out, ids, vectors, dtype=dtype, encoder=encoder, overwrite=overwrite)
    else:
        raise click.UsageError("give either --parquet, or both --ids and --vectors")
    _print(store)


@command.command()
@click.argument("path", type=INPUT_STORE)
def verify(path: str) -> None:
    """Read all of the store at PATH: checksums, ids in order, and that each row has norm 1.

    A store that passes is marked as checked, so that no run reads all of it again. Exit status 2 where it is damaged.
    """
    from tqdm import tqdm

    from embeddings.frozen import check_store
    from embeddings.frozen.store import FrozenStore

    store = FrozenStore.open(path)
    with tqdm(total=store.nbytes, unit="B", unit_scale=True, desc="verify", disable=None, leave=False) as bar:
        check_store.verify(store, bar.update)
    click.echo(f"{path}: {store.count} vectors, checksums agree ({store.checksum}), ids ascend, every row has norm 1")
    if not check_store.is_marked(store):
        noted = check_store.mark(store)
        click.echo(f"{path}: {'marked' if noted else 'cannot be written to, so it is not marked'} as checked")


@command.command()
@click.argument("path", type=INPUT_STORE)
def show(path: str) -> None:
    """Print what the store at PATH holds; see verify for its checksums."""
    from embeddings.frozen.store import FrozenStore

    _print(FrozenStore.open(path))


def _print(store: "FrozenStore") -> None:
    facts = {
        "path": store.path,
        "width": store.width,
        "dtype": store.dtype,
        "count": store.count,
        "bytes": store.nbytes,
        "encoder": store.encoder or "(not named)",
        "checksum": store.checksum,
    }
    for name, value in facts.items():
        click.echo(f"{name:<9} {value}")
