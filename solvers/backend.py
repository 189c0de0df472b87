"""Backend: the interface of a solver, with accepts, compile, update and solve."""

import os
from abc import ABC, abstractmethod
from importlib.metadata import PackageNotFoundError, version
from typing import Any, ClassVar

from ..formulations import ConvexProgram
from .monitor import Monitor


class BackendUnavailable(RuntimeError):
    """Error of a backend that is not installed or has no licence; its message says what to do."""


class ProgramNotAccepted(ValueError):
    """Error of a backend that does not support a program; its message names the part."""


class Backend(ABC):
    """Solver of programs.

    Attributes
    ----------
    name : str
        Name that users write, also the extra that installs the backend.
    package : str or None
        Distribution that the backend needs, None for a built-in one. The backend imports it
        at its first use.
    loads_mkl : bool
        Whether the package loads Intel's MKL, which ends Python if the working folder was deleted.
    """

    name: ClassVar[str]
    package: ClassVar[str | None] = None
    loads_mkl: ClassVar[bool] = False

    @property
    def version(self) -> str | None:
        """Version of the backend's package, None if the package is not installed."""
        try:
            return version(self.package or "bidual")
        except PackageNotFoundError:
            return None

    def available(self) -> str | None:
        """Return why the backend cannot solve here and what to do, or None if it can."""
        if self.package is not None and self.version is None:  # looking it up takes 0.5 ms
            own = type(self).__module__.startswith(f"{__package__}.")
            wanted = f"'bidual[{self.name}]'" if own else self.package
            return f"{self.name} is not installed: pip install {wanted}"
        if self.loads_mkl:
            try:
                os.getcwd()
            except OSError:
                return f"{self.name} needs a working folder that exists: call os.chdir"
        return None

    @abstractmethod
    def accepts(self, program: ConvexProgram) -> str | None:
        """Return which part of the program is not supported, or None if all parts are."""

    def compile(self, program: ConvexProgram) -> Any:
        """Build the backend's model, without a licence; the default returns the program."""
        return program

    def update(self, model: Any, program: ConvexProgram) -> Any:
        """Return the model of the same program at another strength; the matrix is unchanged."""
        return program

    @abstractmethod
    def solve(self, model: Any, monitor: Monitor, options: dict[str, Any]) -> str:
        """Solve, pass every answer to ``monitor.offer``, and return the backend's final message.

        A backend that can start from an answer starts from the monitor's. It stops when the
        monitor is done or out of time, or when the backend cannot improve its answer.
        ``options`` reach the backend unchanged.

        Raises
        ------
        KeyboardInterrupt
            If the user interrupts the solve. The monitor keeps the answers offered before.
        """
