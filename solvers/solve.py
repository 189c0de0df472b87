"""solve() and path(): solve a program with any backend and certify the answer."""

import re
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..certificates.certificate import Certificate
from ..certificates.certify import certify_answer
from ..dictionaries import DenseMatrix, Design
from ..dictionaries.validation import check_number, check_seconds, number_array, real_array, shown
from ..formulations import ConvexProgram
from ..formulations.targets import OVERFLOW
from .backend import Backend, BackendUnavailable, ProgramNotAccepted
from .clock import now
from .monitor import Monitor, Progress
from .registry import BACKENDS, find_backend
from .solution import INTERRUPTED, Solution, Status, status_of
from .units import Answer, Units

_UNEVEN = 1_000  # ratio of column lengths from which on newton is preferred


def _in_order(program: ConvexProgram) -> tuple[str, ...]:
    """Return the backends for a program, best first; admm is last and accepts every program.

    ``benchmarks/auto.py`` measures the order: digits, 1,004 atoms, gap 1e-6, strengths 0.1 and
    0.02 lambda_max, one core. Separate outputs: newton, for every loss. One output of a smooth
    loss took newton 0.02 to 0.1 s, lasso 0.01 to 0.4 s and admm 0.1 to 0.3 s. The hinge loss
    took newton 0.7 s and admm more than 5 s. lasso is up to 2.6 times as fast as newton if few
    atoms are active (squared hinge), and up to 5 times slower at 0.005 lambda_max. Coupled
    outputs: admm. Ten outputs took admm 0.3 to 2.4 s and newton 0.3 to more than 5 s.

    Real designs (300 x 500 normal numbers) give the same order: three coupled outputs took admm
    0.05 to 0.5 s and newton 0.03 to 1.3 s. If column lengths differ by a factor of 10,000, admm
    takes 0.4 to 4.9 s and newton does not slow down.
    """
    apart = len(program.blocks) == program.outputs
    return ("newton", "admm") if apart or _uneven(program.design) else ("admm",)


def _uneven(design: Design) -> bool:
    """Whether the column lengths of a real matrix differ too much for admm."""
    if not isinstance(design, DenseMatrix):
        return False
    squares = design.squared_norms()
    held = squares[squares > 0]
    return bool(held.size) and float(held.max()) > _UNEVEN**2 * float(held.min())


def choose(backend: str | Backend, program: ConvexProgram) -> Backend:
    """Return the backend of that name, or for "auto" the first that can solve the program.

    A :class:`Backend` is returned itself if it supports the program.

    Raises
    ------
    ValueError
        If ``backend`` is neither the name of a backend nor a :class:`Backend`.
    BackendUnavailable
        If the backend is not installed or has no licence.
    ProgramNotAccepted
        If the backend does not support some part of the program.
    """
    if isinstance(backend, str) and backend == "auto":
        return next(
            candidate
            for candidate in map(BACKENDS.__getitem__, _in_order(program))
            if candidate.available() is None and candidate.accepts(program) is None
        )
    chosen = find_backend(backend)
    reason = chosen.accepts(program)
    if not isinstance(reason, str | None):
        raise ValueError(
            f"backend {chosen.name}: expected accepts() to return a reason or None, got {reason!r}"
        )
    if reason is not None:
        raise ProgramNotAccepted(f"backend {chosen.name}: {reason}")
    missing = chosen.available()
    if missing is not None:
        raise BackendUnavailable(missing)
    return chosen


