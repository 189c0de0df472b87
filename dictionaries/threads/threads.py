"""Threads for products and rollouts: their number, and the split of work among them.

Kernels release the GIL, so plain Python threads (``pool.py``) can run parts of the work at the
same time. A forked child starts threads of its own. Numba's thread layers are not used: they
abort or hang if two threads use them at once, or after a fork. Two parts never add to the same
sum, so every number of threads gives the same bits.

BLAS and the solvers have their own threads, which this module does not change.
"""

import atexit
import os
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import accumulate, pairwise

from numba import config

from ..validation import check_whole
from .pool import ThreadPool

# Registers (512 bits) of work per thread from which on another thread pays: waking a thread takes
# about 0.1 ms, a register 0.5 ns
_REGISTERS_PER_THREAD = 500_000
_PARTS_PER_THREAD = 8  # a free thread takes the next part, so a late thread takes fewer
# Taking a part costs 5 us, which is much of little work: below _LONG registers per thread, each
# thread gets one large part, and a few small parts even out the ends
_LONG, _LARGE, _SMALL_PER_THREAD = 10_000_000, 20, 3

_for_all: int | None = None
_for_this: ContextVar[int | None] = ContextVar("bidual_threads", default=None)


def get_threads() -> int:
    """Return how many threads a large product may use, by default one per available core."""
    chosen = _for_this.get() or _for_all
    default: int = config.NUMBA_NUM_THREADS  # type: ignore[attr-defined]  # set at run time
    return default if chosen is None else chosen


def set_threads(count: int | None) -> None:
    """Set the number of threads for all products of this process; None restores the default.

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
    """Set the number of threads within a ``with``, for products of the calling thread only.

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
    """Split ``range(length)`` into parts and call ``task(first, last)`` for each, in threads.

    Parameters
    ----------
    task : callable
        Does the work of one part, releases the GIL, and returns nothing.
    length : int
        Length of the range; each thread gets a few parts.
    registers : int
        Work of the whole range, in registers of 512 bits; little work is not split.
    shortest : int
        Least length of a part; shorter parts slow each other down.
    """
    most = max(1, length // shortest)
    count = min(most, worthwhile(registers))
    if count < 2:
        task(0, length)
        return
    small, large = count * _SMALL_PER_THREAD, _LARGE
    if registers >= _LONG * count or length < shortest * (count * large + small):
        # equal parts, as many per thread, so that equally fast threads end together
        small, large = count * (min(_PARTS_PER_THREAD, most // count) - 1), 1
    ends = [0, *accumulate([large] * count + [1] * small)]
    left = deque((length * a // ends[-1], length * b // ends[-1]) for a, b in pairwise(ends))

    def work() -> None:
        while left:
            try:
                part = left.popleft()  # atomic, unlike next(), in a Python without the GIL too
            except IndexError:  # another thread has taken the last part
                return
            task(*part)

    together(work, count)


def worthwhile(registers: int) -> int:
    """Return how many threads are worth their cost for this work, at least 1."""
    return max(1, min(get_threads(), registers // _REGISTERS_PER_THREAD))


def together(work: Callable[[], None], count: int) -> None:
    """Call ``work`` in this thread and in ``count`` - 1 others; the calls share the work.

    A thread that is busy until the call in this thread has ended does not call it.
    """
    if count < 2:
        work()
    else:
        _pool.share(work, count - 1)


_pool = ThreadPool()  # starts its threads when work comes


def _forget_pool() -> None:
    global _pool
    _pool = ThreadPool()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)
atexit.register(lambda: _pool.close())
