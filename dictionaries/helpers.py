"""Helpers: threads that do work together with the one that asks, and stay awake a moment after.

Waking a thread that sleeps takes up to 0.1 ms, half a product of 1 ms takes 0.5.
Where work comes soon after work, as in a solver that does little beside products, a
helper therefore goes on reading a count for about as long once its work is done, and
only then sleeps: the next begins at once. Where it comes seldom, helpers sleep, since
a thread that waits awake slows others on the same chip.

The GIL is the other thing to wait for: a thread that finds it taken sleeps too. So all
waiting here is done without it, a helper counts its work as done only when it has let
the GIL go, and begins new work a little after it was posted, when the one that posted
it is within a kernel.
"""

from collections import deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from queue import SimpleQueue
from threading import Lock
from time import perf_counter

import numpy as np

from ..kernels.waiting import await_count, linger

_TURNS = 6_000  # reads of a count before a wait goes to sleep: 0.1 to 0.3 ms on x86-64
_SOON = 2e-4  # seconds between work and work for which a helper stays awake
_DELAY = 200  # turns between posted work and its begin: some 5 us


@cache
def _load_waits() -> None:
    """Have Numba load both waits, under a lock of its own that no fork may find taken."""
    count = np.zeros(1, dtype=np.int64)
    linger(count, count, 0, 0, 0)
    await_count(count, 1, 1)


class _Job:
    """Work, how many helpers took it and what came of it, and a count that says so sooner."""

    def __init__(self, work: Callable[[], None], soon: bool) -> None:
        self.work = work
        self.soon = soon
        self.taken = 0
        self.ended: SimpleQueue[BaseException | None] = SimpleQueue()
        self.done = np.zeros(1, dtype=np.int64)


class Helpers:
    """At most ``size`` threads, started when there is work and shared by all who ask.

    Examples
    --------
    >>> from bidual.dictionaries.helpers import Helpers
    >>> rows = iter(range(1000))
    >>> seen = set()
    >>> Helpers(2).share(lambda: seen.update(rows), 2)
    >>> len(seen)
    1000
    """

    def __init__(self, size: int) -> None:
        self.size = size
        self._pool = ThreadPoolExecutor(size, "bidual")  # starts no thread before its first work
        self._lock = Lock()  # of what follows
        self._jobs: deque[_Job] = deque()  # each as often as helpers may still take it
        self._awake = 0  # changed by helpers alone, whom no Ctrl-C interrupts
        self._posted = np.zeros(1, dtype=np.int64)
        self._ended = 0.0

    def share(self, work: Callable[[], None], count: int) -> None:
        """Call ``work`` in this thread and in those of ``count`` helpers that come before it ends.

        Returns when all calls have ended; then the first error of any is raised.
        """
        _load_waits()
        job = _Job(work, perf_counter() - self._ended < _SOON)
        try:
            self._post(job, count)
            work()
        finally:  # no call may outlive this
            started = self._withdraw(job)
            await_count(job.done, started, _TURNS)
            ended = [job.ended.get() for _ in range(started)]
            self._ended = perf_counter()
        errors = [error for error in ended if error is not None]
        if errors:
            try:
                raise errors[0]
            finally:
                del ended, errors, job, work  # all that the error's traceback would keep

    def close(self) -> None:
        """Start no more work in helpers, and let their threads end."""
        self._pool.shutdown(wait=False)

    def _post(self, job: _Job, count: int) -> None:
        with self._lock:
            self._jobs.extend([job] * count)
            self._posted[0] += 1
            asleep = min(count, self.size - self._awake)
        try:
            for _ in range(asleep):
                self._pool.submit(self._serve)
        except RuntimeError:  # no more threads, or the interpreter ends: the caller does all
            pass

    def _withdraw(self, job: _Job) -> int:
        """Offer a job to no more helpers; return how many have taken it."""
        with self._lock:
            for _ in range(self._jobs.count(job)):
                self._jobs.remove(job)
            return job.taken

    def _serve(self) -> None:
        """Take jobs until none comes for a moment."""
        with self._lock:
            self._awake += 1
        while True:
            with self._lock:
                if not self._jobs:
                    self._awake -= 1
                    return
                seen = int(self._posted[0])
                job = self._jobs.popleft()
                job.taken += 1
            error = None
            try:
                job.work()
            except BaseException as raised:  # the one who asked raises it
                error = raised
            job.ended.put(error)
            linger(job.done, self._posted, seen, _TURNS if job.soon else 0, _DELAY)
            del job, error  # whose traceback holds this frame
