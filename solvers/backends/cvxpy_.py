"""CVXPY: any solver installed with it, through its modelling layer."""

from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Any

import numpy as np

from ...formulations import ConvexProgram
from ..backend import Backend
from ..monitor import Monitor
from ..process import MutedWarnings
from . import ecos_, highs_, osqp_, scs_
from .apart import apart
from .conic import TIGHTENINGS, Scaled, offer_without_dust, scaled

_DEFAULT = "CLARABEL"

# smallest tolerance and names of the tolerance options; other solvers use their defaults
_TOLERANCES = {
    "CLARABEL": (0.0, ("tol_gap_abs", "tol_gap_rel", "tol_feas")),
    "SCS": (0.0, ("eps_abs", "eps_rel")),
    "OSQP": (0.0, ("eps_abs", "eps_rel")),
    "ECOS": (0.0, ("abstol", "reltol", "feastol")),
    "HIGHS": (
        1e-10,
        # the regularisation changes the answer
        ("primal_feasibility_tolerance", "dual_feasibility_tolerance", "qp_regularization_value"),
    ),
    "MOSEK": (
        1e-14,
        tuple(
            f"MSK_DPAR_INTPNT_{family}TOL_{name}"
            for family in ("", "CO_")  # linear and conic programs
            for name in ("REL_GAP", "PFEAS", "DFEAS")
        ),
    ),
}
_TIME_LIMIT = {
    "CLARABEL": "time_limit",
    "SCS": "time_limit_secs",
    "OSQP": "time_limit",
    "HIGHS": "time_limit",
    "MOSEK": "MSK_DPAR_OPTIMIZER_MAX_TIME",
}

_INTERRUPTED = {
    "ECOS": ecos_.interrupted,
    "OSQP": osqp_.interrupted,
    "SCS": scs_.interrupted,
}

# whether the point returned with a status is worth certifying
STATUSES = {
    "optimal": True,
    "optimal_inaccurate": True,
    "user_limit": True,
    "infeasible": False,
    "infeasible_inaccurate": False,
    "unbounded": False,
    "unbounded_inaccurate": False,
    "infeasible_or_unbounded": False,
    "solver_error": False,
}


# the certificate detects an inaccurate answer; the limit on MOSEK's time is bidual's
_LIMITS = MutedWarnings("Solution may be inaccurate", "Optimization terminated by time limit")


@dataclass(frozen=True)
class StatedModel:
    """Program, and its scaled form as a CVXPY problem with the strength as a parameter."""

    program: ConvexProgram
    problem: Any
    scaled: Scaled


class CVXPY(Backend):
    """Adapter of CVXPY; ``options`` are arguments of ``Problem.solve``, by default CLARABEL.

    All outputs form a single problem, built by ``program.to_cvxpy()``. CLARABEL, SCS, OSQP,
    HIGHS and MOSEK receive a tolerance and the remaining time. ECOS receives a tolerance.
    Other solvers run once with their default settings. The adapter refuses a time limit for
    solvers without a time-limit option. After Ctrl-C, it waits until the solver returns and
    keeps its answer.
    """

    name = "cvxpy"
    package = "cvxpy"
    loads_mkl = True  # its import loads scs and mosek

    def accepts(self, program: ConvexProgram) -> str | None:
        """See :class:`Backend`."""
        missing = program.loss.lacks("to_cvxpy") or program.penalty.lacks("to_cvxpy")
        return f"needs CVXPY expressions, and {missing}" if missing else None

    def compile(self, program: ConvexProgram) -> StatedModel:
        """See :class:`Backend`; compiles for the default solver, others compile in ``solve``."""
        units = scaled(program)
        problem = units.program.to_cvxpy()
        problem.get_problem_data(_DEFAULT)  # CVXPY keeps it
        return StatedModel(program, problem, units)

    def update(self, model: StatedModel, program: ConvexProgram) -> StatedModel:
        """See :class:`Backend`."""
        return replace(model, program=program)

    def solve(self, model: StatedModel, monitor: Monitor, options: dict[str, Any]) -> str:
        """See :class:`Backend`; solves to tighter tolerances until the gap is certified.

        Raises
        ------
        ValueError
            If the caller sets a time limit and the solver has no time-limit option, or if the
            solver refuses an option of the caller by name.
        """
        solver = str(options.get("solver", _DEFAULT)).upper()
        if np.isfinite(monitor.remaining) and solver not in _TIME_LIMIT:
            raise ValueError(
                f"time_limit: the solver {solver!r} has no time-limit option that bidual can set; "
                f"choose one of {list(_TIME_LIMIT)} or omit time_limit"
            )
        model.problem.param_dict["strength"].value = model.scaled.strength(model.program)
        message = "not started"
        least, _ = _TOLERANCES.get(solver, (np.inf, ()))
        # each tolerance once: several may equal the smallest
        for tolerance in dict.fromkeys(
            max(each * monitor.asked_gap, least) for each in TIGHTENINGS
        ):
            seconds = monitor.remaining
            if seconds == 0:  # SCS and OSQP would read 0 as no limit
                break
            settings = _settings(solver, tolerance, seconds, options)
            message = _run(model, monitor, settings, options)
            if monitor.done:
                break
        return message


