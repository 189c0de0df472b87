"""The decorator of all kernels: how Numba compiles them, and what keeps them for later processes.

Numba's own ``njit(cache=True)`` raises at import if no folder can be written, and within a solve
if a file of the folder is damaged or the disk is full. With NUMBA_DISABLE_JIT it gives functions
that Python cannot run, as kernels use vector instructions.
"""

# mypy: disable-error-code="no-untyped-call"

import logging
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import cached_property
from threading import local
from time import perf_counter
from typing import Any

from numba.core.caching import FunctionCache, NullCache
from numba.core.registry import CPUDispatcher


class _Cache(NullCache):
    """Numba's folder of compiled kernels, which may be missing, full or damaged.

    A kernel that cannot be loaded is compiled. A kernel that cannot be saved works in this
    process. Numba looks for the folder at a kernel's first call: an import writes nothing.
    """

    said = False

    def __init__(self, function: Callable[..., Any]) -> None:
        self._function = function

    @cached_property
    def _folder(self) -> Any:
        """Numba's cache of the kernel, or None if no folder can be written."""
        try:
            return FunctionCache(self._function)
        except (RuntimeError, OSError) as error:
            _say_once(error)
            return None

    @property
    def cache_path(self) -> Any:
        """Return the folder, or None."""
        return self._folder and self._folder.cache_path

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        """Return the kernel for arguments of these types, or None if it must be compiled."""
        if self._folder is None:
            return None
        try:
            kept = self._folder.load_overload(sig, target_context)
        except Exception:  # unpickling a damaged file may raise anything
            self.flush()
            return None
        # processes that save at the same time may exchange the files of two types
        return kept if kept is None or kept.signature.args == tuple(sig) else None

    def save_overload(self, sig: Any, data: Any) -> None:
        """Save the kernel for later processes."""
        if self._folder is not None:
            try:
                self._folder.save_overload(sig, data)
            except Exception as error:  # the compiled kernel works without its file
                _say_once(error)

    def flush(self) -> None:
        """Forget what was saved."""
        if self._folder is not None:
            with suppress(OSError):
                self._folder.flush()


class _Kernel(CPUDispatcher):
    def enable_caching(self) -> None:
        self._cache = _Cache(self.py_func)

    def compile(self, sig: Any) -> Any:
        if _spent.compiles:  # a kernel that another one calls
            return super().compile(sig)
        begun, _spent.compiles = perf_counter(), True
        try:
            with _folder_that_exists():
                return super().compile(sig)
        finally:
            _spent.compiles = False
            _spent.seconds += perf_counter() - begun


@contextmanager
def _folder_that_exists() -> Iterator[None]:
    """Leave a working folder that was deleted: Numba asks for its path."""
    try:
        os.getcwd()
    except FileNotFoundError:
        deleted = os.open(".", os.O_RDONLY)
        try:
            os.chdir(os.sep)
            yield
        finally:
            os.fchdir(deleted)
            os.close(deleted)
    else:
        yield


class _Spent(local):
    """Seconds that this thread has spent on compiling and loading kernels."""

    seconds = 0.0
    compiles = False


_spent = _Spent()


def compile_seconds() -> float:
    """Return how many seconds this thread has spent on compiling and loading kernels so far."""
    return _spent.seconds


def _say_once(error: Exception) -> None:
    """Log one line per process: a warning would be an error under ``-W error``."""
    if not _Cache.said:
        _Cache.said = True
        logging.getLogger("bidual").warning(
            "bidual cannot save its compiled kernels, so each process compiles them again: %s. "
            "Set NUMBA_CACHE_DIR to a folder that can be written.",
            error,
        )


def compiled(function: Callable[..., Any]) -> Any:
    """Return the kernel that Numba compiles from a function at its first call.

    NUMBA_DISABLE_JIT does not reach it.
    """
    options = {"nopython": True, "nogil": True, "boundscheck": None}
    kernel = _Kernel(function, locals={}, targetoptions=options)
    kernel.enable_caching()
    return kernel