def solve(
    program: ConvexProgram,
    backend: str | Backend = "auto",
    gap: float = 1e-6,
    time_limit: float = np.inf,
    callback: Callable[[Progress], None] | None = None,
    warm_start: Solution | None = None,
    **options: Any,
) -> Solution:
    """Solve a program and certify the answer.

    Ctrl-C and the time limit both end the solve with the best answer so far.

    Parameters
    ----------
    program : ConvexProgram
    backend : str or Backend
        A name in ``bidual.BACKENDS``, "auto", or an instance of a subclass of
        :class:`bidual.Backend`.
    gap : float
        Certified relative gap to reach: (primal - dual) / reference. The
        reference is the objective at W = 0.
    time_limit : float, seconds
        Time after which the backend stops. Outputs that are solved apart share it; what
        one leaves, others get. The model's compilation counts and is not cut short. The
        clock stands still while kernels are compiled or loaded. Backends check it between
        steps. sklearn has no time limit: it gets as many iterations as are expected to
        fit, and may overrun the limit by about one iteration, or by one fit of liblinear.
        cvxpy refuses a time limit for solvers other than Clarabel, SCS, OSQP, HiGHS and
        MOSEK.
    callback : callable, optional
        Called with a :class:`Progress` each time the best answer improves.
    warm_start : Solution, optional
        An answer to a program of the same shape. If it already meets the gap,
        ``solve`` returns it at once. newton, lasso, admm, osqp and scs start from it.
        No backend returns an answer worse than the warm start.
    **options
        Passed to the backend unchanged.

    Returns
    -------
    Solution

    Raises
    ------
    ValueError
        If an argument is out of range or the backend is unknown.
    BackendUnavailable, ProgramNotAccepted
        See :func:`choose`.

    Examples
    --------
    >>> import bidual as bd
    >>> D = bd.BinaryMatrix.from_dense([[1, 0], [1, 1], [0, 1]])
    >>> program = bd.ConvexProgram(D, [1.0, 2.0, -1.0], loss="squared", strength=0.1)
    >>> solution = bd.solve(program, gap=1e-9)
    >>> solution.status.name, solution.weights.round(5).tolist()
    ('CERTIFIED', [[1.36667], [-0.03333]])
    """
    _check(program, gap, time_limit)
    if not (callback is None or callable(callback)):
        raise ValueError(f"callback: expected a callable or None, got {shown(callback)}")
    chosen = choose(backend, program)
    if warm_start is not None:
        _check_start(program, warm_start)
    start = None
    if warm_start is not None:
        intercept = warm_start.intercept if program.intercept else np.zeros(program.outputs)
        start = warm_start.weights, intercept, warm_start.dual_point
    return _solve_from(program, chosen, gap, time_limit, callback, start, options)


def solve_from(program: ConvexProgram, gap: float, start: Answer, time_limit: float) -> Solution:
    """Solve with the default backend from W (P, C), b (C,) and V (N, C) on."""
    _check(program, gap, time_limit)
    return _solve_from(program, choose("auto", program), gap, time_limit, None, start, {})


def _solve_from(
    program: ConvexProgram,
    chosen: Backend,
    gap: float,
    time_limit: float,
    callback: Callable[[Progress], None] | None,
    start: Answer | None,
    options: dict[str, Any],
) -> Solution:
    units = Units.of(program)
    monitor = Monitor(units.program, gap, time_limit, callback)
    begin = None if start is None else units.take(*start)
    solution, _ = _solve(chosen, None, monitor, begin, options)
    return units.back(solution, program)


def path(
    program: ConvexProgram,
    strengths: ArrayLike,
    backend: str | Backend = "auto",
    gap: float = 1e-6,
    time_limit: float = np.inf,
    **options: Any,
) -> list[Solution]:
    """Solve a program at several strengths, each from the answer to the previous one.

    ``path`` compiles the backend's model once and updates it from strength to strength.
    Decreasing strengths are fastest, because few atoms are active at first.

    Parameters
    ----------
    program : ConvexProgram
        Its own strength is ignored.
    strengths : (S,) array
        Finite, >= 0; solved in this order.
    backend, gap, **options
        As in :func:`solve`.
    time_limit : float, seconds
        Time limit per strength.

    Returns
    -------
    list of Solution
        One per strength. After Ctrl-C, the list ends with the interrupted strength.

    Raises
    ------
    ValueError, BackendUnavailable, ProgramNotAccepted
        As in :func:`solve`, before the first solve.

    Examples
    --------
    >>> import bidual as bd
    >>> D = bd.BinaryMatrix.from_dense([[1, 0], [1, 1], [0, 1]])
    >>> program = bd.ConvexProgram(D, [1.0, 2.0, -1.0])
    >>> [solution.active.size for solution in bd.path(program, [1.0, 0.3, 0.01])]
    [0, 1, 2]
    """
    _check(program, gap, time_limit)
    values = number_array("strengths", strengths, "a list of numbers")
    if values.ndim != 1 or values.size == 0 or values.dtype.kind not in "iuf":
        raise ValueError(f"strengths: expected a list of numbers, got {strengths!r}")
    programs = [program.with_strength(value) for value in values]
    backends = [choose(backend, each) for each in programs]
    units = Units.of(program)
    _ = units.program.null_dual  # found once for all strengths
    solutions: list[Solution] = []
    start: Answer | None = None
    models: dict[str, Any] = {}
    for each, chosen in zip(programs, backends, strict=True):
        monitor = Monitor(units.at(each.strength), gap, time_limit)
        found, models[chosen.name] = _solve(
            chosen, models.get(chosen.name), monitor, start, options
        )
        start = found.weights, found.intercept, found.dual_point
        solutions.append(units.back(found, each))
        if found.message == INTERRUPTED:
            break
    return solutions


