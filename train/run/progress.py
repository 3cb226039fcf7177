"""The progress bar of rank 0: drawn in place on a terminal, a line now and then elsewhere."""

import sys
import time
from typing import Any

from tqdm import tqdm

_SECONDS_BETWEEN_LINES = 10.0


class ProgressBar:
    """Counts rows of one pass.

    A launcher prefixes every line of its ranks, which breaks a bar drawn in place, so a bar is drawn only where
    stderr is a terminal.
    """

    def __init__(self, what: str, total: int, shown: bool, done: int = 0) -> None:
        self._what, self._total, self._done, self._first = what, total, done, done
        self._started = self._printed = time.monotonic()
        self._shown = shown
        self._facts = ""
        terminal = shown and sys.stderr.isatty()
        self._bar = tqdm(desc=what, total=total, initial=done, unit=" rows", unit_scale=True) if terminal else None

    def facts(self, **values: Any) -> None:
        """What stands beside the count, such as loss and NE."""
        self._facts = "  ".join(f"{k} {v:.4f}" if isinstance(v, float) else f"{k} {v}" for k, v in values.items())
        if self._bar is not None:
            self._bar.set_postfix_str(self._facts)

    def advance(self, rows: int) -> None:
        self._done = min(self._done + rows, self._total)
        if self._bar is not None:
            self._bar.update(rows if self._bar.n + rows <= self._total else self._total - self._bar.n)
        elif self._shown and time.monotonic() - self._printed > _SECONDS_BETWEEN_LINES:
            self._line()

    def close(self) -> None:
        if self._bar is not None:
            self._bar.close()
        elif self._shown:
            self._line()

    def _line(self) -> None:
        self._printed = time.monotonic()
        seconds = max(self._printed - self._started, 1e-9)
        speed = (self._done - self._first) / seconds
        left = (self._total - self._done) / speed if speed else 0.0
        share = self._done / max(self._total, 1)
        print(
            f"{self._what}: {share:4.0%}  {speed:,.0f} examples/s  {left:.0f} s left  {self._facts}",
            file=sys.stderr,
            flush=True,
        )
