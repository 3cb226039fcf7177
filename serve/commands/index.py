"""The index command: makes, fills, reads, compacts and checks a live index of item vectors."""

import json
from typing import TYPE_CHECKING

import click

from embeddings.errors import InputError, shown
from embeddings.files.local_path import local_path, with_home

if TYPE_CHECKING:
    import numpy as np

    from embeddings.frozen.store import FrozenStore

AT_ONCE = 1 << 14  # vectors in one commit

_encoder = click.option("--encoder", help="Whose vectors; default: the active encoder's.")


def _folder(path: str) -> str:
    return local_path(path)


@click.group()
def command() -> None:
    """A live index: item id -> unit vector, written by one process, read by many while it grows."""


@command.command()
@click.argument("path")
@click.option("--encoder", help="Name of what makes the vectors, with its version; default: that of --store.")
@click.option("--width", type=click.IntRange(1), help="Of a vector; default: that of --store.")
@click.option(
    "--dtype", type=click.Choice(["float16", "float32", "int8"]), help="Default: that of --store, else float16."
)
@click.option("--store", help="Frozen store whose vectors are put at once.")
def create(path: str, encoder: str | None, width: int | None, dtype: str | None, store: str | None) -> None:
    """Make an index at PATH; where one is, begin another encoder's vectors in it, which activate has readers take."""
    from embeddings.index.create_index import create_index

    source = _opened(store, encoder) if store else None
    if source is not None:
        encoder, width, dtype = encoder or source.encoder, width or source.width, dtype or source.dtype
    if not encoder or not width:
        raise InputError("--encoder and --width are needed, or --store, which has both; name what makes the vectors")
    with create_index(_folder(path), encoder, width, dtype or "float16") as writer:
        if source is not None:
            writer.put_store(source, encoder)
    click.echo(f"{path}: encoder '{encoder}', {0 if source is None else source.count:,} vectors")


@command.command()
@click.argument("path")
@click.option("--ids", help=".npy file of integer ids, [N].")
@click.option("--vectors", help=".npy file of float or int8 vectors, [N, M], in the order of the ids.")
@click.option("--store", help="Frozen store of the same encoder, instead of --ids and --vectors.")
@_encoder
def put(path: str, ids: str | None, vectors: str | None, store: str | None, encoder: str | None) -> None:
    """Put vectors into the index at PATH, in place of those that the ids have. What is put outlives kill -9."""
    from embeddings.frozen.build_store import mapped_npy
    from embeddings.index.index_writer import IndexWriter

    if store and not (ids or vectors):
        source = _opened(store, encoder)
        with IndexWriter(_folder(path)) as writer:
            sequence = writer.put_store(source, encoder or source.encoder)
        count = source.count
    elif ids and vectors and not store:
        all_ids, all_vectors = mapped_npy(local_path(ids)), mapped_npy(local_path(vectors))
        count = len(all_ids)
        if count != len(all_vectors):
            raise InputError(
                f"'{ids}' has {count} ids, '{vectors}' {len(all_vectors)} vectors; allowed: one for each id"
            )
        sequence = 0
        with IndexWriter(_folder(path)) as writer:
            for first in range(0, count, AT_ONCE):
                part = slice(first, first + AT_ONCE)
                sequence = writer.put(all_ids[part], all_vectors[part], encoder)
    else:
        raise click.UsageError("give either --store, or both --ids and --vectors")
    click.echo(f"{path}: {count:,} vectors put, sequence {sequence}")


@command.command(context_settings={"ignore_unknown_options": True})
@click.argument("path")
@click.argument("ids", nargs=-1, type=int)
@click.option("--ids", "file", help=".npy file of integer ids, [N], instead of IDS.")
@_encoder
def delete(path: str, ids: tuple[int, ...], file: str | None, encoder: str | None) -> None:
    """Delete the vectors of IDS from the index at PATH."""
    from embeddings.index.index_writer import IndexWriter

    wanted = _ids(ids, file)
    with IndexWriter(_folder(path)) as writer:
        found = writer.delete(wanted, encoder)
    click.echo(f"{path}: {found:,} of {len(wanted):,} ids deleted")


@command.command(context_settings={"ignore_unknown_options": True})
@click.argument("path")
@click.argument("ids", nargs=-1, type=int)
@click.option("--ids", "file", help=".npy file of integer ids, [N], instead of IDS.")
@_encoder
def get(path: str, ids: tuple[int, ...], file: str | None, encoder: str | None) -> None:
    """Print the unit vectors of IDS, a line of JSON each; null for an id that has none."""
    from embeddings.index.live_index import LiveIndex

    wanted = _ids(ids, file)
    with LiveIndex(_folder(path), encoder) as index:
        for item, row in zip(wanted.tolist(), index.rows(wanted).tolist(), strict=True):
            vector = None
            if row >= 0:
                vector = index.vectors[row].astype("float32")
                vector = (vector if index.scale is None else vector * index.scale[row]).tolist()
            click.echo(json.dumps({"id": item, "encoder": index.encoder, "vector": vector}))


