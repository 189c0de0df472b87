"""SCS: operator splitting for cones, with a quadratic objective."""

from typing import Any, ClassVar

import numpy as np
from scipy import sparse

from ...formulations import ConicForm
from .apart import apart
from .conic import MOST_STEPS, ConicAnswer, ConicBackend, Part, Request

# whether the point returned with a status is worth certifying, by SCS's status values
STATUSES = {
    1: True,  # solved
    2: True,  # solved, inaccurate: iterations or time ran out
    0: False,  # unfinished
    -1: False,  # unbounded
    -2: False,  # infeasible
    -3: False,  # indeterminate
    -4: False,  # failed
    -5: False,  # interrupted
    -6: False,  # unbounded, inaccurate
    -7: False,  # infeasible, inaccurate
}
_INTERRUPTED = -5


class SCS(ConicBackend):
    """Adapter of SCS; ``options`` are SCS settings."""

    name = "scs"
    package = "scs"
    loads_mkl = True
    quadratic: ClassVar[bool] = True
    starts: ClassVar[bool] = True

    def build(self, form: ConicForm) -> dict[str, Any]:
        """Return SCS's data and a dict of solvers; the form has SCS's order and signs."""
        return {
            "P": sparse.csc_matrix(form.quadratic),  # SCS accepts sparse matrices, not arrays
            "A": sparse.csc_matrix(form.matrix),
            "cone": {
                "z": form.zero,
                "l": form.nonnegative,
                "q": list(form.second_order),
                "ep": form.exponential,
            },
            "solvers": {},
        }

    def run(self, part: Part, request: Request) -> ConicAnswer:
        """See :class:`ConicBackend`; SCS starts from the last answer to this column.

        A solver cannot change its settings. The adapter reuses it with new vectors if the
        settings are equal; under a time limit they never are.
        """
        import scs

        form, k, built = part.form, request.column, part.built
        linear, bounds = form.linear[:, k].copy(), form.bounds[:, k].copy()
        settings: dict[str, Any] = {
            "eps_abs": request.tolerance,
            "eps_rel": request.tolerance,
            "max_iters": MOST_STEPS,
            "time_limit_secs": request.seconds if np.isfinite(request.seconds) else 0.0,
            "verbose": False,
        }
        settings = {**settings, **request.options}
        kept, solver = built["solvers"].get(request.tolerance, ({}, None))
        if kept == settings:
            solver.update(bounds, linear)
        else:
            data = {"P": built["P"], "A": built["A"], "c": linear, "b": bounds}
            solver = apart(lambda: scs.SCS(data, built["cone"], **settings))
            built["solvers"][request.tolerance] = settings, solver
        start: dict[str, Any] = {"warm_start": False}
        if k in part.answers:
            x, y = part.answers[k].x, part.answers[k].multipliers
            start = {"warm_start": True, "x": x, "y": y, "s": bounds - form.matrix @ x}
        result = apart(
            lambda: solver.solve(**start),
            interrupted,
        )
        info = result["info"]
        message = f"{info['status']} ({info['status_val']})"
        if not STATUSES.get(info["status_val"], False):
            return ConicAnswer(None, None, message, info["iter"])
        return ConicAnswer(result["x"], result["y"], message, info["iter"])


def interrupted(result: dict[str, Any]) -> bool:
    """Return whether a SIGINT has stopped SCS."""
    return bool(result["info"]["status_val"] == _INTERRUPTED)
