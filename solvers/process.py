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
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache
from typing import Any

from threadpoolctl import ThreadpoolController


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
                yield came
        finally:
            self._heard.reset(token)

    def _record(self) -> Any:
        return warnings.filters

    def _change(self) -> None:
        for message in self._messages:
            warnings.filterwarnings("ignore", message, self._kind)

    def _restore(self, before: Any) -> None:
        now: Any = warnings.filters  # a catch_warnings elsewhere may have replaced the list
        for filters in (before, now):
            for each in [one for one in filters if one[2] is self._kind]:
                filters.remove(each)


class _NoStrayLines(Shared):
    """``sys.stdout`` without the lines that stopped solvers print, whatever their settings."""

    def _record(self) -> Any:
        # a redirect_stdout elsewhere may have put back an earlier one
        return sys.stdout.file if isinstance(sys.stdout, _Filtered) else sys.stdout

    def _change(self) -> None:
        if self._before[0] is not None:  # a process without a console has none
            sys.stdout = _Filtered(self._before[0])

    def _restore(self, before: Any) -> None:
        if isinstance(sys.stdout, _Filtered):  # else the caller has replaced it meanwhile
            sys.stdout = before


class _Filtered:
    """A file that drops the lines of OSQP and of SCS about an interrupt."""

    def __init__(self, file: Any) -> None:
        self.file = file

    def __getattr__(self, name: str) -> Any:
        return getattr(self.file, name)

    def write(self, text: str) -> Any:
        """Write a text, unless it is such a line."""
        stray = text.strip() in ("Solver interrupted", "Failure:interrupted")
        return len(text) if stray else self.file.write(text)


one_blas_thread = _OneBlasThread()
no_stray_lines = _NoStrayLines()
