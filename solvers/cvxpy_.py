"""CVXPY: any solver that it has, by way of its own modelling layer."""

import warnings
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from ..formulations import ConvexProgram
from .backend import Backend
from .conic import TIGHTENINGS, Scaled, offer_without_dust, scaled
from .interrupts import watched
from .monitor import Monitor

_DEFAULT = "CLARABEL"

# what the tolerance and the time limit are called; other solvers run on their defaults
_TOLERANCES = {
    "CLARABEL": ("tol_gap_abs", "tol_gap_rel", "tol_feas"),
    "SCS": ("eps_abs", "eps_rel"),
    "OSQP": ("eps_abs", "eps_rel"),
}
_TIME_LIMIT = {"CLARABEL": "time_limit", "SCS": "time_limit_secs", "OSQP": "time_limit"}

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
    CLARABEL, SCS and OSQP are told the tolerance and the time that is left;
    other solvers run once, on their defaults and without a limit on time.
    Ctrl-C counts when the solver returns, and its answer with it.
    """

    name = "cvxpy"
    package = "cvxpy"

    def accepts(self, program: ConvexProgram) -> str | None:
        """See :class:`Backend`."""
        return None

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
        """See :class:`Backend`; tighter a bounded number of times, until the gap is certified."""
        solver = str(options.get("solver", _DEFAULT)).upper()
        model.problem.param_dict["strength"].value = model.scaled.strength(model.program)
        message = "not started"
        for tightening in TIGHTENINGS if solver in _TOLERANCES else (1.0,):
            if monitor.out_of_time:
                break
            settings: dict[str, Any] = {"solver": solver, "warm_start": True}
            settings.update(dict.fromkeys(_TOLERANCES.get(solver, ()), tightening * monitor.gap))
            if solver in _TIME_LIMIT and np.isfinite(monitor.remaining):
                settings[_TIME_LIMIT[solver]] = monitor.remaining
            with watched():  # Ctrl-C waits for the answer
                message = _run(model, monitor, {**settings, **options})
            if monitor.done:
                break
        return message


def _run(model: StatedModel, monitor: Monitor, settings: dict[str, Any]) -> str:
    """Solve once, have the answer certified, and tell the solver's word."""
    problem, solver = model.problem, settings["solver"]
    with warnings.catch_warnings():
        # an inaccurate answer is told by its certificate
        warnings.filterwarnings("ignore", "Solution may be inaccurate")
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
