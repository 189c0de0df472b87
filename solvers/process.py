"""State of the whole process that solves change, and its return to what it was.

BLAS threads, warning filters, the reaction to SIGINT and ``sys.stdout`` belong to the process, not
to a thread. If each solve put back what it found, two solves that overlap would put back each
other's changes. So the first solve that enters records the state and changes it, and the last
that leaves restores it.
"""

import os
import sys
import threading
import warnings
from abc import ABC, abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import cache
from typing import Any

from threadpoolctl import ThreadpoolController

_STRAY = ("Solver interrupted", "Failure:interrupted")  # lines of OSQP and SCS


class Shared(ABC):
    """State of the process that all solves within it share; ``with shared.held():`` enters it."""

    def __init__(self) -> None:
        # a finalizer may leave while its thread enters
        self._lock = threading.RLock()
        self._within: dict[int, int] = {}  # the thread of each stay
        self._before: list[Any] = []  # the recorded state, if it is recorded
        if hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forked)

    def held(self) -> "_Stay":
        """Return a context manager; the last of those that overlap restores the state."""
        return _Stay(self)

    @abstractmethod
    def _record(self) -> Any:
        """Return the state."""

    @abstractmethod
    def _change(self) -> None:
        """Change the state for a solve."""

    @abstractmethod
    def _restore(self, before: Any) -> None:
        """Restore a recorded state."""

    def enter(self, stay: int) -> None:
        """Record and change the state, unless another stay has done so."""
        with self._lock:
            self._within[stay] = threading.get_ident()
            if len(self._within) == 1:
                if not self._before:  # an interrupt may have left a record
                    self._before.append(self._record())
                self._change()

    def leave(self, stay: int) -> None:
        """Restore the state if no other stay goes on; a second call does nothing."""
        with self._lock:
            self._within.pop(stay, None)
            if not self._within and self._before:
                self._restore(self._before[0])
                self._before.clear()

    def _forked(self) -> None:
        """In a forked child, end the stays of threads that the child does not have."""
        self._lock = threading.RLock()
        own = threading.get_ident()
        for stay in [each for each, thread in self._within.items() if thread != own]:
            self.leave(stay)


class _Stay:
    """Stay of a solve in a shared state; it also ends if an interrupt cuts its exit short."""

    def __init__(self, shared: Shared) -> None:
        self._shared = shared

    def __enter__(self) -> None:
        self._shared.enter(id(self))

    def __exit__(self, *_: object) -> None:
        self._shared.leave(id(self))

    def __del__(self) -> None:
        self._shared.leave(id(self))


class _OneBlasThread(Shared):
    """Limit of one BLAS thread.

    BLAS threads that wait for each other cost more than they bring to small systems.
    """

    def _record(self) -> list[tuple[Any, int]]:
        return [(library, library.num_threads) for library in _blas_libraries()]

    def _change(self) -> None:
        for library in _blas_libraries():
            library.set_num_threads(1)

    def _restore(self, before: list[tuple[Any, int]]) -> None:
        for library, count in before:
            if library.num_threads == 1:  # else the caller has chosen another number meanwhile
                library.set_num_threads(count)


@cache
def _blas_libraries() -> list[Any]:
    """Return the loaded BLAS libraries; the search for them runs once."""
    found = ThreadpoolController().lib_controllers
    return [library for library in found if library.user_api == "blas"]


class MutedWarnings(Shared):
    """Filters that mute warnings in the threads of solves only; other threads still see theirs."""

    def __init__(self, *messages: str) -> None:
        super().__init__()
        self._messages = messages or ("",)
        self._heard: ContextVar[tuple[type[Warning], list[type[Warning]]] | None]
        self._heard = ContextVar("bidual_heard", default=None)
        heard = self._heard

        class OfThisThread(type):
            def __subclasscheck__(cls, category: type) -> bool:
                wanted = heard.get()
                if wanted is None or not issubclass(category, wanted[0]):
                    return False
                wanted[1].append(category)
                return True

        # warnings asks for each warning whether its category is a subclass of the filter's
        self._kind: Any = OfThisThread("Muted", (Warning,), {})

    @contextmanager
    def muted(self, category: type[Warning]) -> Iterator[list[type[Warning]]]:
        """Mute warnings of a category within a ``with``; yield a list of those that came."""
        came: list[type[Warning]] = []
        token = self._heard.set((category, came))
        try:
            with self.held():
                with self._lock:  # a catch_warnings elsewhere may have put back an earlier list
                    self._change()
                yield came
        finally:
            self._heard.reset(token)

    def _record(self) -> list[Any]:
        return []  # the lists that have held the filters

    def _change(self) -> None:
        filters: Any = warnings.filters
        if any(one[2] is self._kind for one in filters):
            return
        for message in self._messages:
            warnings.filterwarnings("ignore", message, self._kind)
        self._before[0].append(filters)

    def _restore(self, before: list[Any]) -> None:
        now: Any = warnings.filters  # a copy, within a catch_warnings elsewhere
        for filters in (*before, now):
            for each in [one for one in filters if one[2] is self._kind]:
                filters.remove(each)


class _NoStrayLines(Shared):
    """Standard output without the lines that stopped solvers print, whatever their settings.

    The file itself gets another ``write``: a redirect_stdout of another thread, which may begin
    and end at any time, keeps and puts back the same file.
    """

    def __init__(self) -> None:
        super().__init__()
        self.threads: set[int] = set()  # those of solvers; the lines of others pass
        self._written: Any = None

    def _record(self) -> tuple[Any, Any]:
        return sys.stdout, _own_write(sys.stdout)

    def _change(self) -> None:
        file = self._before[0][0]
        write: Any = getattr(file, "write", None)

        def without_stray_lines(text: str) -> Any:
            if threading.get_ident() in self.threads and text.strip() in _STRAY:
                return len(text)
            return write(text)

        if write is not None:  # a process without a console has no file
            with suppress(AttributeError, TypeError):  # a file whose attributes are fixed
                file.write = self._written = without_stray_lines

    def _restore(self, before: tuple[Any, Any]) -> None:
        file, own = before
        if self._written is None or _own_write(file) is not self._written:
            return  # the caller has put another in its place
        self._written = None
        if own is None:
            del file.write
        else:
            file.write = own


def _own_write(file: Any) -> Any:
    """Return the ``write`` that a file has beside that of its class, or None."""
    return getattr(file, "__dict__", {}).get("write")


one_blas_thread = _OneBlasThread()
no_stray_lines = _NoStrayLines()
