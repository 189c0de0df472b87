"""OSQP: operator splitting for quadratic programs."""

from typing import Any, ClassVar

from scipy import sparse

from ...formulations import ConicForm
from ...formulations.lowering.qp import from_form
from .apart import apart
from .conic import MOST_STEPS, ConicAnswer, ConicBackend, Part, Request

# whether the point returned with a status is worth certifying
STATUSES = {
    "OSQP_SOLVED": True,
    "OSQP_SOLVED_INACCURATE": True,
    "OSQP_MAX_ITER_REACHED": True,
    "OSQP_TIME_LIMIT_REACHED": True,
    "OSQP_PRIMAL_INFEASIBLE": False,
    "OSQP_PRIMAL_INFEASIBLE_INACCURATE": False,
    "OSQP_DUAL_INFEASIBLE": False,
    "OSQP_DUAL_INFEASIBLE_INACCURATE": False,
    "OSQP_NON_CVX": False,
    "OSQP_SIGINT": False,
    "OSQP_UNSOLVED": False,
}
_NO_TIME = 1e-10  # seconds; OSQP reads 0 as no limit


class OSQP(ConicBackend):
    """Adapter of OSQP; ``options`` are OSQP settings."""

    name = "osqp"
    package = "osqp"
    quadratic: ClassVar[bool] = True
    takes: ClassVar[frozenset[str]] = frozenset()
    starts: ClassVar[bool] = True
    # OSQP polishes only answers that meet its tolerance, and polishing goes far below it
    tightenings: ClassVar[tuple[float, ...]] = (1e3, 1e1, 1e-1, 1e-3)

    def build(self, form: ConicForm) -> Any:
        """Set up the solver, which factors the matrix once."""
        import osqp

        qp = from_form(form)
        solver = osqp.OSQP()
        solver.setup(
            sparse.csc_matrix(qp.quadratic),  # OSQP accepts sparse matrices, not arrays
            qp.linear[:, 0],
            sparse.csc_matrix(qp.matrix),
            qp.lower[:, 0],
            qp.upper[:, 0],
            verbose=False,
            polishing=True,
        )
        return solver

    def run(self, part: Part, request: Request) -> ConicAnswer:
        """See :class:`ConicBackend`; OSQP starts from the last answer to this column."""
        qp, solver, k = from_form(part.form), part.built, request.column
        settings: dict[str, Any] = {
            "eps_abs": request.tolerance,
            "eps_rel": request.tolerance,
            "max_iter": MOST_STEPS,
            "time_limit": min(request.seconds, 1e10),
        }
        solver.update_settings(**{**settings, **request.options})
        solver.update(q=qp.linear[:, k], l=qp.lower[:, k], u=qp.upper[:, k])
        if k in part.answers:
            solver.warm_start(x=part.answers[k].x, y=part.answers[k].multipliers)
        result = apart(
            lambda: solver.solve(raise_error=False),
            interrupted,
            # OSQP looks at its limit in each step; its handler would print a line
            lambda: solver.update_settings(time_limit=_NO_TIME),
        )
        status = _status(result)
        if not STATUSES.get(status, False):
            return ConicAnswer(None, None, status, result.info.iter)
        return ConicAnswer(result.x, result.y, status, result.info.iter)


def interrupted(result: Any) -> bool:
    """Return whether a SIGINT has stopped OSQP."""
    return _status(result) == "OSQP_SIGINT"


def _status(result: Any) -> str:
    import osqp

    names = {member.value: member.name for member in osqp.SolverStatus}
    value = result.info.status_val
    return str(names.get(value, f"unknown status {value}"))
