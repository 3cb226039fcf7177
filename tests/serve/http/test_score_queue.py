"""The bounded queue: order, what is refused at once, what waited too long, clients that have gone."""

import asyncio
import time
from types import SimpleNamespace

import pytest
from aiohttp import web

from serve.http.score_queue import ScoreQueue
from tests.serve.http.served import served


def request(gone: bool = False) -> SimpleNamespace:
    return SimpleNamespace(transport=SimpleNamespace(is_closing=lambda: gone))


def test_jobs_are_done_in_order_and_what_comes_beyond_is_refused():
    done = []

    async def run():
        queue = ScoreQueue(3, 5.0)
        jobs = [asyncio.create_task(queue.run(request(), lambda i=i: done.append(i))) for i in range(5)]
        await asyncio.sleep(0)
        assert len(queue) == 3
        working = asyncio.create_task(queue.work())
        results = await asyncio.gather(*jobs, return_exceptions=True)
        assert await queue.run(request(), lambda: "after") == ("after", pytest.approx(0, abs=5))
        working.cancel()
        return results

    results = asyncio.run(run())
    assert done == [0, 1, 2]
    assert [type(result).__name__ for result in results] == ["tuple"] * 3 + ["HTTPTooManyRequests"] * 2
    assert results[4].headers["Retry-After"] == "1"


def test_the_loop_reads_and_refuses_between_two_jobs():
    async def run():
        queue = ScoreQueue(2, 5.0)
        working = asyncio.create_task(queue.work())
        seen = []
        jobs = [asyncio.create_task(queue.run(request(), lambda: seen.append("job"))) for _ in range(2)]
        await asyncio.sleep(0)
        asyncio.get_running_loop().call_soon(seen.append, "read")
        await asyncio.gather(*jobs)
        working.cancel()
        return seen

    assert asyncio.run(run()) == ["job", "read", "job"]


def test_a_job_that_waited_too_long_is_not_done():
    done = []

    async def run():
        queue = ScoreQueue(3, 0.05)
        working = asyncio.create_task(queue.work())
        slow = asyncio.create_task(queue.run(request(), lambda: time.sleep(0.1)))
        late = asyncio.create_task(queue.run(request(), lambda: done.append("late")))
        results = await asyncio.gather(slow, late, return_exceptions=True)
        working.cancel()
        return results

    slow, late = asyncio.run(run())
    assert isinstance(slow, tuple) and not done
    assert isinstance(late, web.HTTPServiceUnavailable) and "to be scored; allowed: 0.05 s" in late.text


@pytest.mark.parametrize("gone", [request(gone=True), SimpleNamespace(transport=None)])
def test_a_client_that_has_gone_costs_nothing(gone):
    done = []

    async def run():
        queue = ScoreQueue(3, 5.0)
        jobs = [queue.run(who, lambda i=i: done.append(i)) for i, who in enumerate((gone, request()))]
        working = asyncio.create_task(queue.work())
        results = await asyncio.gather(*jobs, return_exceptions=True)
        working.cancel()
        return results

    first, _ = asyncio.run(run())
    assert done == [1] and isinstance(first, asyncio.CancelledError)


def test_what_no_handler_expects_ends_the_task_that_works():
    class Panic(BaseException):
        pass

    def panic():
        raise Panic

    async def run():
        queue = ScoreQueue(3, 5.0)
        job = asyncio.create_task(queue.run(request(), panic))
        await asyncio.sleep(0)
        try:
            await queue.work()
        finally:
            job.cancel()

    with pytest.raises(Panic):
        asyncio.run(run())


def test_over_http(scorer, monkeypatch):
    """Two wait, one of which goes; what comes beyond is refused; then the task works, and scores for who is there."""
    scored, score = [], type(scorer).score
    monkeypatch.setattr(type(scorer), "score", lambda self, *request: scored.append(1) or score(self, *request))

    async def ask():
        async with served(scorer, works=False, waiting=2) as server:
            queue = server.application.queue
            asked = [asyncio.create_task(server.json()) for _ in range(2)]
            while len(queue) < 2:
                await asyncio.sleep(0.01)
            refused = await server.json()
            asked[0].cancel()
            while not any(job.request.transport is None for job in queue._jobs):
                await asyncio.sleep(0.01)
            working = asyncio.create_task(queue.work())
            answered = await asked[1]
            metrics = (await server.ask("/metrics", "GET"))[2].decode()
            working.cancel()
            return refused, answered, metrics

    refused, answered, metrics = asyncio.run(ask())
    assert refused[0] == 429 and refused[1]["Retry-After"] == "1"
    assert refused[2] == {"error": "2 requests wait already"}
    assert answered[0] == 200 and len(scored) == 1 and 'tierwise_requests_total{status="gone"} 1.0' in metrics
