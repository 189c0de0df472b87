"""What a backend is: accepts, compile, update, solve."""

from abc import ABC, abstractmethod
from importlib.metadata import PackageNotFoundError, version
from typing import Any, ClassVar

from ..formulations import ConvexProgram
from .monitor import Monitor


class BackendUnavailable(RuntimeError):
    """The backend cannot solve here; the message says why and what to do."""


class ProgramNotAccepted(ValueError):
    """The backend does not take the program; the message says which part."""


class Backend(ABC):
    """A way to solve programs.

    Attributes
    ----------
    name : str
        The word users write; also the extra that installs it.
    package : str or None
        The distribution that it needs, None for our own; imported when it is used.
    """

    name: ClassVar[str]
    package: ClassVar[str | None] = None

    @property
    def version(self) -> str | None:
        """Version of the package behind it; None where that is not installed."""
        try:
            return version(self.package or "bidual")
        except PackageNotFoundError:
            return None

    def available(self) -> str | None:
        """Why it cannot solve here and what to do about it, or None if it can."""
        if self.package is not None and self.version is None:  # looking it up takes 0.5 ms
            return f"{self.name} is not installed: pip install 'bidual[{self.name}]'"
        return None

    @abstractmethod
    def accepts(self, program: ConvexProgram) -> str | None:
        """Which part of the program it does not take, or None if it takes it all."""

    def compile(self, program: ConvexProgram) -> Any:
        """Build the backend's own model, without a licence; the program itself unless defined."""
        return program

    def update(self, model: Any, program: ConvexProgram) -> Any:
        """Return the model of the same program at another strength; the matrix is the same."""
        return program

    @abstractmethod
    def solve(self, model: Any, monitor: Monitor, options: dict[str, Any]) -> str:
        """Solve, handing every answer to ``monitor.offer``; return the backend's own last word.

        It starts from the monitor's answer as far as it can, and ends when the
        monitor is done or out of time, or when it can do no better. ``options``
        go to the backend untouched.

        Raises
        ------
        KeyboardInterrupt
            If it is interrupted; what was offered by then is kept.
        """
