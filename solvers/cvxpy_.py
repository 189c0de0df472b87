"""CVXPY: any solver that it has, by way of its own modelling layer."""

import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..formulations import ConvexProgram
from .backend import Backend
from .conic import TIGHTENINGS, offer_without_dust, scaled
from .monitor import Monitor

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
    """A problem whose strength is a parameter: it compiles once."""

    program: ConvexProgram
    problem: Any
    unit: float


class CVXPY(Backend):
    """CVXPY; ``options`` are arguments of ``Problem.solve``, ``solver="CLARABEL"`` unless given.

    All outputs are one problem, stated as ``program.to_cvxpy()`` states it.
    """

    name = "cvxpy"
    package = "cvxpy"

    def accepts(self, program: ConvexProgram) -> str | None:
        """See :class:`Backend`."""
        return None

    def compile(self, program: ConvexProgram) -> StatedModel:
        """See :class:`Backend`; in units of the mean reference, which tolerances are."""
        unit = program.reference / program.outputs or 1.0
        return StatedModel(program, scaled(program, unit).to_cvxpy(), unit)

    def update(self, model: StatedModel, program: ConvexProgram) -> StatedModel:
        """See :class:`Backend`."""
        model.problem.param_dict["strength"].value = program.strength / model.unit
        return StatedModel(program, model.problem, model.unit)

    def solve(self, model: StatedModel, monitor: Monitor, options: dict[str, Any]) -> str:
        """See :class:`Backend`; tighter a bounded number of times, until the gap is certified."""
        message = "not started"
        for tightening in TIGHTENINGS:
            if monitor.out_of_time:
                break
            message = _run(model, monitor, tightening * monitor.gap, options)
            if monitor.done:
                break
        return message


def _run(model: StatedModel, monitor: Monitor, tolerance: float, options: dict[str, Any]) -> str:
    import cvxpy as cp

    problem = model.problem
    solver = str(options.get("solver", "CLARABEL")).upper()
    settings: dict[str, Any] = {"solver": solver, "warm_start": True}
    settings.update(dict.fromkeys(_TOLERANCES.get(solver, ()), tolerance))
    if solver in _TIME_LIMIT and np.isfinite(monitor.remaining):
        settings[_TIME_LIMIT[solver]] = monitor.remaining
    with warnings.catch_warnings():
        # an inaccurate answer is told by its certificate
        warnings.filterwarnings("ignore", "Solution may be inaccurate")
        try:
            problem.solve(**{**settings, **options})
        except cp.SolverError as error:
            return f"{solver}: {error}"
    message = f"{problem.status} ({solver})"
    monitor.iterations += int(problem.solver_stats.num_iters or 0)
    weights = problem.var_dict["weights"].value
    if not STATUSES.get(problem.status, False) or weights is None:
        return message
    intercept = np.zeros(model.program.outputs)
    if model.program.intercept:
        intercept = problem.var_dict["intercept"].value.ravel()
    multipliers = problem.constraints[0].dual_value
    dual_point = None if multipliers is None else model.unit * multipliers
    offer_without_dust(monitor, weights, intercept, dual_point)
    return message
