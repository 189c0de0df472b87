"""solve(): one verb for every backend."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from ..certificates import certify
from ..formulations import ConvexProgram
from .backend import Backend, BackendUnavailable, ProgramNotAccepted
from .monitor import Monitor, Progress
from .registry import BACKENDS
from .solution import Solution, Status

# Up to this many atoms admm's two (P, P) arrays are small (256 MB), and it is the fastest for
# smooth losses: digits with 1,406 atoms, ten outputs, 0.02 lambda_max, gap 1e-6 took it 1.3 s,
# coordinate descent 16 s. On the hinge loss it ends near 1e-5, where clarabel does not.
_ADMM_ATOMS = 4_000


def _in_order(program: ConvexProgram) -> tuple[str, ...]:
    """Backends for a program, best first; admm is always there and takes everything."""
    if not np.isfinite(program.loss.curvature):
        return ("clarabel", "admm")
    return ("admm",) if program.design.shape[1] <= _ADMM_ATOMS else ("lasso", "admm")


def choose(backend: str, program: ConvexProgram) -> Backend:
    """Return the backend of that name, or for "auto" the first that can solve the program.

    Raises
    ------
    ValueError
        If there is no backend of that name.
    BackendUnavailable
        If it is not installed or has no licence.
    ProgramNotAccepted
        If it does not take some part of the program.
    """
    if backend == "auto":
        return next(
            candidate
            for candidate in map(BACKENDS.__getitem__, _in_order(program))
            if candidate.available() is None and candidate.accepts(program) is None
        )
    if backend not in BACKENDS:
        raise ValueError(f"backend: expected 'auto' or one of {list(BACKENDS)}, got {backend!r}")
    chosen = BACKENDS[backend]
    reason = chosen.accepts(program)
    if reason is not None:
        raise ProgramNotAccepted(f"backend {backend}: {reason}")
    missing = chosen.available()
    if missing is not None:
        raise BackendUnavailable(missing)
    return chosen


def solve(
    program: ConvexProgram,
    backend: str = "auto",
    gap: float = 1e-6,
    time_limit: float = np.inf,
    callback: Callable[[Progress], None] | None = None,
    **options: Any,
) -> Solution:
    """Solve a program and certify the answer.

    Parameters
    ----------
    program : ConvexProgram
    backend : str
        A name in ``bidual.BACKENDS``, or "auto".
    gap : float
        Certified relative gap to reach: (primal - dual) / reference, the
        reference being the objective at W = 0.
    time_limit : float, seconds
        When to stop; the best answer so far is returned. Looked at between
        steps: ecos and sklearn, which know no clock, may overrun it by an output.
    callback : callable, optional
        Called with a :class:`Progress` each time the best answer becomes better.
    **options
        Passed to the backend untouched.

    Returns
    -------
    Solution

    Raises
    ------
    ValueError
        If an argument is out of its range or the backend is unknown.
    BackendUnavailable, ProgramNotAccepted
        See :func:`choose`.

    Examples
    --------
    >>> import bidual as bd
    >>> D = bd.BinaryMatrix.from_dense([[1, 0], [1, 1], [0, 1]])
    >>> program = bd.ConvexProgram(D, [1.0, 2.0, -1.0], loss="squared", strength=0.1)
    >>> solution = bd.solve(program, gap=1e-9)
    >>> solution.status.name, solution.weights.round(6).tolist()
    ('CERTIFIED', [[1.366667], [-0.033333]])
    """
    if not 0 < gap < np.inf:
        raise ValueError(f"gap: expected a finite number > 0, got {gap}")
    if not time_limit > 0:
        raise ValueError(f"time_limit: expected seconds > 0, got {time_limit}")
    if not np.isfinite(program.reference):
        raise ValueError("program: its objective at W = 0 overflows; scale the targets down")
    chosen = choose(backend, program)
    start = time.perf_counter()
    model = chosen.compile(program)
    compile_seconds = time.perf_counter() - start
    monitor = Monitor(program, gap, time_limit, callback)
    message = chosen.solve(model, monitor, options)
    certificate = certify(
        program,
        weights=monitor.weights,
        intercept=monitor.intercept,
        dual_point=monitor.dual_point,
    )
    if certificate.relative_gap <= gap:
        status = Status.CERTIFIED
    elif monitor.out_of_time:
        status = Status.TIME_LIMIT
    else:
        status = Status.INACCURATE if monitor.history else Status.FAILED
    return Solution(
        program=program,
        backend=chosen.name,
        status=status,
        message=message,
        weights=monitor.weights,
        intercept=monitor.intercept,
        dual_point=certificate.dual_point,
        certificate=certificate,
        compile_seconds=compile_seconds,
        solve_seconds=monitor.seconds,
        history=monitor.history,
    )
