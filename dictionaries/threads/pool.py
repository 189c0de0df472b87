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

Threads, locks and queues are bare ones: a Ctrl-C within the Python code of an executor's
or of a semaphore can leave a lock taken for good.
"""

from collections import deque
from collections.abc import Callable
from functools import cache
from queue import SimpleQueue
from threading import Lock, Thread
from time import perf_counter

import numpy as np

from ...kernels.waiting import await_count, linger

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
    """Threads, as many as were ever asked for at once, that all who ask share.

    Examples
    --------
    >>> from bidual.dictionaries.threads.pool import Helpers
    >>> rows = iter(range(1000))
    >>> seen = set()
    >>> Helpers().share(lambda: seen.update(rows), 2)
    >>> len(seen)
    1000
    """

    def __init__(self) -> None:
        self._lock = Lock()  # of what follows
        self._threads: list[Thread] = []
        self._closed = False
        self._awake = 0  # changed by helpers alone, whom no Ctrl-C interrupts
        self._jobs: deque[_Job] = deque()  # each as often as helpers may still take it
        self._calls: SimpleQueue[bool] = SimpleQueue()  # to those asleep: True wakes, False ends
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
        """Have all threads end, and leave what comes later to those who ask."""
        with self._lock:
            self._closed = True
        for _ in self._threads:
            self._calls.put(False)
        for thread in self._threads:
            thread.join()

    def _post(self, job: _Job, count: int) -> None:
        with self._lock:
            if self._closed:
                return
            try:
                while len(self._threads) < count:
                    # a daemon, for the interpreter would wait for others before it ends
                    thread = Thread(target=self._run, name="bidual helper", daemon=True)
                    thread.start()
                    self._threads.append(thread)
            except RuntimeError:  # no more threads, or the interpreter ends: fewer will do
                pass
            self._jobs.extend([job] * count)
            self._posted[0] += 1
            asleep = len(self._threads) - self._awake - self._calls.qsize()
            for _ in range(min(count, asleep)):
                self._calls.put(True)

    def _withdraw(self, job: _Job) -> int:
        """Offer a job to no more helpers; return how many have taken it."""
        with self._lock:
            for _ in range(self._jobs.count(job)):
                self._jobs.remove(job)
            return job.taken

    def _run(self) -> None:
        while self._calls.get():
            self._serve()

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
            ended, done, turns = job.ended, job.done, _TURNS if job.soon else 0
            # first, so that the one who asked frees what the work held: arrays freed here, later
            # than elsewhere, leave heaps that return and fetch their pages at every product
            del job
            ended.put(error)
            del ended, error  # whose traceback holds this frame
            linger(done, self._posted, seen, turns, _DELAY)
