"""Threads for products and rollouts: how many, and how the work is split between them.

Kernels release the GIL, so work is split into parts that plain Python threads run.
Idle ones wait without spinning, for waking one takes half as long as starting it,
and a forked child starts its own; Numba's thread layers, which abort or hang where
two threads or a fork meet in them, stay out. Parts never share a sum, so that every
number of threads gives the same bits.

BLAS and the solvers have threads of their own, which this does not change.
"""

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import accumulate, pairwise
from operator import index

from numba import config

# Registers (512 bits) handled per thread before a second one pays: waking it takes
# about 0.1 ms, a register 0.5 ns
_REGISTERS_PER_THREAD = 500_000
_PARTS_PER_THREAD = 8  # whoever is free takes the next: a thread that wakes late has fewer
# Taking a part costs 5 us, much of little work: up to this many registers per thread, the first
# part of each is so many times the others, nine tenths of all
_LONG, _LARGE = 10_000_000, 63

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
    >>> from bidual.dictionaries.threads import get_threads, set_threads
    >>> set_threads(1)
    >>> get_threads()
    1
    >>> set_threads(None)
    """
    global _for_all
    _for_all = None if count is None else _checked(count)


@contextmanager
def use_threads(count: int) -> Iterator[None]:
    """Set the number of threads within a ``with``, for products of the calling thread alone.

    Raises
    ------
    ValueError
        If ``count`` is not a whole number of at least 1.

    Examples
    --------
    >>> from bidual.dictionaries.threads import get_threads, use_threads
    >>> with use_threads(3):
    ...     get_threads()
    3
    """
    token = _for_this.set(_checked(count))
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
    count = min(get_threads(), most, registers // _REGISTERS_PER_THREAD)
    if count < 2:
        task(0, length)
        return
    parts = min(count * _PARTS_PER_THREAD, most)
    large = _LARGE if registers < _LONG * count else 1
    if length < shortest * (count * large + parts - count):
        large = 1
    ends = [0, *accumulate([large] * count + [1] * (parts - count))]
    left = iter([(length * a // ends[-1], length * b // ends[-1]) for a, b in pairwise(ends)])

    def work() -> None:
        for part in left:  # next() of a list's iterator holds the GIL
            task(*part)

    others = _submitted(work, count - 1)
    try:
        work()
    finally:
        # one that has not started by now has nothing to do; the others must not outlive this
        running = [other for other in others if not other.cancel()]
        errors = [error for error in (other.exception() for other in running) if error]
    if errors:
        raise errors[0]


_pool = ThreadPoolExecutor(1, "bidual")  # starts no thread before its first work
_pool_size = 1
_left_behind: list[ThreadPoolExecutor] = []  # a parent's, whose threads a child does not have


def _submitted(work: Callable[[], None], count: int) -> list[Future[None]]:
    """Have ``count`` threads, which callers at the same time share, run ``work``."""
    global _pool, _pool_size
    if count > _pool_size:
        smaller, _pool, _pool_size = _pool, ThreadPoolExecutor(count, "bidual"), count
        smaller.shutdown(wait=False)
    started: list[Future[None]] = []
    try:
        for _ in range(count):
            started.append(_pool.submit(work))
    except RuntimeError:  # the interpreter is on its way out: the caller does the rest alone
        pass
    return started


def _forget_pool() -> None:
    global _pool
    _left_behind.append(_pool)
    _pool = ThreadPoolExecutor(_pool_size, "bidual")


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget_pool)


def _checked(count: int) -> int:
    try:
        whole = index(count)
    except TypeError:
        whole = 0
    if whole < 1:
        raise ValueError(f"count: expected a whole number of threads, at least 1, got {count!r}")
    return whole
