"""OSQP: operator splitting for quadratic programs."""

from typing import Any, ClassVar

import numpy as np
from scipy import sparse

from ..formulations import ConicForm
from .conic import ConicAnswer, ConicBackend, ConicModel, Request

_ITERATIONS = 100_000  # its own default of 4,000 ends far above the gaps asked here

# each status of OSQP that leaves a point worth certifying; any other is a failure
_USABLE = frozenset(
    {
        "OSQP_SOLVED",
        "OSQP_SOLVED_INACCURATE",
        "OSQP_MAX_ITER_REACHED",
        "OSQP_TIME_LIMIT_REACHED",
    }
)


class OSQP(ConicBackend):
    """OSQP; ``options`` are its settings."""

    name = "osqp"
    package = "osqp"
    quadratic = True
    cones: ClassVar[frozenset[str]] = frozenset()

    def build(self, form: ConicForm) -> Any:
        """Set the solver up: rows of the zero cone are equations, the others upper bounds."""
        import osqp

        solver = osqp.OSQP()
        solver.setup(
            sparse.csc_matrix(form.quadratic),  # it knows SciPy's matrices, not its arrays
            form.linear[:, 0],
            sparse.csc_matrix(form.matrix),
            _lower_bounds(form, 0),
            form.bounds[:, 0],
            verbose=False,
            polishing=True,
        )
        return solver

    def run(self, model: ConicModel, request: Request) -> ConicAnswer:
        """See :class:`ConicBackend`."""
        import osqp

        form, solver = model.form, model.built
        settings: dict[str, Any] = {
            "eps_abs": request.tolerance,
            "eps_rel": request.tolerance,
            "max_iter": _ITERATIONS,
            "time_limit": min(request.seconds, 1e10),
        }
        solver.update_settings(**{**settings, **request.options})
        solver.update(
            q=form.linear[:, request.output],
            l=_lower_bounds(form, request.output),
            u=form.bounds[:, request.output],
        )
        result = solver.solve(raise_error=False)
        status = osqp.SolverStatus(result.info.status_val).name
        if status not in _USABLE:
            return ConicAnswer(None, None, status)
        return ConicAnswer(result.x, result.y, status)


def _lower_bounds(form: ConicForm, output: int) -> Any:
    return np.concatenate([form.bounds[: form.zero, output], np.full(form.nonnegative, -np.inf)])
