"""A thread pool that no Ctrl-C can leave locked.

An executor of ``concurrent.futures`` waits on semaphores and conditions, which are Python code:
a KeyboardInterrupt just after one took its lock leaves it taken, and the next call waits forever.
The locks and queues here are those of C, which an interrupt comes before or after.
"""

from collections.abc import Callable
from queue import SimpleQueue
from threading import Lock, Thread


class _Job:
    """Work, how many threads took it, and the error that it ended with in each, or None."""

    def __init__(self, work: Callable[[], None]) -> None:
        self.work = work
        self.taken = 0
        self.ended: SimpleQueue[BaseException | None] = SimpleQueue()


class ThreadPool:
    """Threads, as many as were ever asked for at once, that all callers share.

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
        self._lock = Lock()  # of threads and jobs
        self._threads: list[Thread] = []
        self._closed = False
        self._jobs: list[_Job] = []  # each as often as threads may still take it
        self._calls: SimpleQueue[bool] = SimpleQueue()  # to threads: look at jobs, or end

    def share(self, work: Callable[[], None], count: int) -> None:
        """Call ``work`` in this thread and in up to ``count`` others that come before it ends.

        Returns when all calls have ended; then the first error of any is raised.
        """
        job = _Job(work)
        try:
            self._offer(job, count)
            work()
        finally:  # no call may outlive this
            ended = [job.ended.get() for _ in range(self._withdraw(job))]
        errors = [error for error in ended if error is not None]
        if errors:
            try:
                raise errors[0]
            finally:
                del ended, errors, job, work  # all that the error's traceback would keep

    def close(self) -> None:
        """End all threads; later calls run in the caller's thread."""
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
                    # a daemon, for the interpreter would wait for others before it ends
                    thread = Thread(target=self._serve, name="bidual thread", daemon=True)
                    thread.start()
                    self._threads.append(thread)
            except RuntimeError:  # no more threads, or the interpreter ends: fewer will do
                pass
            self._jobs += [job] * count
            for _ in range(min(count, len(self._threads) - self._calls.qsize())):
                self._calls.put(True)

    def _withdraw(self, job: _Job) -> int:
        """Offer a job to no more threads; return how many have taken it."""
        with self._lock:
            self._jobs = [other for other in self._jobs if other is not job]
            return job.taken

    def _serve(self) -> None:
        while self._calls.get():
            while self._run():
                pass

    def _run(self) -> bool:
        """Take a job and do its work; False where there is none."""
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
        del job  # first, so that the caller frees what the work held
        ended.put(error)
        del error  # its traceback holds this frame
        return True