@command.command()
@click.argument("path")
def stats(path: str) -> None:
    """Print what the index at PATH holds, as JSON."""
    from embeddings.index.statistics import statistics

    click.echo(json.dumps(statistics(_folder(path)), indent=2))


@command.command()
@click.argument("path")
@click.option("--encoder", required=True, help="That readers which open the index from now on take.")
def activate(path: str, encoder: str) -> None:
    """Have readers of the index at PATH take another encoder's vectors from now on."""
    from embeddings.index.index_writer import IndexWriter

    with IndexWriter(_folder(path)) as writer:
        writer.activate(encoder)
    click.echo(f"{path}: encoder '{encoder}' is active")


@command.command()
@click.argument("path")
@click.option("--encoder", required=True, help="That is not active.")
def drop(path: str, encoder: str) -> None:
    """Remove an encoder's vectors from the index at PATH. Processes that read them go on with what they have."""
    from embeddings.index.index_writer import IndexWriter

    with IndexWriter(_folder(path)) as writer:
        writer.drop(encoder)
    click.echo(f"{path}: the vectors of encoder '{encoder}' are gone")


@command.command()
@click.argument("path")
@click.option(
    "--dead-share",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.0,
    show_default=True,
    help="Of a segment's rows, above which it is written anew.",
)
@_encoder
def compact(path: str, dead_share: float, encoder: str | None) -> None:
    """Give back the disk that updated and deleted vectors take in the index at PATH. Readers go on meanwhile."""
    from embeddings.index.index_writer import IndexWriter

    with IndexWriter(_folder(path)) as writer:
        removed = writer.compact(encoder, dead_share)
    click.echo(f"{path}: {removed} segments removed")


@command.command()
@click.argument("path")
@click.option("--out", required=True, help="Folder to write, of a frozen store.")
@click.option("--overwrite", is_flag=True, help="Replace the store at --out.")
@_encoder
def snapshot(path: str, out: str, overwrite: bool, encoder: str | None) -> None:
    """Write the vectors that the index at PATH holds now as a frozen store. The writer goes on meanwhile."""
    from embeddings.index.live_index import LiveIndex
    from embeddings.index.snapshot import write_snapshot

    with LiveIndex(_folder(path), encoder) as index:
        store = write_snapshot(index, with_home(out), overwrite)
    click.echo(f"{out}: {store.count:,} vectors of encoder '{store.encoder}', checksum {store.checksum}")


@command.command()
@click.argument("path")
@_encoder
def verify(path: str, encoder: str | None) -> None:
    """Read all of the index at PATH: the pages of its keys, each vector's CRC and norm.

    Exit status 2 where one is damaged.
    """
    from embeddings.index.check_index import verify
    from embeddings.index.check_keys import check_keys_at_rest
    from embeddings.index.index_files import is_index
    from embeddings.index.live_index import LiveIndex

    folder = _folder(path)
    if is_index(folder) and not check_keys_at_rest(folder):
        click.echo(f"note: a process writes to '{path}', so the pages of its keys are not checked", err=True)
    with LiveIndex(_folder(path), encoder) as index:
        count = verify(index)
        click.echo(f"{path}: {count:,} vectors of encoder '{index.encoder}', CRCs agree, every row has norm 1")


def _ids(given: tuple[int, ...], file: str | None) -> "np.ndarray":
    """Ids as int64 [n], n at least 1. Raises InputError."""
    import numpy as np

    from embeddings.frozen.build_store import mapped_npy

    if bool(given) == bool(file):
        raise click.UsageError("give either IDS, or --ids")
    ids = np.array(given, object) if given else mapped_npy(local_path(file or ""))
    if ids.ndim != 1 or not ids.size or ids.dtype.kind not in "Oiu":
        raise InputError(f"ids are {ids.dtype} {list(ids.shape)}; allowed: integers [N], N at least 1")
    for extreme in (int(ids.min()), int(ids.max())):
        if not -(2**63) <= extreme < 2**63:
            raise InputError(f"id {extreme} does not fit int64; allowed: signed 64-bit ids")
    return ids.astype(np.int64)


def _opened(store: str, encoder: str | None) -> "FrozenStore":
    """A frozen store whose vectors are to be ``encoder``'s, where one is named. Raises InputError."""
    from embeddings.frozen.store import FrozenStore

    frozen = FrozenStore.open(with_home(store))
    if encoder and frozen.encoder and frozen.encoder != encoder:
        raise InputError(
            f"--encoder is {shown(encoder)}, but '{store}' is of encoder {shown(frozen.encoder)}; vectors of two "
            "encoders do not mix"
        )
    return frozen
