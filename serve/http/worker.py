"""A worker process of the scorer: opens the model, answers on the shared port, takes new versions, ends gracefully."""

import asyncio
import gc
import logging
import multiprocessing
import os
import signal
import sys
import threading
import time
from multiprocessing.connection import Connection
from typing import Any

from embeddings.errors import InputError, for_terminal
from serve.http.settings import Settings

HEADER_BYTES, HEADERS = 8190, 64
BACKLOG = 1024


def main(settings: Settings, version: Any, ready: Connection) -> None:
    """Run until SIGTERM, or until the supervisor is gone.

    Args:
        version: shared number of the version that the supervisor has checked.
        ready: is sent the process's id once it answers, or the error that keeps it from that.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's ^C goes to all; the supervisor says when to stop
    import torch
    import uvloop

    torch.set_num_threads(1)
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)  # a traceback for every bad byte that somebody sends
    uvloop.run(_serve(settings, version, ready))


async def _serve(settings: Settings, version: Any, ready: Connection) -> None:
    from aiohttp import web

    from serve.http.application import Application
    from serve.http.metrics import Metrics
    from serve.page.items import Items
    from serve.scorer import Scorer

    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    try:
        scorer = Scorer(
            settings.model,
            settings.stores,
            version=f"{version.value:06d}",
            policy=settings.policy,
            limits=settings.limits,
            check=False,
        )
        schema = scorer.model.schema
        items = Items(settings.items if settings.page else (), schema.feature(schema.target).source)
    except InputError as error:
        ready.send(str(error))
        return
    metrics = Metrics()
    metrics.version(scorer.version, swapped=False)
    application = Application(scorer, settings, metrics, items)
    runner = web.AppRunner(
        application.web,
        access_log=None,
        keepalive_timeout=max(15.0, settings.timeout_s),  # also the time that a request's headers may take
        lingering_time=0,
        max_line_size=HEADER_BYTES,
        max_field_size=HEADER_BYTES,
        max_headers=HEADERS,
        auto_decompress=False,
        shutdown_timeout=settings.grace_s,
    )
    await runner.setup()
    await web.TCPSite(runner, settings.host, settings.port, reuse_port=True, backlog=BACKLOG).start()
    working = asyncio.create_task(application.queue.work())
    gc.collect()
    gc.freeze()  # what was loaded stays; a collection is then as quick as what came since
    watch = threading.Thread(target=_watch, args=(scorer, settings, metrics, version, loop, stop), daemon=True)
    watch.start()
    application.ready = True
    ready.send(os.getpid())
    await stop.wait()
    application.ready = False
    await runner.cleanup()
    working.cancel()


def _watch(
    scorer: Any, settings: Settings, metrics: Any, version: Any, loop: asyncio.AbstractEventLoop, stop: asyncio.Event
) -> None:
    """Take each version that the supervisor has checked; end where the supervisor has."""
    parent = multiprocessing.parent_process()
    refused = None
    while parent is not None and parent.is_alive():
        wanted = f"{version.value:06d}"
        if wanted not in (scorer.version, refused):
            try:
                scorer.take(wanted, check=False)
                metrics.version(wanted, swapped=True)
            except InputError as error:
                refused = wanted
                metrics.refusal()
                print(f"version {wanted} is refused: {for_terminal(str(error))}", file=sys.stderr, flush=True)
        time.sleep(settings.poll_s / 4)
    loop.call_soon_threadsafe(stop.set)
