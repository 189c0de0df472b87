"""Threads for products: how many, and how a product is split between them.

Kernels release the GIL, so a product is split into parts that plain Python
threads run. They live as long as the product: no pool is kept that a fork would
break, none spins, and Numba's own thread layers, which abort or hang where two
threads or a fork meet in them, stay out. Parts never share a sum, so that every
number of threads gives the same bits.

BLAS and the solvers have threads of their own, which this does not change.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from operator import index
from threading import Thread

from numba import config

# Registers (512 bits) handled per thread before a second one pays: starting it
# takes about 0.1 ms, a register 0.5 ns (benchmarks/kernels.py shows the crossover)
_REGISTERS_PER_THREAD = 500_000

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


def split(task: Callable[[int, int], None], length: int, registers: int) -> None:
    """Call ``task(first, last)`` over consecutive parts of ``range(length)``, a thread each.

    Parameters
    ----------
    task : callable
        Does its part and returns nothing; it releases the GIL.
    length : int
        What is divided, in parts of equal size.
    registers : int
        Work of the whole, in 512-bit registers handled; little is not split.
    """
    parts = min(get_threads(), length, registers // _REGISTERS_PER_THREAD)
    if parts < 2:
        task(0, length)
        return
    edges = [length * part // parts for part in range(parts + 1)]
    errors: list[BaseException] = []

    def run(first: int, last: int) -> None:
        try:
            task(first, last)
        except BaseException as error:
            errors.append(error)

    # half the cost of a ThreadPoolExecutor, which has a queue and futures that nobody needs
    others = [Thread(target=run, args=edges[part : part + 2]) for part in range(1, parts)]
    for thread in others:
        thread.start()
    run(*edges[:2])
    for thread in others:
        thread.join()
    if errors:
        raise errors[0]


def _checked(count: int) -> int:
    try:
        whole = index(count)
    except TypeError:
        whole = 0
    if whole < 1:
        raise ValueError(f"count: expected a whole number of threads, at least 1, got {count!r}")
    return whole
