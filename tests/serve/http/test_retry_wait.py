"""A growing wait: doubled to the longest, none before the first failure or after a reset."""

from serve.http.retry_wait import RetryWait


def test_waits_double_up_to_the_longest():
    wait, now = RetryWait(1.0, 60.0), 1000.0
    assert wait.over(-1e9)
    for seconds in (1, 2, 4, 8, 16, 32, 60, 60):
        assert wait.failed(now) == seconds and not wait.over(now + seconds - 0.001) and wait.over(now + seconds)
        now += seconds
    wait.reset()
    assert wait.over(now) and wait.failed(now) == 1
