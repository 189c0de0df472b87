"""SCS: operator splitting for cones, with a quadratic objective."""

from typing import Any, ClassVar

import numpy as np
from scipy import sparse

from ..formulations import ConicForm
from .conic import ConicAnswer, ConicBackend, Part, Request

_ITERATIONS = 100_000  # of a run, the same as its own default

# whether the point that comes with a status is worth certifying, by SCS's numbers
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
    """SCS; ``options`` are its settings."""

    name = "scs"
    package = "scs"
    quadratic: ClassVar[bool] = True

    def build(self, form: ConicForm) -> dict[str, Any]:
        """Its data; rows, their order and signs are SCS's own."""
        return {
            "P": sparse.csc_matrix(form.quadratic),  # it knows SciPy's matrices, not its arrays
            "A": sparse.csc_matrix(form.matrix),
            "cone": {
                "z": form.zero,
                "l": form.nonnegative,
                "q": list(form.second_order),
                "ep": form.exponential,
            },
        }

    def run(self, part: Part, request: Request) -> ConicAnswer:
        """See :class:`ConicBackend`; it starts from its last answer to this column."""
        import scs

        form, k = part.form, request.column
        linear, bounds = form.linear[:, k].copy(), form.bounds[:, k].copy()
        settings: dict[str, Any] = {
            "eps_abs": request.tolerance,
            "eps_rel": request.tolerance,
            "max_iters": _ITERATIONS,
            "time_limit_secs": request.seconds if np.isfinite(request.seconds) else 0.0,
            "verbose": False,
        }
        data = {"P": part.built["P"], "A": part.built["A"], "c": linear, "b": bounds}
        solver = scs.SCS(data, part.built["cone"], **{**settings, **request.options})
        start = {}
        if k in part.answers:
            x, y = part.answers[k].x, part.answers[k].multipliers
            start = {"warm_start": True, "x": x, "y": y, "s": bounds - form.matrix @ x}
        result = solver.solve(**start)
        info = result["info"]
        message = f"{info['status']} ({info['status_val']})"
        if info["status_val"] == _INTERRUPTED:
            raise KeyboardInterrupt
        if not STATUSES.get(info["status_val"], False):
            return ConicAnswer(None, None, message, info["iter"])
        return ConicAnswer(result["x"], result["y"], message, info["iter"])
