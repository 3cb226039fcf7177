"""The score command: requests over HTTP, scored by an exported model."""

from typing import Any

import click

from embeddings.command_line import CheckedText, named_values
from embeddings.files.local_path import local_path, with_home
from serve.commands.token_file import read_token
from serve.policy import OfIds, OfVectors


@click.command()
@click.option("--model", required=True, help="Folder of an exported model, such as models/shop.")
@click.option(
    "--store",
    "stores",
    multiple=True,
    metavar="MODALITY=FOLDER",
    help="Frozen store of a modality, where it is not where it lay at the export; may be given again.",
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on; 0.0.0.0 is every one.")
@click.option("--port", type=click.IntRange(1, 65535), default=8600, show_default=True)
@click.option("--processes", type=click.IntRange(1, 1024), help="Worker processes; default: one a core.")
@click.option(
    "--unknown-item",
    type=click.Choice(["score", "zero", "refuse"]),
    default="score",
    show_default=True,
    help="A candidate that was not trained on: scored by the row that its id has, by zeros, or refused.",
)
@click.option("--unknown-user", type=click.Choice(["score", "zero", "refuse"]), default="score", show_default=True)
@click.option(
    "--missing-vector",
    type=click.Choice(["score", "refuse"]),
    default="score",
    show_default=True,
    help="A candidate without a vector: scored without its similarities, or refused.",
)
@click.option("--max-candidates", type=click.IntRange(1, 10**6), default=10_000, show_default=True)
@click.option(
    "--max-list",
    type=click.IntRange(1, 10**7),
    default=100_000,
    show_default=True,
    help="Values in one column's lists, before they are cut to max_length.",
)
@click.option(
    "--max-pairs",
    type=click.IntRange(1, 10**9),
    default=10_000_000,
    show_default=True,
    help="Candidates of a request times the values of its lists, once these are cut.",
)
@click.option("--max-body-mib", type=click.IntRange(1, 1024), default=4, show_default=True)
@click.option(
    "--max-waiting",
    type=click.IntRange(1, 10**5),
    default=64,
    show_default=True,
    help="Requests that wait in a process; 429 beyond.",
)
@click.option(
    "--max-connections",
    type=click.IntRange(1, 10**5),
    default=1000,
    show_default=True,
    help="Open in a process; one more is closed at once.",
)
@click.option(
    "--timeout-s",
    type=click.FloatRange(0.01, 3600),
    default=5.0,
    show_default=True,
    help="That a request may wait to be scored (503 beyond), its body may take to come, its answer to be taken.",
)
@click.option(
    "--grace-s",
    type=click.FloatRange(0.1, 3600),
    default=10.0,
    show_default=True,
    help="After SIGTERM or ^C, for requests that are under way.",
)
@click.option(
    "--poll-s",
    type=click.FloatRange(0.05, 3600),
    default=1.0,
    show_default=True,
    help="Between looks for a new version.",
)
@click.option(
    "--slow-ms",
    type=click.FloatRange(0),
    default=250.0,
    show_default=True,
    help="A request that takes longer is logged.",
)
@click.option("--token-file", help="File with a token that requests bring as Authorization: Bearer.")
@click.option(
    "--items",
    multiple=True,
    metavar="PATH",
    help="Parquet file, or a folder of them, with titles, pictures or other facts of items, for the page; may be given "
    "again.",
)
@click.option("--page/--no-page", default=True, show_default=True, help="Whether GET / is a page for people.")
@click.option(
    "--host-name",
    "hosts",
    multiple=True,
    help="Name that the header Host may have; may be given again. Default: "
    "those of this machine where it listens on loopback, else any.",
)
def command(model: str, stores: tuple[str, ...], processes: int | None, unknown_item: OfIds, unknown_user: OfIds,
            missing_vector: OfVectors, max_candidates: int, max_list: int, max_pairs: int, max_body_mib: int,
            max_waiting: int, max_connections: int, token_file: str | None, items: tuple[str, ...],
            hosts: tuple[str, ...], **same: Any) -> None:  # fmt: skip
    """Score requests over HTTP by the current version of an exported model; new versions are taken as they come.

    POST /v1/score takes JSON or Arrow; docs/serving.md has the format. GET / is a page for people; GET /health,
    /ready, /metrics, /v1/model and /openapi.json say how it is. ^C or SIGTERM end it once requests that are under way
    are answered.
    """
    from embeddings.host_cores import host_cores
    from serve.http.log import log
    from serve.http.settings import Settings
    from serve.http.supervisor import Supervisor
    from serve.policy import Limits, Policy

    settings = Settings(
        model=local_path(model),
        stores=named_values("--store", stores, CheckedText(with_home)),
        policy=Policy(unknown_item, unknown_user, missing_vector),
        limits=Limits(max_candidates, max_list, max_pairs),
        processes=processes or max(1, int(host_cores())),
        body_bytes=max_body_mib << 20,
        waiting=max_waiting,
        connections=max_connections,
        token=read_token(token_file),
        items=tuple(map(local_path, items)),
        hosts=hosts,
        **same,
    )
    if not settings.is_local and settings.token is None:
        log(f"note: whoever reaches {settings.host} may ask; --token-file names a token that requests have to bring")
    Supervisor(settings).run()
