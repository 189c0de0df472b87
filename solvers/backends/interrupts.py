"""Ctrl-C while a solver runs that calls back now and then, but lets no exception through."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def watched() -> Iterator[Callable[[], bool]]:
    """Hold Ctrl-C back within a ``with``, and give a function that tells whether it came.

    Raises
    ------
    KeyboardInterrupt
        At the end, if it came. Outside the main thread nothing is held back.
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
