"""The encode service: content log, encoders, folder and HTTP in one process, until SIGTERM."""

import asyncio
import contextlib
import logging
import signal
import threading
import time
import traceback
from collections.abc import Iterator
from dataclasses import dataclass

import torch
import uvloop

from embeddings.errors import InputError, for_terminal
from embeddings.files.folder_lock import folder_lock
from serve.encode.application import EncodeApplication
from serve.encode.content_log import ContentLog
from serve.encode.encoders import Encoders, current_manifest, open_index
from serve.encode.intake import Intake
from serve.encode.item_folder import ItemFolder
from serve.encode.metrics import EncodeMetrics
from serve.encode.settings import EncodeSettings
from serve.encode.waiting import Waiting
from serve.http.listening import listening
from serve.http.log import log as say
from serve.http.port import held_port

_COMPACT_S = 600.0


@dataclass(frozen=True)
class Parts:
    """What the service is made of, at work but for HTTP."""

    log: ContentLog
    intake: Intake
    encoders: Encoders
    application: EncodeApplication


def run(settings: EncodeSettings) -> None:
    """Serve until SIGTERM or ^C. Raises InputError where it cannot begin."""
    logging.getLogger("aiohttp.server").setLevel(logging.CRITICAL)  # a traceback for every bad byte that somebody sends
    with held_port(settings.host, settings.port) as addresses, parts(settings) as at_work:
        uvloop.run(_serve(at_work.application, settings, addresses))


@contextlib.contextmanager
def parts(settings: EncodeSettings) -> Iterator[Parts]:
    """The parts of a service, which encode meanwhile, and end with what is kept. Raises InputError."""
    manifest = current_manifest(settings.encoder)
    step = "end that service, or name another --contents"
    with contextlib.ExitStack() as closing:
        closing.enter_context(folder_lock(settings.contents, "content log", step, inside=True))
        log = closing.enter_context(contextlib.closing(ContentLog(settings.contents, manifest.kind)))
        writer = closing.enter_context(open_index(settings, manifest, log))
        waiting, metrics = Waiting(), EncodeMetrics()
        encoders = Encoders(settings, log, writer, waiting, metrics, manifest.kind)
        closing.callback(encoders.close)
        intake = closing.enter_context(contextlib.closing(Intake(log, waiting)))
        if settings.folder is not None:
            folder = ItemFolder(settings, settings.folder, manifest.kind, intake, metrics)
            folder.start()
            closing.callback(folder.stop)
        done = threading.Event()
        watch = threading.Thread(target=_watch, args=(encoders, settings.poll_s, done), daemon=True)
        watch.start()
        closing.callback(watch.join)
        closing.callback(done.set)
        yield Parts(log, intake, encoders, EncodeApplication(settings, manifest.kind, log, intake, encoders, metrics))


async def _serve(application: EncodeApplication, settings: EncodeSettings, addresses: list[str]) -> None:
    stop, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) != signal.SIG_IGN:
            loop.add_signal_handler(number, stop.set)
    async with listening(application, addresses, settings.port):
        application.ready = True
        print(f"encoding by '{application.about()['encoder']}' at {settings.address}", flush=True)
        await stop.wait()


def _watch(encoders: Encoders, poll_s: float, done: threading.Event) -> None:
    """Look for new encoders, and compact now and then, until ``done``."""
    compacted = time.monotonic()
    while not done.wait(poll_s):
        try:
            encoders.look()
            if time.monotonic() - compacted >= _COMPACT_S:
                compacted = time.monotonic()
                encoders.compact()
        except InputError as error:
            say(for_terminal(str(error)))
        except Exception:  # a defect; the encoders that there are go on
            say(traceback.format_exc())


def set_threads(threads: int) -> None:
    """Threads that encode a batch."""
    torch.set_num_threads(threads)
