"""Small exported encoders, and an encode service in this process."""

import asyncio
import contextlib
import socket
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import numpy as np
import torch

from embeddings.index.live_index import LiveIndex
from recsys.scl.config import SCLModelConfig
from recsys.scl.encoders.build import build_encoder
from recsys.scl.encoders.encoder_folder import save_encoder
from recsys.scl.encoders.tokenizer import train_tokenizer
from serve.encode.content_log import Change
from serve.encode.service import Parts, parts
from serve.encode.settings import EncodeSettings
from serve.encode.waiting import Outcome
from serve.http.listening import listening
from tests.train.encoding.shelf import pixels, png
from train.export.export_encoder import export_encoder

WAIT_S = 60.0  # far more than anything takes
TITLES = ["red shoe", "a much longer title of a blue shoe with many words", "hat"]
PICTURES = [png(picture) for picture in pixels(8)]
SMALL = SCLModelConfig.model_validate(
    {
        "width": 12,
        "image": {"size": 16, "channels": [4, 8]},
        "text": {"hidden": 16, "heads": 2, "layers": 1, "max_length": 8, "vocabulary": 200},
    }
)


def trained(run: Path, kind: str = "image", seed: int = 4, width: int = 12) -> Path:
    """A run's folder with an encoder of weights of its own."""
    torch.manual_seed(seed)
    config = SMALL.model_copy(update={"width": width})
    encoder = build_encoder(kind, config, train_tokenizer(TITLES, 200) if kind == "text" else None).eval()
    run.mkdir(exist_ok=True)
    save_encoder(encoder, run / "encoder")
    return run


def exported(root: Path, kind: str = "image", seed: int = 4, width: int = 12, keep: int = 3) -> str:
    """An encoder is trained and exported as the next version of root/encoder; its name."""
    run = trained(root / f"run-{kind}-{seed}", kind, seed, width)
    return export_encoder(str(run), run / "encoder", str(root / "encoder"), keep).manifest.name


def settings(root: Path, **more: Any) -> EncodeSettings:
    """Of a service of the encoder in root/encoder."""
    here = {"encoder": str(root / "encoder"), "index": str(root / "index"), "contents": str(root / "contents")}
    return EncodeSettings(**{**here, "dtype": "float32", "poll_s": 0.05, **more})


@contextlib.contextmanager
def service(root: Path, **more: Any) -> Iterator[Parts]:
    """A service of root/encoder at work, without HTTP."""
    with parts(settings(root, **more)) as at_work:
        yield at_work


def taken(at_work: Parts, contents: dict[int, bytes | None]) -> dict[int, Outcome]:
    """What became of new contents of items, once all are in the index."""
    accepted = at_work.intake.accept([Change(item, content) for item, content in contents.items()])
    return {outcome.item: outcome for outcome in accepted.result(WAIT_S).result(WAIT_S)}


def vector(root: Path, item: int, encoder: str | None = None) -> np.ndarray | None:
    """The vector of an item in the index, of the active encoder or of another one."""
    with LiveIndex(str(root / "index"), encoder) as index:
        row = int(index.rows(np.array([item]))[0])
        return None if row < 0 else np.array(index.vectors[row])


def over_http(at_work: Parts, talk: Callable[[Callable[..., Awaitable[tuple[int, Any]]]], Awaitable[None]]) -> None:
    """Have ``talk`` ask the service's application on a socket: a method, a path -> status and JSON."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    async def serve() -> None:
        at_work.application.ready = True
        async with listening(at_work.application, ["127.0.0.1"], port), aiohttp.ClientSession() as client:

            async def ask(method: str, path: str, **how: Any) -> tuple[int, Any]:
                async with client.request(method, f"http://127.0.0.1:{port}{path}", **how) as answer:
                    return answer.status, await answer.json(content_type=None)

            await talk(ask)

    asyncio.run(serve())
