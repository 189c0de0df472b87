"""Solvers: solve() and path(), the backends behind them, and grow() and ADMM splitting.

To add a backend, write a class in ``backends/<name>_.py`` (a subclass of :class:`Backend`, or of
``ConicBackend`` if it solves conic programs). Add it to ``BACKENDS`` in ``registry.py`` and to
the table of ``tests/tolerances.py``.
"""

from .backend import Backend, BackendUnavailable, ProgramNotAccepted
from .certify import certify
from .growing.column_generation import StopReason
from .growing.grow import Growth, Round, grow
from .monitor import Progress
from .registry import BACKENDS, register
from .solution import Solution, Status
from .solve import choose, path, solve
from .splitting.admm_splitting import ADMMSplitting, Splitting, SplittingStopReason
from .splitting.sweeps import Sweep

__all__ = [
    "BACKENDS",
    "ADMMSplitting",
    "Backend",
    "BackendUnavailable",
    "Growth",
    "ProgramNotAccepted",
    "Progress",
    "Round",
    "Solution",
    "Splitting",
    "SplittingStopReason",
    "Status",
    "StopReason",
    "Sweep",
    "certify",
    "choose",
    "grow",
    "path",
    "register",
    "solve",
]
