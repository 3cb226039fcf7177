"""Routes of the page for people: its files, items and pictures, nearest items, explained scores, traffic; OpenAPI."""

import re
from collections.abc import Awaitable, Callable, Iterable
from importlib.resources import files
from pathlib import PurePath
from typing import Any

import numpy as np
import orjson
from aiohttp import web

from embeddings.errors import InputError, shown
from embeddings.frozen.nearest import nearest_rows
from embeddings.frozen.store import FrozenStore
from recsys.exported.model import ExportedModel
from recsys.features.table_rows import table_rows
from serve.explain import Explanation, explain
from serve.http.lookups import Lookups
from serve.http.score_queue import ScoreQueue
from serve.http.settings import Settings
from serve.page.items import Items
from serve.page.openapi import openapi
from serve.page.traffic import traffic
from serve.request.answers import json_answer
from serve.request.json_request import parse_request
from serve.request.media_types import JSON
from serve.scorer import Scorer

MOST_EXPLAINED = 50  # candidates
MOST_IDS = 200  # items that are asked for at once
MOST_FOUND = 20  # by a title, or nearest
MOST_ROWS = 5_000_000  # of a store that is read whole for nearest items
MOST_LOOKUPS = 8  # by titles, in the order of a column, of nearest items; that wait for each other
_TYPES = {".html": "text/html", ".css": "text/css", ".js": "text/javascript"}
_FILES = (
    "page.html",
    "page.css",
    "page.js",
    "calls.js",
    "elements.js",
    "score.js",
    "details.js",
    "items.js",
    "traffic.js",
)
OPEN = {"/", *(f"/page/{name}" for name in _FILES)}  # the same for everybody, and without data
SAFE = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src blob: data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
}
_INT64 = re.compile(r"-?[0-9]{1,19}")


