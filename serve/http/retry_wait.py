"""Growing wait between tries that fail: each is twice as long as the one before, up to a longest one."""

FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 60.0  # before a version or a delta is tried again that cannot be taken


class RetryWait:
    """Waits of ``first_s`` to ``longest_s`` seconds; none before the first failure. Times are time.monotonic's."""

    def __init__(self, first_s: float, longest_s: float) -> None:
        self._first_s, self._longest_s = first_s, longest_s
        self.reset()

    def reset(self) -> None:
        """Begin with the first wait again, and have nothing to wait for."""
        self._next_s, self._over_at = self._first_s, float("-inf")

    def failed(self, now: float) -> float:
        """A try failed at ``now``; the seconds to wait from then."""
        wait_s, self._next_s = self._next_s, min(2 * self._next_s, self._longest_s)
        self._over_at = now + wait_s
        return wait_s

    def over(self, now: float) -> bool:
        """Whether it is time for another try."""
        return now >= self._over_at
