"""Ctrl-C during a solver that calls Python back but does not pass exceptions through."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def watched() -> Iterator[Callable[[], bool]]:
    """Delay Ctrl-C within a ``with`` block, and yield a function that says whether it came.

    Outside the main thread, Ctrl-C is not delayed.

    Raises
    ------
    KeyboardInterrupt
        At the end of the block, if the user pressed Ctrl-C.
    """
    came = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield came.is_set
        return
    before = signal.signal(signal.SIGINT, lambda *_: came.set())
    try:
        yield came.is_set
    finally:
        signal.signal(signal.SIGINT, before)
    if came.is_set():
        raise KeyboardInterrupt