def _settings(
    solver: str, tolerance: float, seconds: float, options: dict[str, Any]
) -> dict[str, Any]:
    """Return the arguments of ``Problem.solve``; the user's options override bidual's."""
    _, names = _TOLERANCES.get(solver, (np.inf, ()))
    told: dict[str, Any] = dict.fromkeys(names, tolerance)
    if np.isfinite(seconds):
        told[_TIME_LIMIT[solver]] = seconds
    if solver == "MOSEK":
        # at its time limit, MOSEK returns a point of unknown status
        told = {"mosek_params": {**told, **options.get("mosek_params", {})}, "accept_unknown": True}
        options = {name: value for name, value in options.items() if name != "mosek_params"}
    return {"solver": solver, "warm_start": True, **told, **options}


def _run(
    model: StatedModel, monitor: Monitor, settings: dict[str, Any], options: dict[str, Any]
) -> str:
    """Solve once, offer the answer to the monitor, and return the solver's message."""
    problem, solver = model.problem, settings["solver"]
    if solver == "HIGHS" and find_spec("highspy") is not None:
        highs_.without_banner()
    found: list[Any] = []  # the solver's own results
    unpack, interrupted = problem.unpack_results, _INTERRUPTED.get(solver, lambda _: False)

    def kept(result: Any, *rest: Any) -> None:
        found.append(result)
        unpack(result, *rest)

    def work() -> str:
        found.clear()
        try:
            problem.solve(**settings)
        except Exception as error:  # any error of any solver, a missing licence included
            for name in options:
                if name != "solver" and name in str(error):
                    raise ValueError(
                        f"options: expected arguments of cvxpy.Problem.solve for {solver}, got "
                        f"{name!r}: {error}"
                    ) from error
            return f"{solver}: {error}"
        return ""

    problem.unpack_results = kept  # CVXPY calls it before it drops the solver's own status
    try:
        with _LIMITS.muted(UserWarning):
            failure = apart(work, lambda _: any(map(interrupted, found)))
    except KeyboardInterrupt:
        if problem.status is not None and problem.solver_stats is not None:
            _offer(model, monitor, solver)  # the answer with which the solver came back
        raise
    finally:
        del problem.unpack_results
    return failure or _offer(model, monitor, solver)


def _offer(model: StatedModel, monitor: Monitor, solver: str) -> str:
    """Offer CVXPY's answer to the monitor, if it has one, and return the solver's message."""
    problem = model.problem
    message = f"{problem.status} ({solver})"
    monitor.iterations += int(problem.solver_stats.num_iters or 0)
    weights = problem.var_dict["weights"].value
    if not STATUSES.get(problem.status, False) or weights is None:
        return message
    intercept = np.zeros(model.program.outputs)
    if model.program.intercept:
        intercept = problem.var_dict["intercept"].value.ravel()
    outputs = range(model.program.outputs)
    multipliers = problem.constraints[0].dual_value
    offer_without_dust(monitor, *model.scaled.back(weights, intercept, multipliers, outputs))
    return message
