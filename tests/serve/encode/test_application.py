"""The encode service over HTTP: what is taken, what is told of it, and what is refused."""

import asyncio
import base64
import threading

from serve.encode.content_log import ContentLog, NotStored
from serve.request.media_types import ARROW
from tests.serve.encode.services import PICTURES, exported, over_http, service, vector
from tests.serve.http.served import stream

TOKEN = "a-token-of-enough-letters"


def picture(item: int) -> dict[str, object]:
    return {"id": item, "image": base64.b64encode(PICTURES[item % len(PICTURES)]).decode()}


def test_items_in_every_form_and_what_is_told_of_them(tmp_path):
    name = exported(tmp_path)

    async def talk(ask):
        assert await ask("GET", "/v1/items/7") == (404, {"error": "item 7 never came"})
        assert await ask("POST", "/v1/items", json=picture(7)) == (200, {"encoder": name, "items": 1, "sequence": 1})
        status, answer = await ask("POST", "/v1/items", json={"items": [picture(8), picture(9)]})
        assert (status, answer["items"]) == (200, 2)
        body = stream({"id": [10, 11], "image": [PICTURES[2], b"broken"]})
        status, answer = await ask("POST", "/v1/items", data=body, headers={"Content-Type": ARROW})
        assert (status, answer["items"], [one["id"] for one in answer["dead"]]) == (422, 1, [11])
        assert "1 of 2 items have no vector; the first is item 11: no picture" in answer["error"]
        assert (await ask("PUT", "/v1/items/-12?wait=0", data=PICTURES[0])) == (202, {"items": 1})
        assert (await ask("DELETE", "/v1/items/7"))[0] == 200
        states = {item: (await ask("GET", f"/v1/items/{item}"))[1]["state"] for item in (7, 8, 11, -12)}
        assert states == {7: "deleted", 8: "encoded", 11: "dead", -12: "encoded"}  # encoded in the order they came
        status, dead = await ask("GET", "/v1/dead")
        assert dead["count"] == 1 and dead["items"][0]["id"] == 11 and dead["items"][0]["encoder"] == name
        assert (await ask("GET", "/ready"))[1] == {"status": "ready", "encoder": name}
        assert (await ask("GET", "/v1/encoders"))[1]["encoders"][0]["behind"] == 0

    with service(tmp_path) as at_work:
        over_http(at_work, talk)
    assert vector(tmp_path, 7) is None and vector(tmp_path, 10) is not None


def test_what_is_refused(tmp_path):
    exported(tmp_path)

    async def talk(ask):
        own = {"Authorization": f"Bearer {TOKEN}"}
        assert (await ask("PUT", "/v1/items/7", data=PICTURES[0]))[0] == 401
        assert (await ask("GET", "/health"))[0] == 200
        for method, path, how, status, words in (
            ("PUT", "/v1/items/7", {"data": bytes(5001)}, 413, "allowed: 5,000"),
            ("PUT", f"/v1/items/{2**63}", {"data": b""}, 400, "wanted a signed 64-bit"),
            ("PUT", "/v1/items/seven", {"data": b""}, 404, "Not Found"),
            ("PUT", "/v1/items/7?wait=2", {"data": b""}, 400, "wanted 0 or 1"),
            ("POST", "/v1/items", {"data": b"{"}, 415, "Content-Type is"),
            ("POST", "/v1/items", {"json": {"id": 7}}, 400, "wanted an object with id and image"),
            ("POST", "/v1/encoders/activate", {"json": {"encoder": "x"}}, 400, "not the one that encodes beside"),
        ):
            got, answer = await ask(method, path, headers=own, **how)
            assert got == status and words in answer["error"], (path, got, answer)

    with service(tmp_path, token=TOKEN, body_bytes=5000) as at_work:
        over_http(at_work, talk)
        assert at_work.log.head == 0


def test_back_pressure_a_slow_index_and_a_full_log(tmp_path, monkeypatch):
    exported(tmp_path)

    async def talk(ask):
        status, answer = await ask("PUT", "/v1/items/7", data=PICTURES[0])
        assert status == 503 and "kept, and not in the index within 0.2 s" in answer["error"]
        assert (await ask("PUT", "/v1/items/8?wait=0", data=PICTURES[0]))[0] == 202
        status, answer = await ask("PUT", "/v1/items/9?wait=0", data=PICTURES[0])
        assert status == 429 and "2 items wait to be encoded" in answer["error"]
        assert (await ask("GET", "/v1/items/8"))[1]["state"] == "waiting"
        release.set()
        while (await ask("GET", "/v1/items/8"))[1]["state"] == "waiting":
            await asyncio.sleep(0.01)
        monkeypatch.setattr(ContentLog, "append", full)
        status, answer = await ask("PUT", "/v1/items/9", data=PICTURES[0])
        assert status == 503 and "no space left" in answer["error"]

    def full(*_: object) -> None:
        raise NotStored("no space left")

    release = threading.Event()
    with service(tmp_path, timeout_s=0.2, backlog=2) as at_work:
        active = at_work.encoders.active
        tried = active._tried
        monkeypatch.setattr(active, "_tried", lambda write: release.wait(30) and tried(write))
        over_http(at_work, talk)
    assert vector(tmp_path, 7) is not None and vector(tmp_path, 9) is None
