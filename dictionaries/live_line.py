"""A line on standard error that says what goes on; silent where nobody watches."""

import sys
import time


class LiveLine:
    """Rewrites one line of a terminal, at most ten times a second."""

    def __init__(self) -> None:
        self._watched = sys.stderr.isatty()
        self._last = 0.0

    def show(self, text: str) -> None:
        """Put ``text`` where the line was."""
        now = time.monotonic()
        if self._watched and now - self._last > 0.1:
            self._last = now
            print(f"\r\033[K{text[:100]}", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Take the line away."""
        if self._watched:
            self._last = 0.0
            print("\r\033[K", end="", file=sys.stderr, flush=True)
