"""Compiled solvers in threads of their own, so that Python's handlers of signals go on working.

A solver that runs in the main thread keeps Python from calling the handlers. Some solvers (OSQP,
SCS, ECOS) also put a handler of their own in place of the process's while they solve: a SIGINT
then stops them and reaches nobody else, even if the process ignores SIGINT. So :func:`apart` runs
the solver in another thread, puts back the process's handler as soon as a solver has replaced it,
and keeps the solver's handler to call it when the solver shall stop.
"""

import ctypes
import signal
import sys
from _thread import allocate_lock, get_ident, start_new_thread
from collections.abc import Callable
from contextvars import copy_context
from time import perf_counter
from typing import Any, Generic, TypeVar

import numpy as np

from ..process import Shared, no_stray_lines

T = TypeVar("T")

_SOON, _LATER = 0.001, 0.02  # seconds between looks: at first, and once a handler was replaced
_REPEATS = 1000  # of a solve that a SIGINT for others has stopped


class _Reaction(Shared):
    """Reaction of the process to SIGINT, below Python's own."""

    def __init__(self) -> None:
        super().__init__()
        self._python: Any = None
        self._handlers: dict[int, Any] = {}  # those of solvers, by address
        self._told = -np.inf  # when a SIGINT last reached Python

    def _record(self) -> bytes:
        self._python = signal.getsignal(signal.SIGINT)
        return _read()

    def _change(self) -> None:
        pass

    def _restore(self, before: bytes) -> None:
        self.look()

    def look(self) -> bool:
        """Put back the handler of the process; return whether a solver had replaced it."""
        with self._lock:
            if not self._before:
                return False
            now, python = _read(), signal.getsignal(signal.SIGINT)
            if python is not self._python:  # the caller has set another
                self._python, self._before[0] = python, now
            address = _address(now)
            if address == _address(self._before[0]):
                return False
            self._handlers[address] = ctypes.CFUNCTYPE(None, ctypes.c_int)(address)
            _write(self._before[0])
            return True

    def stop(self) -> None:
        """Stop the solvers with handlers of their own, in all threads; other solves go on."""
        with self._lock:
            self._told = perf_counter()
            for handler in list(self._handlers.values()):
                handler(signal.SIGINT)

    def pass_on(self, since: float) -> None:
        """Raise SIGINT for Python's handler: a solver's own handler has taken one since then.

        Nothing is raised if a SIGINT has reached Python since then, or if the process ignores it.
        """
        self.look()
        with self._lock:
            if self._told > since or signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
                return
            self._told = perf_counter()
        signal.raise_signal(signal.SIGINT)


_sigaction = None if sys.platform == "win32" else ctypes.CDLL(None).sigaction
_SIZE = 512  # bytes; struct sigaction has at most 152


def _read() -> bytes:
    """Return the process's struct sigaction of SIGINT."""
    held = ctypes.create_string_buffer(_SIZE)
    if _sigaction is not None:
        _sigaction(int(signal.SIGINT), None, held)
    return held.raw


def _write(action: bytes) -> None:
    if _sigaction is not None:
        _sigaction(int(signal.SIGINT), action, None)


def _address(action: bytes) -> int:
    """Return the address of the handler, which the struct begins with."""
    return int.from_bytes(action[: ctypes.sizeof(ctypes.c_void_p)], sys.byteorder)


_reaction = _Reaction()


class _Call(Generic[T]):
    """Call of ``work`` in a thread of its own, by locks that no interrupt can leave locked."""

    def __init__(self, work: Callable[[], T]) -> None:
        self.ended = False
        self.result: list[T] = []
        self.error: BaseException | None = None
        self._begun, self._end = allocate_lock(), allocate_lock()
        self._end.acquire()
        self._work = work

    def start(self) -> None:
        """Start the thread, in the context of the caller."""
        start_new_thread(self._run, (copy_context().run, self._work))

    def _run(self, run: Callable[[Callable[[], T]], T], work: Callable[[], T]) -> None:
        if not self._begun.acquire(blocking=False):
            return
        try:
            no_stray_lines.threads.add(get_ident())
            self.result.append(run(work))
        except BaseException as error:  # the caller raises it
            self.error = error
        finally:
            no_stray_lines.threads.discard(get_ident())
            del run, work
            self.ended = True
            self._end.release()

    def wait(self, seconds: float) -> None:
        """Wait for the end, but no longer than that."""
        if not self.ended and self._end.acquire(timeout=seconds):
            self._end.release()

    def give_up(self, stop: Callable[[], None]) -> None:
        """Stop the solver, if it has begun, and wait for its end."""
        if not self._begun.acquire(blocking=False):
            self.stop(stop)

    def stop(self, stop: Callable[[], None]) -> None:
        """Stop the solver and wait for its end, however often Ctrl-C comes.

        Raises
        ------
        KeyboardInterrupt
            At the end, if it came meanwhile.
        """
        came = False
        while not self.ended:
            try:
                _reaction.look()
                stop()
                self.wait(_LATER)
            except KeyboardInterrupt:
                came = True
        if came:
            raise KeyboardInterrupt


def apart(
    work: Callable[[], T],
    interrupted: Callable[[T], bool] = lambda _: False,
    stop: Callable[[], None] = _reaction.stop,
    seconds: float = np.inf,
) -> T:
    """Call a solver in a thread of its own; return its result or raise its error.

    Python's handlers of signals run meanwhile. If one raises an error, KeyboardInterrupt is one,
    the solver is stopped and the error is raised once the solver has ended.

    Parameters
    ----------
    work : callable
        Calls the solver.
    interrupted : callable
        Whether the solver says in its result that a SIGINT has stopped it. If it was meant for
        others, or if the process ignores SIGINT, ``work`` is called again.
    stop : callable
        Stops the solver; by default by the handler for SIGINT that it has put in place.
    seconds : float
        Time after which the solver is stopped; the result is then one that was interrupted.
    """
    limit = perf_counter() + seconds
    with _reaction.held(), no_stray_lines.held():
        for _ in range(_REPEATS):
            begun, late = perf_counter(), False
            call, pause = _Call(work), _SOON
            try:
                call.start()
                while not call.ended and not late:
                    call.wait(min(pause, max(limit - perf_counter(), 0.0)))
                    pause = _LATER if _reaction.look() else pause
                    late = perf_counter() > limit
                if late:
                    call.stop(stop)
            except BaseException:
                call.give_up(stop)
                raise
            if call.error is not None:
                try:
                    raise call.error
                finally:
                    del call  # the error's traceback would keep both alive
            if late or not interrupted(call.result[0]):
                return call.result[0]
            _reaction.pass_on(begun)
    raise KeyboardInterrupt
