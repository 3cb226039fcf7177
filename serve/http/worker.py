"""A worker process of the scorer: opens the model, answers on the shared port, takes new versions, ends gracefully."""

import asyncio
import contextlib
import gc
import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
import traceback
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

from embeddings.errors import InputError, for_terminal
from embeddings.standard_streams import make_lasting
from serve.http.log import log
from serve.http.retry_wait import FIRST_WAIT_S, LONGEST_WAIT_S, RetryWait
from serve.http.settings import Settings
from serve.http.versions_shared import SharedVersions

if TYPE_CHECKING:  # what imports torch comes once the process runs
    from serve.http.metrics import Metrics
    from serve.page.items import Items
    from serve.scorer import Scorer

NEVER_HERE = (signal.SIGINT, signal.SIGHUP)  # a terminal sends them to all; the supervisor says when to stop
_LOOK_S = 0.2  # at a number in memory, between looks for a new version


def main(settings: Settings, addresses: list[str], place: int, versions: SharedVersions, ready: Connection) -> None:
    """Run until SIGTERM, or until the supervisor is gone. Ends with status 1 where it could not begin or go on.

    Args:
        addresses: to listen on.
        place: the worker's number.
        ready: is sent the process's id once it answers, or the error that keeps it from that.
    """
    for number in NEVER_HERE:
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, NEVER_HERE)  # the supervisor blocks them while it starts a process
    make_lasting()
    import torch
    import uvloop

    torch.set_num_threads(1)
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)  # a traceback for every bad byte that somebody sends
    from serve.http.metrics import Metrics
    from serve.page.items import Items

    metrics = Metrics(str(place))
    with contextlib.suppress(BrokenPipeError):  # the supervisor is gone
        try:
            scorer = open_scorer(settings, versions, metrics)
            schema = scorer.model.schema
            items = Items(settings.items if settings.page else (), schema.feature(schema.target).source)
            uvloop.run(serve(scorer, items, settings, addresses, versions, metrics, ready))
            return
        except InputError as error:
            ready.send(str(error))
    sys.exit(1)


def open_scorer(settings: Settings, versions: SharedVersions, metrics: "Metrics") -> "Scorer":
    """A scorer of the wanted version or, where that cannot be opened, of the last one that a worker took.

    Raises InputError where neither can.
    """
    from recsys.exported.merged_deltas import MergedDeltas
    from serve.scorer import Scorer

    def opened(version: str) -> Scorer:
        return Scorer(
            settings.model,
            settings.stores,
            version=version,
            policy=settings.policy,
            limits=settings.limits,
            check=False,
            deltas=False,
        )

    (wanted, delta), taken = versions.wanted_deltas, versions.taken
    try:
        scorer = opened(wanted)
    except InputError as error:
        if taken in (None, wanted):
            raise
        metrics.refusal()
        log(f"version {wanted} is refused: {for_terminal(str(error))}")
        scorer = opened(taken)
    versions.taken = scorer.version
    metrics.version(scorer.version, swapped=False)
    if delta and scorer.version == wanted:
        with contextlib.suppress(InputError, OSError):  # it is tried again, and said, once the worker answers
            scorer.take_deltas(MergedDeltas.open(versions.merged(wanted, delta), scorer.model.manifest))
    metrics.deltas(scorer.delta, scorer.event_time)
    return scorer


async def serve(
    scorer: "Scorer",
    items: "Items",
    settings: Settings,
    addresses: list[str],
    versions: SharedVersions,
    metrics: "Metrics",
    ready: Connection,
) -> None:
    """Answer requests until SIGTERM. Raises InputError where an address cannot be listened on."""
    from serve.http.application import Application
    from serve.http.listening import listening
    from serve.http.metrics import remove_metrics_folder

    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    parent = multiprocessing.parent_process()
    assert parent is not None
    loop.add_reader(parent.sentinel, stop.set)  # it reads as ended once the supervisor is gone
    application = Application(scorer, settings, metrics, items)
    async with listening(application, addresses, settings.port):
        working = asyncio.create_task(application.queue.work())
        working.add_done_callback(lambda _: stop.set())
        gc.collect()
        gc.freeze()  # what was loaded stays; a collection is then as quick as what came since
        done = threading.Event()
        taking = threading.Thread(target=take_new_versions, args=(scorer, versions, metrics, done), daemon=True)
        taking.start()
        application.ready = True
        ready.send(os.getpid())
        await stop.wait()
        done.set()
        loop.remove_reader(parent.sentinel)
    if not parent.is_alive():  # nobody else is left to do it
        remove_metrics_folder()
        versions.remove_deltas()
    if not working.done():
        working.cancel()
        return
    working.result()  # which raises what ended it


def take_new_versions(scorer: "Scorer", versions: SharedVersions, metrics: "Metrics", done: threading.Event) -> None:
    """Take each version and each merge of its deltas that the supervisor wants, once it is open, until ``done``.

    What cannot be opened is tried again after a growing wait, since what it lacks may come; each reason is said once.
    """
    tried, said = (scorer.version, scorer.delta), set[str]()
    wait = RetryWait(FIRST_WAIT_S, LONGEST_WAIT_S)
    while not done.wait(_LOOK_S):
        wanted = versions.wanted_deltas
        if wanted != tried:
            tried = wanted
            said.clear()
            wait.reset()
        if wanted == (scorer.version, scorer.delta) or not wait.over(time.monotonic()):
            continue
        try:
            _take(scorer, wanted, versions, metrics)
        except Exception as error:  # whatever it is, what scored before goes on
            if versions.wanted_deltas != wanted:  # a merge is gone once there are newer ones
                continue
            wait.failed(time.monotonic())
            why = for_terminal(str(error)) if isinstance(error, InputError) else traceback.format_exc()
            if why not in said:
                said.add(why)
                another = wanted[0] != scorer.version
                (metrics.refusal if another else metrics.delta_refusal)()
                what = f"version {wanted[0]}" if another else f"delta {wanted[1]} of version {wanted[0]}"
                log(f"{what} is refused, {scorer.model.name} goes on: {why}")


def _take(scorer: "Scorer", wanted: tuple[str, int], versions: SharedVersions, metrics: "Metrics") -> None:
    """Take what is wanted of it. Raises what keeps it from that."""
    from recsys.exported.merged_deltas import MergedDeltas

    version, delta = wanted
    if version != scorer.version:
        scorer.take(version, check=False)
        versions.taken = version
        metrics.version(version, swapped=True)
        metrics.deltas(0, scorer.event_time)
        gc.collect()  # and no freeze, which would keep for ever what still waits for the version before
    if delta:
        scorer.take_deltas(MergedDeltas.open(versions.merged(version, delta), scorer.model.manifest))
        metrics.deltas(delta, scorer.event_time)
