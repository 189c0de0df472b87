"""CVXPY: any solver that it has, by way of its own modelling layer."""

import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ...formulations import ConvexProgram
from ..backend import Backend
from ..monitor import Monitor
from .conic import TIGHTENINGS, Scaled, offer_without_dust, scaled
from .interrupts import watched

_DEFAULT = "CLARABEL"

# what the tolerance is called, and the least that is taken; other solvers run on their defaults
_TOLERANCES = {
    "CLARABEL": (0.0, ("tol_gap_abs", "tol_gap_rel", "tol_feas")),
    "SCS": (0.0, ("eps_abs", "eps_rel")),
    "OSQP": (0.0, ("eps_abs", "eps_rel")),
    "ECOS": (0.0, ("abstol", "reltol", "feastol")),
    "HIGHS": (
        1e-10,
        # its regularisation shows in the answer
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

# whether the point that comes with a status is worth certifying
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


@dataclass(frozen=True)
class StatedModel:
    """A program, and its scaled form as a problem whose strength is a parameter."""

    program: ConvexProgram
    problem: Any
    scaled: Scaled


class CVXPY(Backend):
    """CVXPY; ``options`` are arguments of ``Problem.solve``, ``solver="CLARABEL"`` unless given.

    All outputs are one problem, stated as ``program.to_cvxpy()`` states it.
    CLARABEL, SCS, OSQP, HIGHS and MOSEK are told the tolerance and the time that is
    left, ECOS the tolerance; other solvers run once, on their defaults. A solver that
    cannot be told the time is refused under a time limit. Ctrl-C counts when the
    solver returns, and its answer with it.
    """

    name = "cvxpy"
    package = "cvxpy"

    def accepts(self, program: ConvexProgram) -> str | None:
        """See :class:`Backend`."""
        missing = program.loss.lacks("to_cvxpy") or program.penalty.lacks("to_cvxpy")
        return f"takes CVXPY's expressions, and {missing}" if missing else None

    def compile(self, program: ConvexProgram) -> StatedModel:
        """See :class:`Backend`; for the default solver, others compile when they solve."""
        units = scaled(program)
        problem = units.program.to_cvxpy()
        problem.get_problem_data(_DEFAULT)  # CVXPY keeps it
        return StatedModel(program, problem, units)

    def update(self, model: StatedModel, program: ConvexProgram) -> StatedModel:
        """See :class:`Backend`."""
        return replace(model, program=program)

    def solve(self, model: StatedModel, monitor: Monitor, options: dict[str, Any]) -> str:
        """See :class:`Backend`; tighter a bounded number of times, until the gap is certified.

        Raises
        ------
        ValueError
            Under a time limit, for a solver that cannot be told of it.
        """
        solver = str(options.get("solver", _DEFAULT)).upper()
        if np.isfinite(monitor.remaining) and solver not in _TIME_LIMIT:
            raise ValueError(
                f"time_limit: expected one of {list(_TIME_LIMIT)} as solver under a finite "
                f"limit, got {solver!r}, to which no way of handing it is known"
            )
        model.problem.param_dict["strength"].value = model.scaled.strength(model.program)
        message = "not started"
        least, _ = _TOLERANCES.get(solver, (np.inf, ()))
        # each once: below the least there is nothing more to ask for
        for tolerance in dict.fromkeys(
            max(each * monitor.asked_gap, least) for each in TIGHTENINGS
        ):
            seconds = monitor.remaining
            if seconds == 0:  # which SCS and OSQP would take for no limit
                break
            settings = _settings(solver, tolerance, seconds, options)
            with watched():  # Ctrl-C waits for the answer
                message = _run(model, monitor, settings)
            if monitor.done:
                break
        return message


def _settings(
    solver: str, tolerance: float, seconds: float, options: dict[str, Any]
) -> dict[str, Any]:
    """What a solver is told by name, the options last; MOSEK by parameters of its own."""
    _, names = _TOLERANCES.get(solver, (np.inf, ()))
    told: dict[str, Any] = dict.fromkeys(names, tolerance)
    if np.isfinite(seconds):
        told[_TIME_LIMIT[solver]] = seconds
    if solver == "MOSEK":
        # what it has when its time is up is of unknown status
        told = {"mosek_params": {**told, **options.get("mosek_params", {})}, "accept_unknown": True}
        options = {name: value for name, value in options.items() if name != "mosek_params"}
    return {"solver": solver, "warm_start": True, **told, **options}


def _run(model: StatedModel, monitor: Monitor, settings: dict[str, Any]) -> str:
    """Solve once, have the answer certified, and tell the solver's word."""
    problem, solver = model.problem, settings["solver"]
    with warnings.catch_warnings():
        # an inaccurate answer is told by its certificate, and MOSEK's time is our limit
        warnings.filterwarnings("ignore", "Solution may be inaccurate")
        warnings.filterwarnings("ignore", "Optimization terminated by time limit")
        try:
            problem.solve(**settings)
        except Exception as error:  # of any solver there is, such as one without its licence
            return f"{solver}: {error}"
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
