"""The encode command: items over HTTP and from a folder, encoded into a live index."""

from typing import Any

import click

from embeddings.files.local_path import local_path
from serve.commands.token_file import read_token


@click.command()
@click.option("--encoder", required=True, help="Folder of an exported encoder, such as models/encoder.")
@click.option("--index", required=True, help="Live index that the vectors go to, such as live/picture; may be new.")
@click.option("--contents", help="Folder in which contents are kept; default: INDEX.contents.")
@click.option("--folder", help="Folder to watch: parquet files, and single ones called ID.png, ID.txt.")
@click.option("--id-column", default="item", show_default=True, help="Of parquet files: integer ids.")
@click.option("--column", help="Of parquet files, with the content; default: the only one that can hold such.")
@click.option("--model", help="Exported model: a new encoder becomes active with the version that names it.")
@click.option(
    "--dtype",
    type=click.Choice(["float16", "float32", "int8"]),
    default="float16",
    show_default=True,
    help="Of the vectors of an encoder that is new in the index.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 is every one.")
@click.option("--port", type=click.IntRange(1, 65535), default=8610, show_default=True)
@click.option(
    "--batch", type=click.IntRange(1, 4096), default=64, show_default=True, help="Items encoded at once, at most."
)
@click.option("--workers", type=click.IntRange(1, 256), default=2, show_default=True, help="Threads that decode.")
@click.option("--threads", type=click.IntRange(1, 1024), help="Threads that encode a batch; default: one a core.")
@click.option(
    "--backlog",
    type=click.IntRange(1, 10**7),
    default=10_000,
    show_default=True,
    help="Items that wait to be encoded; 429 beyond.",
)
@click.option("--max-body-mib", type=click.IntRange(1, 1024), default=16, show_default=True)
@click.option("--max-waiting", "waiting", type=click.IntRange(1, 10**5), default=64, show_default=True,
              help="Bodies of the largest size that may be coming at once.")  # fmt: skip
@click.option("--max-connections", "connections", type=click.IntRange(1, 10**5), default=1000, show_default=True)
@click.option(
    "--timeout-s",
    type=click.FloatRange(0.01, 3600),
    default=30.0,
    show_default=True,
    help="That a request may wait for its vectors (503 beyond; they are kept), and its body may take to come.",
)
@click.option("--grace-s", type=click.FloatRange(0.1, 3600), default=10.0, show_default=True, help="After SIGTERM.")
@click.option(
    "--poll-s",
    type=click.FloatRange(0.05, 3600),
    default=1.0,
    show_default=True,
    help="Between looks for a new encoder, and for a new version of --model.",
)
@click.option("--token-file", help="File with a token that requests bring as Authorization: Bearer.")
@click.option("--host-name", "hosts", multiple=True, help="Name that the header Host may have; may be given again.")
def command(encoder: str, index: str, contents: str | None, folder: str | None, model: str | None,
            threads: int | None, max_body_mib: int, token_file: str | None, **same: Any) -> None:  # fmt: skip
    """Encode items into a live index as they come; new versions of the encoder encode everything anew beside.

    PUT /v1/items/ID takes a picture's bytes or a text, POST /v1/items many as JSON or Arrow, DELETE /v1/items/ID
    forgets one; each answers once the index has it on disk. docs/live.md has the rest. ^C or SIGTERM end it.
    """
    from embeddings.host_cores import host_cores
    from serve.encode.service import run, set_threads
    from serve.encode.settings import EncodeSettings
    from serve.http.log import log

    place = local_path(index).rstrip("/")
    settings = EncodeSettings(
        encoder=local_path(encoder),
        index=place,
        contents=local_path(contents) if contents else f"{place}.contents",
        folder=local_path(folder) if folder else None,
        model=local_path(model) if model else None,
        body_bytes=max_body_mib << 20,
        token=read_token(token_file),
        **same,
    )
    if not settings.is_local and settings.token is None:
        log(f"note: whoever reaches {settings.host} may write; --token-file names a token that requests have to bring")
    set_threads(threads or max(1, int(host_cores())))
    run(settings)
