"""Solvers: solve() and path(), the backends behind them, and grow() and ADMM splitting.

To add a backend: a class in ``backends/<name>_.py`` (from :class:`Backend`, or from
``ConicBackend`` if it solves conic programs), a line in ``BACKENDS`` in ``registry.py``,
and a line in the table of ``tests/tolerances.py``.
"""

from .backend import Backend, BackendUnavailable, ProgramNotAccepted
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
    "choose",
    "grow",
    "path",
    "register",
    "solve",
]