class PageRoutes:
    """What the page asks for.

    Args:
        read_body: reads a request's body, bounded.
        metrics: what GET /metrics answers.
        slow: requests of this process that were slow, oldest first.
    """

    def __init__(
        self,
        scorer: Scorer,
        settings: Settings,
        items: Items,
        queue: ScoreQueue,
        read_body: Callable[[web.Request], Awaitable[bytes]],
        metrics: Callable[[], bytes],
        slow: Iterable[dict[str, Any]],
    ) -> None:
        self._scorer, self._settings, self._items = scorer, settings, items
        self._queue, self._read_body, self._metrics, self._slow = queue, read_body, metrics, slow
        self._lookups = Lookups(MOST_LOOKUPS, settings.timeout_s)
        folder = files("serve.page") / "templates"
        self._files = {name: (folder / name).read_bytes() for name in _FILES}

    def routes(self) -> list[web.RouteDef]:
        """All of them."""
        return [
            web.get("/", self._page),
            web.get("/page/{name}", self._page),
            web.get("/v1/page/about", self._about),
            web.get("/v1/page/items", self._found),
            web.get("/v1/page/nearest", self._nearest),
            web.get("/v1/page/picture", self._picture),
            web.get("/v1/page/traffic", self._traffic),
            web.post("/v1/page/explain", self._explain),
        ]

    async def _page(self, request: web.Request) -> web.Response:
        name = request.match_info.get("name", "page.html")
        if name not in self._files:
            raise web.HTTPNotFound(text="the page has no such file")
        kind = _TYPES[name[name.rindex(".") :]]
        headers = SAFE | {"Content-Type": f"{kind}; charset=utf-8", "Cache-Control": "no-cache"}
        return web.Response(body=self._files[name], headers=headers)

    async def _about(self, request: web.Request) -> web.Response:
        model, example = self._scorer.model_and_example
        schema, config, fields = model.schema, model.manifest.model, model.fields
        item = schema.feature(schema.target)
        sides = {}
        for name in fields:
            context = name in example.context if example else name != item.source
            given = (example.context if context else example.candidates).get(name, []) if example else []
            values = given[:MOST_FOUND] if not context and isinstance(given, list) else given
            sides[name] = {"context": context, "example": _text(values) if context else [_text(v) for v in values]}
        history = {name: schema.feature(schema.modalities[name].history).source for name in model.stores}
        return _json(
            {
                "version": model.manifest.version,
                "run": PurePath(model.manifest.source.run).name,
                "step": model.manifest.source.step,
                "item": item.source,
                "user": schema.user,
                "columns": {
                    name: {"kind": field.kind, "max_length": field.max_length, **sides[name]}
                    for name, field in fields.items()
                },
                "histories": list(dict.fromkeys(history.values())) or _sequences(model),
                "modalities": {
                    name: {
                        "count": store.count, "width": store.width, "dtype": store.dtype, "encoder": store.encoder,
                        "history": history[name], "parts": config.parts(name),
                        "searchable": not store.live and store.count <= MOST_ROWS,
                    }
                    for name, store in model.stores.items()
                },
                "items": len(self._items),
                "sortable": self._items.sortable,
                "most_candidates": MOST_EXPLAINED,
                "processes": self._settings.processes,
            }
        )  # fmt: skip

    async def _found(self, request: web.Request) -> web.Response:
        """Items by ids, by their places in the order of a column, or by an id or a part of a title."""
        if (given := request.query.get("ids")) is not None:
            ids = [_id(text) for text in given.split(",") if text]
            if len(ids) > MOST_IDS:
                raise InputError(f"ids: {len(ids)} of them; allowed: {MOST_IDS}; ask for fewer")
        elif (column := request.query.get("most")) is not None:
            if column not in self._items.sortable:
                raise InputError(f"most is {shown(column)}; allowed: {', '.join(self._items.sortable) or 'none'}")
            ids = await self._lookups.run(request, lambda: self._items.largest(column, MOST_FOUND))
        else:
            words = request.query.get("q", "").strip()
            ids = [int(words)] if _INT64.fullmatch(words) and _fits(int(words)) else []
            if words:
                ids += await self._lookups.run(request, lambda: self._items.titled(words, MOST_FOUND))
        return _json(self._described(self._scorer.model, list(dict.fromkeys(ids))))

    async def _nearest(self, request: web.Request) -> web.Response:
        name, item = request.query.get("modality", ""), _id(request.query.get("id", ""))
        model = self._scorer.model
        store = model.stores.get(name)
        if store is None:
            raise InputError(f"modality is {shown(name)}; the model has {', '.join(model.stores) or 'none'}")
        if not isinstance(store, FrozenStore):
            raise InputError(f"modality '{name}' is a live index, in which a page does not look for nearest items")
        if store.count > MOST_ROWS:
            raise InputError(
                f"modality '{name}' has {store.count:,} vectors, too many to compare on a page; allowed: {MOST_ROWS:,}"
            )
        row = int(store.rows(np.array([item]))[0])
        if row < 0:
            return _json([])
        rows, cosines = await self._lookups.run(request, lambda: nearest_rows(store, row, MOST_FOUND))
        described = self._described(model, store.ids[rows].tolist())
        return _json([one | {"cosine": round(c, 4)} for one, c in zip(described, cosines.tolist(), strict=True)])

    def _described(self, model: ExportedModel, ids: list[int]) -> list[dict[str, Any]]:
        raw = np.array(ids, np.int64)
        item = model.schema.feature(model.schema.target)
        trained: list[bool | None] = [None] * len(ids)
        if item.table is not None and item.table in model.tables and ids:
            rows = np.empty(raw.size, np.int64)
            table_rows(raw, model.schema.table_of(item), out=rows)
            trained = model.tables[item.table].trained(rows).tolist()
        vectors = {name: (store.rows(raw) >= 0).tolist() for name, store in model.stores.items()}
        return [
            {
                "id": str(one),  # JavaScript would round a number
                "facts": self._items.facts(one),
                "picture": self._items.picture_type(one) is not None,
                "trained": trained[i],
                "vectors": {name: known[i] for name, known in vectors.items()},
            }
            for i, one in enumerate(ids)
        ]

    async def _picture(self, request: web.Request) -> web.Response:
        item = _id(request.query.get("id", ""))
        kind = self._items.picture_type(item)
        if kind is None:
            raise web.HTTPNotFound(text="there is no PNG, JPEG or WebP picture of that item")
        headers = SAFE | {"Cache-Control": "private, max-age=3600"}
        return web.Response(body=self._items.picture(item), content_type=kind, headers=headers)

    async def _explain(self, request: web.Request) -> web.Response:
        if request.content_type != JSON:
            raise web.HTTPUnsupportedMediaType(text=f"Content-Type is {request.content_type}; wanted {JSON}")
        context, candidates = parse_request(await self._read_body(request))
        columns = candidates.values() if isinstance(candidates, dict) else ()
        count = max((len(v) for v in columns if isinstance(v, list)), default=0)
        if count > MOST_EXPLAINED:
            raise InputError(f"candidates: {count} of them; explained are at most {MOST_EXPLAINED}; give fewer")
        explained, _ = await self._queue.run(request, lambda: _explanation(explain(self._scorer, context, candidates)))
        return web.Response(body=explained, content_type=JSON)

    async def _traffic(self, request: web.Request) -> web.Response:
        return _json({**traffic(self._metrics()), "slow": list(self._slow)[-MOST_FOUND:]})

    def openapi(self) -> dict[str, Any]:
        """The OpenAPI description of the version that scores."""
        token = self._settings.token is not None
        limits, size = self._settings.limits, self._settings.body_bytes
        model, example = self._scorer.model_and_example
        return openapi(model.fields, limits, size, token, example)


def _explanation(explained: Explanation) -> bytes:
    def rounded(arrays: Any) -> dict[str, np.ndarray]:
        return {name: np.round(values.astype(np.float64), 4) for name, values in arrays.items()}

    parts = ("without", "tiers", "cosines", "make")
    scored = orjson.loads(json_answer(explained.answer))
    return orjson.dumps(
        scored | {part: rounded(getattr(explained, part)) for part in parts}, option=orjson.OPT_SERIALIZE_NUMPY
    )


def _sequences(model: ExportedModel) -> list[str]:
    return [f.source for f in model.schema.features if f.kind == "sequence"]


def _text(value: Any) -> str:
    """A value as somebody types it; integers of 64 bits stay whole."""
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def _id(text: str) -> int:
    if not _INT64.fullmatch(text) or not _fits(int(text)):
        raise InputError(f"id is {shown(text)}; wanted an integer of 64 bits")
    return int(text)


def _fits(number: int) -> bool:
    return -(2**63) <= number < 2**63


def _json(value: Any) -> web.Response:
    return web.Response(body=orjson.dumps(value), content_type=JSON)
