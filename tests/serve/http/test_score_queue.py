"""The bounded queue: order, what is refused at once, what waited too long, clients that have gone."""

import asyncio
import time
from types import SimpleNamespace

import pytest
from aiohttp import web

from serve.http.score_queue import MOST_LOOKS, MOST_PAIRS, MOST_TOGETHER, ScoreQueue
from tests.serve.http.served import served


def request(gone: bool = False) -> SimpleNamespace:
    return SimpleNamespace(transport=SimpleNamespace(is_closing=lambda: gone))


def no_requests(requests):
    pytest.fail("nothing is scored")


def unseen(count: int) -> None:
    """Nobody looks how many wait."""


def read(kind: str, pairs: int = 10) -> SimpleNamespace:
    return SimpleNamespace(kind=(kind,), pairs=pairs)


def together(*given):
    """What is scored at once of requests and work that wait, in order, and the results."""
    scored = []

    def score(requests):
        scored.append([request.pairs for request in requests])
        return [ValueError(request.pairs) if request.pairs == 13 else request.pairs for request in requests]

    async def run():
        queue = ScoreQueue(100, 5.0, score, unseen)
        jobs = [queue.run(request(), one) if callable(one) else queue.score(request(), one) for one in given]
        tasks = [asyncio.create_task(job) for job in jobs]
        await asyncio.sleep(0)
        working = asyncio.create_task(queue.work())
        results = await asyncio.gather(*tasks, return_exceptions=True)
        working.cancel()
        return [result if isinstance(result, Exception) else result[0] for result in results]

    return scored, asyncio.run(run())


def test_small_requests_of_one_kind_that_wait_are_scored_at_once():
    scored, results = together(read("a", 1), read("a", 2), read("b", 3), read("a", 4), lambda: "work", read("a", 5))
    assert scored == [[1, 2], [3], [4], [5]] and results == [1, 2, 3, 4, "work", 5]


def test_what_is_scored_at_once_is_bounded():
    half = MOST_PAIRS // 2
    scored, _ = together(read("a", half), read("a", half), read("a", 1), read("a", 9 * MOST_PAIRS), read("a", 2))
    assert scored == [[half, half], [1], [9 * MOST_PAIRS], [2]]
    scored, _ = together(*(read("a", 1) for _ in range(MOST_TOGETHER + 1)))
    assert list(map(len, scored)) == [MOST_TOGETHER, 1]


def test_a_turn_takes_what_comes_while_the_loop_reads():
    scored = []

    async def run():
        queue = ScoreQueue(100, 5.0, lambda requests: scored.append(len(requests)) or [1] * len(requests), unseen)
        working = asyncio.create_task(queue.work())
        jobs = []

        def comes(more: int) -> None:
            jobs.append(asyncio.create_task(queue.score(request(), read("a"))))
            if more:
                asyncio.get_running_loop().call_soon(comes, more - 1)

        comes(2 * MOST_LOOKS)
        while len(jobs) <= 2 * MOST_LOOKS:
            await asyncio.sleep(0)
        await asyncio.gather(*jobs)
        working.cancel()

    asyncio.run(run())
    assert scored[0] in (MOST_LOOKS, MOST_LOOKS + 1) and sum(scored) == 2 * MOST_LOOKS + 1


def test_how_many_wait_is_told():
    told = []

    async def run():
        queue = ScoreQueue(9, 5.0, no_requests, told.append)
        jobs = [asyncio.create_task(queue.run(request(), lambda: None)) for _ in range(2)]
        await asyncio.sleep(0)
        working = asyncio.create_task(queue.work())
        await asyncio.gather(*jobs)
        working.cancel()

    asyncio.run(run())
    assert told == [1, 2, 1, 0]


def test_each_has_its_own_result_or_error():
    _, results = together(read("a", 1), read("a", 13), read("a", 2))
    assert results[::2] == [1, 2] and isinstance(results[1], ValueError)


def test_nothing_of_what_is_done_is_kept():
    """A request holds the version that read it, whose files stay mapped."""
    ended = []

    class Read:
        kind, pairs = ("a",), 1

        def __del__(self):
            ended.append("gone")

    async def run():
        queue = ScoreQueue(3, 5.0, lambda requests: [1 for _ in requests], unseen)
        working = asyncio.create_task(queue.work())
        await queue.score(request(), Read())
        await asyncio.sleep(0.01)
        assert ended == ["gone"]
        working.cancel()

    asyncio.run(run())


def test_jobs_are_done_in_order_and_what_comes_beyond_is_refused():
    done = []

    async def run():
        queue = ScoreQueue(3, 5.0, no_requests, unseen)
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
        queue = ScoreQueue(2, 5.0, no_requests, unseen)
        working = asyncio.create_task(queue.work())
        seen = []

        def job() -> None:
            seen.append("job")
            asyncio.get_running_loop().call_soon(seen.append, "read")

        await asyncio.gather(*(queue.run(request(), job) for _ in range(2)))
        working.cancel()
        return seen

    assert asyncio.run(run())[:3] == ["job", "read", "job"]


def test_a_job_that_waited_too_long_is_not_done():
    done = []

    async def run():
        queue = ScoreQueue(3, 0.05, no_requests, unseen)
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
        queue = ScoreQueue(3, 5.0, no_requests, unseen)
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
        queue = ScoreQueue(3, 5.0, no_requests, unseen)
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
    scored, score = [], type(scorer).score_together
    monkeypatch.setattr(type(scorer), "score_together", lambda self, some: scored.extend(some) or score(self, some))

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
