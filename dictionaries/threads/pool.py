"""A thread pool that no Ctrl-C can leave locked.

An executor of ``concurrent.futures`` waits on semaphores and conditions, which are Python code.
If a KeyboardInterrupt comes just after one has acquired its lock, the lock is never released, and
the next call waits forever. This pool uses locks and queues written in C: an interrupt comes
before or after their calls, not within.
"""

from collections.abc import Callable
from queue import SimpleQueue
from threading import Lock, Thread


class _Job:
    """Work, the number of threads that took it, and the error or None of each that has ended."""

    def __init__(self, work: Callable[[], None]) -> None:
        self.work = work
        self.taken = 0
        self.ended: SimpleQueue[BaseException | None] = SimpleQueue()


class ThreadPool:
    """Threads that all callers share, as many as the largest call so far asked for.

    Examples
    --------
    >>> from bidual.dictionaries.threads.pool import ThreadPool
    >>> rows = iter(range(1000))
    >>> seen = set()
    >>> ThreadPool().share(lambda: seen.update(rows), 2)
    >>> len(seen)
    1000
    """

    def __init__(self) -> None:
        self._lock = Lock()  # guards threads and jobs
        self._threads: list[Thread] = []
        self._closed = False
        self._jobs: list[_Job] = []  # each job once per thread that may still take it
        self._calls: SimpleQueue[bool] = SimpleQueue()  # True: take jobs, False: end

    def share(self, work: Callable[[], None], count: int) -> None:
        """Call ``work`` in this thread and in up to ``count`` others that begin before it ends.

        Return when all calls have ended, or raise the first error of any of them.
        """
        job = _Job(work)
        try:
            self._offer(job, count)
            work()
        finally:  # no other call may go on after this one, even after an error
            ended = [job.ended.get() for _ in range(self._withdraw(job))]
        errors = [error for error in ended if error is not None]
        if errors:
            try:
                raise errors[0]
            finally:
                del ended, errors, job, work  # the error's traceback would keep them alive

    def close(self) -> None:
        """End all threads; later work runs in the caller's thread only."""
        with self._lock:
            self._closed = True
            threads, self._threads = self._threads, []
        for _ in threads:
            self._calls.put(False)
        for thread in threads:
            thread.join()

    def _offer(self, job: _Job, count: int) -> None:
        with self._lock:
            try:
                while len(self._threads) < count and not self._closed:
                    # a daemon, as the interpreter waits for all other threads before it ends
                    thread = Thread(target=self._serve, name="bidual thread", daemon=True)
                    thread.start()
                    self._threads.append(thread)
            except RuntimeError:  # the system is out of threads, or the interpreter ends
                pass  # fewer threads do the same work
            self._jobs += [job] * count
            for _ in range(min(count, len(self._threads) - self._calls.qsize())):
                self._calls.put(True)

    def _withdraw(self, job: _Job) -> int:
        """Stop offering a job; return how many threads have taken it."""
        with self._lock:
            self._jobs = [other for other in self._jobs if other is not job]
            return job.taken

    def _serve(self) -> None:
        while self._calls.get():
            while self._run():
                pass

    def _run(self) -> bool:
        """Take a job and do its work; return False if no job is left."""
        with self._lock:
            if not self._jobs:
                return False
            job = self._jobs.pop()
            job.taken += 1
        error = None
        try:
            job.work()
        except BaseException as raised:  # the caller raises it
            error = raised
        ended = job.ended
        del job  # before the caller wakes, so that nothing else holds the work's arrays
        ended.put(error)
        del error  # the error's traceback holds this frame
        return True
