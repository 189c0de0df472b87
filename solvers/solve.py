"""solve() and path(): the verbs of every backend."""

import time
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..certificates import certify
from ..formulations import ConvexProgram
from .backend import Backend, BackendUnavailable, ProgramNotAccepted
from .monitor import Monitor, Progress
from .registry import BACKENDS
from .solution import Solution, Status


def _in_order(program: ConvexProgram) -> tuple[str, ...]:
    """Backends for a program, best first; admm is always there and takes everything.

    Measured on digits, 1,437 rows and 327 atoms, ten outputs with intercepts, to
    1e-6 at 0.1 and 0.02 lambda_max: lasso took 0.1 to 0.9 s with l1 and 0.2 to
    2.6 s with group, admm up to 20 times that; of losses with kinks clarabel
    alone always gets there.
    """
    if program.loss.curvature == np.inf:
        return ("clarabel", "admm")
    return ("lasso", "admm")


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
    warm_start: Solution | None = None,
    **options: Any,
) -> Solution:
    """Solve a program and certify the answer.

    Ctrl-C ends it with the best answer so far, as the time limit does.

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
    warm_start : Solution, optional
        An answer to a program of the same shape: where to start. One that is
        good enough already is returned at once.
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
    _check(program, gap, time_limit)
    chosen = choose(backend, program)
    start = time.perf_counter()
    monitor = Monitor(program, gap, time_limit, callback)
    if _offer_start(monitor, warm_start):
        return _solution(chosen, monitor, "warm start", 0.0)
    model = chosen.compile(program)
    compile_seconds = time.perf_counter() - start
    message, interrupted = _run(chosen, model, monitor, options)
    return _solution(chosen, monitor, message, compile_seconds, interrupted)


def path(
    program: ConvexProgram,
    strengths: ArrayLike,
    backend: str = "auto",
    gap: float = 1e-6,
    time_limit: float = np.inf,
    **options: Any,
) -> list[Solution]:
    """Solve a program at several strengths, each from the answer before it.

    The backend's model is compiled once and updated from strength to strength.
    From large to small is the fast order, since few atoms are active at first.

    Parameters
    ----------
    program : ConvexProgram
        Its own strength plays no part.
    strengths : (S,) array
        Finite, >= 0; solved in this order.
    backend, gap, **options
        As in :func:`solve`.
    time_limit : float, seconds
        For each strength.

    Returns
    -------
    list of Solution
        One a strength. After Ctrl-C those that were begun.

    Raises
    ------
    ValueError, BackendUnavailable, ProgramNotAccepted
        As in :func:`solve`, before the first is solved.

    Examples
    --------
    >>> import bidual as bd
    >>> D = bd.BinaryMatrix.from_dense([[1, 0], [1, 1], [0, 1]])
    >>> program = bd.ConvexProgram(D, [1.0, 2.0, -1.0])
    >>> [solution.active.size for solution in bd.path(program, [1.0, 0.3, 0.01])]
    [0, 1, 2]
    """
    values = np.asarray(strengths, dtype=np.float64)
    if values.ndim != 1 or values.size == 0:
        raise ValueError(f"strengths: expected a list of numbers, got shape {values.shape}")
    programs = [program.with_strength(value) for value in values]
    for each in programs:
        _check(each, gap, time_limit)
    chosen = choose(backend, programs[0])
    for each in programs:
        choose(chosen.name, each)
    solutions: list[Solution] = []
    model = None
    for each in programs:
        start = time.perf_counter()
        monitor = Monitor(each, gap, time_limit)
        if _offer_start(monitor, solutions[-1] if solutions else None):
            solutions.append(_solution(chosen, monitor, "warm start", 0.0))
            continue
        model = chosen.compile(each) if model is None else chosen.update(model, each)
        compile_seconds = time.perf_counter() - start
        message, interrupted = _run(chosen, model, monitor, options)
        solutions.append(_solution(chosen, monitor, message, compile_seconds, interrupted))
        if interrupted:
            break
    return solutions


def _check(program: ConvexProgram, gap: float, time_limit: float) -> None:
    if not 0 < gap < np.inf:
        raise ValueError(f"gap: expected a finite number > 0, got {gap}")
    if not time_limit > 0:
        raise ValueError(f"time_limit: expected seconds > 0, got {time_limit}")
    if not np.isfinite(program.reference):
        raise ValueError("program: its objective at W = 0 overflows; scale the targets down")


def _offer_start(monitor: Monitor, start: Solution | None) -> bool:
    """Begin at an earlier answer, if there is one; tell whether it is good enough already."""
    if start is None:
        return False
    program = monitor.program
    shape = program.design.shape[1], program.outputs
    if start.weights.shape != shape or start.dual_point.shape != program.target.shape:
        raise ValueError(
            f"warm_start: expected an answer with weights {shape} and dual point "
            f"{program.target.shape}, got {start.weights.shape} and {start.dual_point.shape}"
        )
    intercept = start.intercept if program.intercept else np.zeros(program.outputs)
    monitor.offer(start.weights, intercept, start.dual_point)
    return monitor.done


def _run(
    chosen: Backend, model: Any, monitor: Monitor, options: dict[str, Any]
) -> tuple[str, bool]:
    """Let the backend solve; its last word, and whether Ctrl-C ended it."""
    try:
        return chosen.solve(model, monitor, options), False
    except KeyboardInterrupt:
        return "interrupted", True


def _solution(
    chosen: Backend,
    monitor: Monitor,
    message: str,
    compile_seconds: float,
    interrupted: bool = False,
) -> Solution:
    """Certify what the monitor holds, from nothing, and judge it."""
    recover_seconds = monitor.recover_seconds
    solve_seconds = monitor.seconds - compile_seconds - recover_seconds
    start = time.perf_counter()
    certificate = certify(
        monitor.program,
        weights=monitor.weights,
        intercept=monitor.intercept,
        dual_point=monitor.dual_point,
    )
    if certificate.relative_gap <= monitor.gap:
        status = Status.CERTIFIED
    elif interrupted:
        status = Status.INTERRUPTED
    elif monitor.out_of_time:
        status = Status.TIME_LIMIT
    else:
        status = Status.INACCURATE if monitor.history else Status.FAILED
    return Solution(
        program=monitor.program,
        backend=chosen.name,
        status=status,
        message=message,
        weights=monitor.weights,
        intercept=monitor.intercept,
        dual_point=certificate.dual_point,
        certificate=certificate,
        asked_gap=monitor.gap,
        compile_seconds=compile_seconds,
        solve_seconds=solve_seconds,
        recover_seconds=recover_seconds + time.perf_counter() - start,
        iterations=monitor.iterations,
        history=monitor.history,
    )
