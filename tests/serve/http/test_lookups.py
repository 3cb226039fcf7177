"""Bounded lookups: one at a time, in a thread; what is refused, what waited too long, clients that have gone."""

import asyncio
import threading
import time
from types import SimpleNamespace

import pytest
from aiohttp import web

from serve.http.lookups import Lookups


def request(gone: bool = False) -> SimpleNamespace:
    return SimpleNamespace(transport=SimpleNamespace(is_closing=lambda: gone))


def test_one_runs_some_wait_the_others_are_refused():
    at_once, most_at_once, release = [0], [0], threading.Event()

    def look() -> str:
        assert threading.current_thread() is not threading.main_thread()
        at_once[0] += 1
        most_at_once[0] = max(most_at_once[0], at_once[0])
        release.wait(30)
        at_once[0] -= 1
        return "found"

    async def run():
        lookups = Lookups(3, 30.0)
        asked = [asyncio.create_task(lookups.run(request(), look)) for _ in range(5)]
        await asyncio.sleep(0.05)
        refused = [task for task in asked if task.done()]
        release.set()
        results = await asyncio.gather(*asked, return_exceptions=True)
        return len(refused), results, await lookups.run(request(), look)

    refused, results, after = asyncio.run(run())
    assert refused == 2 and results[:3] == ["found"] * 3 and after == "found" and most_at_once == [1]
    assert all(isinstance(e, web.HTTPTooManyRequests) and e.headers["Retry-After"] == "1" for e in results[3:])


@pytest.mark.parametrize("gone", [request(gone=True), SimpleNamespace(transport=None)])
def test_what_waited_too_long_or_whose_client_has_gone_is_not_begun(gone):
    async def run():
        lookups = Lookups(3, 0.05)
        slow = lookups.run(request(), lambda: time.sleep(0.2))
        return await asyncio.gather(
            slow, lookups.run(request(), lambda: pytest.fail("begun")), lookups.run(gone, lambda: pytest.fail("begun")),
            return_exceptions=True,
        )  # fmt: skip

    slow, late, left = asyncio.run(run())
    assert slow is None and isinstance(late, web.HTTPServiceUnavailable) and isinstance(left, ConnectionResetError)
    assert late.text == "it waited longer than 0.05 s for other lookups"