def _solve(
    chosen: Backend,
    model: Any,
    monitor: Monitor,
    start: Answer | None,
    options: dict[str, Any],
) -> tuple[Solution, Any]:
    """Compile or update the model and solve; return the solution and the model."""
    if start is not None:
        monitor.begin(*start)
        if monitor.done and not options:  # else the backend checks them
            message = "the warm start meets the asked gap"
            return _solution(chosen, monitor, message, 0.0, None), model
    compile_seconds, begun = 0.0, now()
    interrupted, late, certificate = False, False, None
    try:
        if monitor.settle_at_zero() and not options:
            return _solution(chosen, monitor, _at_zero(monitor.program), 0.0, None), model
        if model is None:
            model = chosen.compile(monitor.program)
        else:
            model = chosen.update(model, monitor.program)
        compile_seconds = now() - begun
        with np.errstate(over="ignore", invalid="ignore", divide="ignore"):  # certificates see it
            message = _run(chosen, model, monitor, options)
        late = monitor.out_of_time
        certificate = monitor.settle()
    except KeyboardInterrupt:
        message, interrupted = INTERRUPTED, True
        compile_seconds = compile_seconds or now() - begun
    stop = Status.INTERRUPTED if interrupted else Status.TIME_LIMIT if late else None
    return _solution(chosen, monitor, message, compile_seconds, stop, certificate), model


def _run(chosen: Backend, model: Any, monitor: Monitor, options: dict[str, Any]) -> str:
    """Solve; name ``options`` in the errors of packages about one of them."""
    try:
        return chosen.solve(model, monitor, options)
    except (TypeError, ValueError, AttributeError) as error:
        named = [name for name in options if name in str(error)]
        if not named or re.match(r"\w+: ", str(error)):  # an error of bidual names its argument
            raise
        raise ValueError(
            f"options: expected options of {chosen.name}, got {named[0]!r}: {error}"
        ) from error


def _at_zero(program: ConvexProgram) -> str:
    """Say that W = 0 meets the asked gap, and whether b only approaches the infimum."""
    message = "W = 0 meets the asked gap"
    classes = program.loss.labels or not program.loss.separable
    if program.intercept and classes and program.reference == 0:
        # at twice the labels the hinges are 0; a loss that still falls has no least b
        slopes = program.loss.gradient(2.0 * program.target, program.target)
        if slopes[program.row_weights > 0].any():
            message += "; the infimum 0 is not attained: the loss of one class falls as b grows"
    return message


def _check(program: ConvexProgram, gap: float, time_limit: float) -> None:
    if not isinstance(program, ConvexProgram):
        raise ValueError(f"program: expected a ConvexProgram, got {type(program).__name__}")
    check_number("gap", gap)
    check_seconds(time_limit)
    if not np.isfinite(program.reference):
        raise ValueError(OVERFLOW)


def _check_start(program: ConvexProgram, start: Solution) -> None:
    if not isinstance(start, Solution):
        raise ValueError(f"warm_start: expected a Solution, got {type(start).__name__}")
    shape = program.design.shape[1], program.outputs
    weights, point, _ = (
        real_array(f"warm_start.{name}", getattr(start, name))
        for name in ("weights", "dual_point", "intercept")
    )
    if weights.shape != shape or point.shape != program.target.shape:
        raise ValueError(
            f"warm_start: expected an answer with weights {shape} and dual point "
            f"{program.target.shape}, got {weights.shape} and {point.shape}"
        )


def _solution(
    chosen: Backend,
    monitor: Monitor,
    message: str,
    compile_seconds: float,
    stop: Status | None,
    certificate: Certificate | None = None,
) -> Solution:
    """Build the solution of the monitor's best answer; certify it first if needed."""
    recover_seconds = monitor.recover_seconds
    solve_seconds = monitor.seconds - compile_seconds - recover_seconds
    start = now()
    if certificate is None:
        certificate = certify_answer(
            monitor.program, monitor.weights, monitor.intercept, [monitor.dual_point], "solve"
        )
    ended = Status.INACCURATE if monitor.answered else Status.FAILED
    status = status_of(monitor.program, certificate, monitor.asked_gap, stop or ended)
    return Solution(
        program=monitor.program,
        backend=chosen.name,
        status=status,
        message=message,
        weights=monitor.weights,
        intercept=monitor.intercept,
        dual_point=certificate.dual_point,
        certificate=certificate,
        asked_gap=monitor.asked_gap,
        compile_seconds=compile_seconds,
        solve_seconds=solve_seconds,
        recover_seconds=recover_seconds + now() - start,
        iterations=monitor.iterations,
        history=monitor.history,
    )
