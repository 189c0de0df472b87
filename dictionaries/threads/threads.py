"""Threads for products and rollouts: how many, and how the work is split between them.

Kernels release the GIL, so work is split into parts that plain Python threads run
(``pool.py``), of which a forked child starts its own; Numba's thread layers, which
abort or hang where two threads or a fork meet in them, stay out. Parts never share a
sum, so that every number of threads gives the same bits.

BLAS and the solvers have threads of their own, which this does not change.
"""

import atexit
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import accumulate, pairwise

from numba import config

from ..validation import check_whole
from .pool import ThreadPool

# Registers (512 bits) handled per thread before a second one pays: waking it takes
# about 0.1 ms, a register 0.5 ns
_REGISTERS_PER_THREAD = 500_000
_PARTS_PER_THREAD = 8  # whoever is free takes the next: a thread that wakes late has fewer
# Taking a part costs 5 us, much of little work: up to this many registers per thread, each has a
# large part, and a few small ones even them out
_LONG, _LARGE, _SMALL_PER_THREAD = 10_000_000, 20, 3

_for_all: int | None = None
_for_this: ContextVar[int | None] = ContextVar("bidual_threads", default=None)


def get_threads() -> int:
    """How many threads a large product may take: by default as many as cores may be used."""
    chosen = _for_this.get() or _for_all
    default: int = config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]  # set at run time
    return default if chosen is None else chosen


def set_threads(count: int | None) -> None:
    """Set the number of threads of every product in this process; None restores the default.

    Raises
    ------
    ValueError
        If ``count`` is not a whole number of at least 1.

    Examples
    --------
    >>> from bidual.dictionaries.threads.threads import get_threads, set_threads
    >>> set_threads(1)
    >>> get_threads()
    1
    >>> set_threads(None)
    """
    global _for_all
    if count is not None:
        check_whole("count", count, 1)
    _for_all = count


@contextmanager
def use_threads(count: int) -> Iterator[None]:
    """Set the number of threads within a ``with``, for products of the calling thread alone.

    Raises
    ------
    ValueError
        If ``count`` is not a whole number of at least 1.

    Examples
    --------
    >>> from bidual.dictionaries.threads.threads import get_threads, use_threads
    >>> with use_threads(3):
    ...     get_threads()
    3
    """
    check_whole("count", count, 1)
    token = _for_this.set(count)
    try:
        yield
    finally:
        _for_this.reset(token)


def split(task: Callable[[int, int], None], length: int, registers: int, shortest: int = 1) -> None:
    """Call ``task(first, last)`` over consecutive parts of ``range(length)``, in threads.

    Parameters
    ----------
    task : callable
        Does its part and returns nothing; it releases the GIL.
    length : int
        What is divided, in a few parts for each thread.
    registers : int
        Work of the whole, in 512-bit registers handled; little is not split.
    shortest : int
        Length below which parts get in each other's way.
    """
    most = max(1, length // shortest)
    count = min(most, worthwhile(registers))
    if count < 2:
        task(0, length)
        return
    small, large = count * _SMALL_PER_THREAD, _LARGE
    if registers >= _LONG * count or length < shortest * (count * large + small):
        # as many for each thread, so that all end together where they are equally fast
        small, large = count * (min(_PARTS_PER_THREAD, most // count) - 1), 1
    ends = [0, *accumulate([large] * count + [1] * small)]
    left = iter([(length * a // ends[-1], length * b // ends[-1]) for a, b in pairwise(ends)])

    def work() -> None:
        for part in left:  # next() of a list's iterator holds the GIL
            task(*part)

    together(work, count)


def worthwhile(registers: int) -> int:
    """How many threads so much work pays for, at least 1."""
    return max(1, min(get_threads(), registers // _REGISTERS_PER_THREAD))


def together(work: Callable[[], None], count: int) -> None:
    """Call ``work``, which shares itself out, here and in ``count`` - 1 other threads.

    Those that are busy elsewhere until it has ended here don't call it.
    """
    if count < 2:
        work()
    else:
        _pool.share(work, count - 1)


_pool = ThreadPool()  # starts no thread before there is work


def _forget_pool() -> None:
    global _pool
    _pool = ThreadPool()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)
atexit.register(lambda: _pool.close())
