"""CVXPY: any solver that it has, by way of its own modelling layer."""

import warnings
from typing import Any, ClassVar

import numpy as np

from ..formulations import ConicForm
from .conic import ConicAnswer, ConicBackend, ConicModel, Request

# what the tolerance and the time limit are called; other solvers run on their defaults
_TOLERANCES = {
    "CLARABEL": ("tol_gap_abs", "tol_gap_rel", "tol_feas"),
    "SCS": ("eps_abs", "eps_rel"),
    "OSQP": ("eps_abs", "eps_rel"),
}
_TIME_LIMIT = {"CLARABEL": "time_limit", "SCS": "time_limit_secs", "OSQP": "time_limit"}

# each status of CVXPY that leaves a point worth certifying; any other is a failure
_USABLE = frozenset({"optimal", "optimal_inaccurate", "user_limit"})


class CVXPY(ConicBackend):
    """CVXPY; ``options`` are arguments of ``Problem.solve``, ``solver="CLARABEL"`` unless given."""

    name = "cvxpy"
    package = "cvxpy"
    quadratic = True
    cones: ClassVar[frozenset[str]] = frozenset({"second_order", "exponential"})

    def build(self, form: ConicForm) -> dict[str, Any]:
        """State the form as a Problem whose vectors are Parameters, so that it compiles once."""
        import cvxpy as cp

        x = cp.Variable(form.matrix.shape[1])
        linear = cp.Parameter(form.linear.shape[0])
        bounds = cp.Parameter(form.bounds.shape[0])
        root = np.sqrt(form.quadratic.diagonal())
        curved = np.flatnonzero(root)
        objective = linear @ x
        if curved.size:
            objective += 0.5 * cp.sum_squares(cp.multiply(root[curved], x[curved]))
        slack = bounds - form.matrix @ x
        start = form.zero
        equation = slack[:start] == 0
        constraints = [equation, slack[start : start + form.nonnegative] >= 0]
        start += form.nonnegative
        for size in form.second_order:
            constraints.append(cp.SOC(slack[start], slack[start + 1 : start + size]))
            start += size
        if form.exponential:
            p, q, r = (slack[start + k :: 3] for k in range(3))
            constraints.append(cp.ExpCone(p, q, r))
        problem = cp.Problem(cp.Minimize(objective), constraints)
        return {
            "problem": problem,
            "x": x,
            "linear": linear,
            "bounds": bounds,
            "equation": equation,
        }

    def run(self, model: ConicModel, request: Request) -> ConicAnswer:
        """See :class:`ConicBackend`."""
        import cvxpy as cp

        form, built = model.form, model.built
        built["linear"].value = form.linear[:, request.output]
        built["bounds"].value = form.bounds[:, request.output]
        solver = str(request.options.get("solver", "CLARABEL")).upper()
        settings: dict[str, Any] = {"solver": solver}
        settings.update(dict.fromkeys(_TOLERANCES.get(solver, ()), request.tolerance))
        if solver in _TIME_LIMIT and np.isfinite(request.seconds):
            settings[_TIME_LIMIT[solver]] = request.seconds
        problem = built["problem"]
        with warnings.catch_warnings():
            # an inaccurate answer is told by its certificate
            warnings.filterwarnings("ignore", "Solution may be inaccurate")
            try:
                problem.solve(**{**settings, **request.options})
            except cp.SolverError as error:
                return ConicAnswer(None, None, f"{solver}: {error}")
        message = f"{problem.status} ({solver})"
        if problem.status not in _USABLE or built["x"].value is None:
            return ConicAnswer(None, None, message)
        # with s = bounds - matrix x == 0, CVXPY's multiplier has the other sign
        return ConicAnswer(built["x"].value, -built["equation"].dual_value, message)
