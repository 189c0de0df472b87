"""A progress line on standard error; silent unless standard error is a terminal."""

import sys
import time

from ..kernels.text import printable


class LiveLine:
    """Line of a terminal that is rewritten at most ten times a second."""

    def __init__(self) -> None:
        self._watched = sys.stderr.isatty()
        self._last = 0.0

    def show(self, text: str) -> None:
        """Replace the line by ``text``."""
        now = time.monotonic()
        if self._watched and now - self._last > 0.1:
            self._last = now
            print(f"\r\033[K{printable(text)[:100]}", end="", file=sys.stderr, flush=True)

    def clear(self) -> None:
        """Erase the line."""
        if self._watched:
            self._last = 0.0
            print("\r\033[K", end="", file=sys.stderr, flush=True)
