"""The encode service's HTTP application: items in, what became of them out."""

import asyncio
from collections.abc import Sequence
from typing import Any

from aiohttp import web

from embeddings.errors import shown
from serve.encode.content_log import Change, ContentLog, Kind, NotStored
from serve.encode.encoders import Encoders
from serve.encode.intake import Intake
from serve.encode.item_requests import arrow_changes, check_id, json_changes
from serve.encode.metrics import EncodeMetrics
from serve.encode.settings import EncodeSettings
from serve.http.guarded_application import GuardedApplication
from serve.request.json_object import read_object
from serve.request.media_types import ARROW, JSON

MOST_NAMED = 1000  # dead items in an answer


class EncodeApplication(GuardedApplication):
    """Takes items over HTTP."""

    def __init__(
        self,
        settings: EncodeSettings,
        kind: Kind,
        log: ContentLog,
        intake: Intake,
        encoders: Encoders,
        metrics: EncodeMetrics,
    ) -> None:
        super().__init__(settings, metrics)
        self._settings, self._kind, self._log, self._intake, self._encoders = settings, kind, log, intake, encoders
        self._metrics = metrics
        item = "/v1/items/{item:-?[0-9]{1,19}}"
        self.web.add_routes(
            [
                web.post("/v1/items", self._post),
                web.put(item, self._put),
                web.delete(item, self._delete),
                web.get(item, self._get),
                web.get("/v1/dead", self._dead),
                web.get("/v1/encoders", self._about_encoders),
                web.post("/v1/encoders/activate", self._activate),
            ]
        )

    def about(self) -> dict[str, Any]:
        """The encoder whose vectors the answers are about."""
        return {"encoder": self._encoders.name}

    def status_of(self, error: Exception) -> int | None:
        """As in ``GuardedApplication``."""
        return 503 if isinstance(error, NotStored) else super().status_of(error)

    async def _post(self, request: web.Request) -> web.Response:
        kind = request.content_type
        if kind not in (JSON, ARROW):
            raise web.HTTPUnsupportedMediaType(text=f"Content-Type is {kind}; wanted {JSON} or {ARROW}")
        body = await self._body(request)
        read = json_changes if kind == JSON else arrow_changes
        return await self._taken(request, read(body, self._kind, self._settings.backlog))

    async def _put(self, request: web.Request) -> web.Response:
        item = _item(request)
        return await self._taken(request, [Change(item, await self._body(request))])

    async def _delete(self, request: web.Request) -> web.Response:
        return await self._taken(request, [Change(_item(request), None)])

    async def _body(self, request: web.Request) -> bytes:
        self._check_room()  # before it comes
        return await self.bodies.read(request)

    def _check_room(self) -> None:
        if (behind := self._encoders.active.behind) >= self._settings.backlog:
            raise web.HTTPTooManyRequests(text=f"{behind:,} items wait to be encoded", headers={"Retry-After": "1"})

    async def _taken(self, request: web.Request, changes: Sequence[Change]) -> web.Response:
        """Keep ``changes``, and answer once their vectors are in the index, or at once with ``?wait=0``."""
        wait = request.query.get("wait", "1")
        if wait not in ("0", "1"):
            raise web.HTTPBadRequest(text=f"wait is {shown(wait)}; wanted 0 or 1")
        self._check_room()
        outcomes = await asyncio.wrap_future(self._intake.accept(changes))
        if wait == "0":
            return web.json_response({"items": len({change.item for change in changes})}, status=202)
        try:
            told = await asyncio.wait_for(asyncio.wrap_future(outcomes), self._settings.timeout_s)
        except asyncio.TimeoutError:
            raise web.HTTPServiceUnavailable(
                text=f"kept, and not in the index within {self._settings.timeout_s:g} s; it will be: GET /v1/items/ID "
                "tells",
                headers={"Retry-After": "1"},
            ) from None
        dead = [{"id": one.item, "reason": one.reason} for one in told if one.reason is not None]
        about = {
            "encoder": self._encoders.name,
            "items": len(told) - len(dead),
            "sequence": max(one.sequence for one in told),
        }
        if not dead:
            return web.json_response(about)
        error = (
            f"{len(dead)} of {len(told)} items have no vector; the first is item {dead[0]['id']}: {dead[0]['reason']}"
        )
        return web.json_response({"error": error, **about, "dead": dead[:MOST_NAMED]}, status=422)

    async def _get(self, request: web.Request) -> web.Response:
        item = _item(request)
        entry = self._log.content(item)
        if entry is None:
            raise web.HTTPNotFound(text=f"item {item} never came")
        reason = self._log.reason(item)
        waits = entry.revision > self._encoders.active.position
        deleted = entry.content is None
        state = "waiting" if waits else "deleted" if deleted else "dead" if reason is not None else "encoded"
        about = {"id": item, "state": state, "bytes": len(entry.content or b"")}
        return web.json_response(about if reason is None else {**about, "reason": reason})

    async def _dead(self, request: web.Request) -> web.Response:
        count, dead = self._log.dead(MOST_NAMED)
        items = [{"id": item, "encoder": why.encoder, "reason": why.reason} for item, why in dead.items()]
        return web.json_response({"count": count, "items": items})

    async def _about_encoders(self, request: web.Request) -> web.Response:
        return web.json_response({"encoders": self._encoders.about(), "items": self._log.entries})

    async def _activate(self, request: web.Request) -> web.Response:
        name = read_object(await self.bodies.read(request), {"encoder"})["encoder"]
        await asyncio.to_thread(self._encoders.activate, name)
        return web.json_response({"encoder": self._encoders.name})


def _item(request: web.Request) -> int:
    return check_id(int(request.match_info["item"]))
