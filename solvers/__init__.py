"""Solvers: one verb, one file a backend, and answers that carry their own proof.

To add a backend: a class in a file ``<name>_.py`` (from :class:`Backend`, or
from ``ConicBackend`` if it solves conic programs), a line in ``BACKENDS`` in
``registry.py``, and a line in the table of ``tests/tolerances.py``.
"""

from .admm_splitting import ADMMSplitting, Splitting, SplittingStopped
from .backend import Backend, BackendUnavailable, ProgramNotAccepted
from .column_generation import Stopped
from .growing import Growth, Round, grow
from .monitor import Progress
from .registry import BACKENDS
from .solution import Solution, Status
from .solve import choose, path, solve
from .sweeps import Sweep

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
    "SplittingStopped",
    "Status",
    "Stopped",
    "Sweep",
    "choose",
    "grow",
    "path",
    "solve",
]
