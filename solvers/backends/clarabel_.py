"""Clarabel: interior-point method for cones, with a quadratic objective."""

from typing import Any, ClassVar

import numpy as np

from ...formulations import ConicForm
from .apart import apart
from .conic import ConicAnswer, ConicBackend, Part, Request

# whether the point returned with a status is worth certifying
STATUSES = {
    "Solved": True,
    "AlmostSolved": True,
    "InsufficientProgress": True,
    "MaxIterations": True,
    "MaxTime": True,
    "NumericalError": False,
    "CallbackTerminated": False,
    "PrimalInfeasible": False,
    "DualInfeasible": False,
    "AlmostPrimalInfeasible": False,
    "AlmostDualInfeasible": False,
    "Unsolved": False,
}


class Clarabel(ConicBackend):
    """Adapter of Clarabel; ``options`` are fields of ``clarabel.DefaultSettings``."""

    name = "clarabel"
    package = "clarabel"
    quadratic: ClassVar[bool] = True

    def build(self, form: ConicForm) -> dict[str, Any]:
        """Build the solver of the first column and store the options it was built with."""
        return {"solver": _solver(form, 0, _settings({})), "options": {}}

    def run(self, part: Part, request: Request) -> ConicAnswer:
        """See :class:`ConicBackend`; Clarabel has no warm start."""
        form, k, built = part.form, request.column, part.built
        limits = dict.fromkeys(("tol_gap_abs", "tol_gap_rel", "tol_feas"), request.tolerance)
        limits["time_limit"] = request.seconds
        settings = _settings({**limits, **request.options})
        # some options cannot change after the solver is built
        if request.options == built["options"] and built["solver"].is_data_update_allowed():
            vectors = {"q": form.linear[:, k], "b": form.bounds[:, k]}
            built["solver"].update(**vectors, settings=settings)
        else:
            built["solver"], built["options"] = _solver(form, k, settings), dict(request.options)
        solver = built["solver"]
        stopped: list[bool] = []
        solver.set_termination_callback(lambda _: bool(stopped))
        solution = apart(solver.solve, stop=lambda: stopped.append(True))
        status = str(solution.status)
        if not STATUSES.get(status, False):
            return ConicAnswer(None, None, status, solution.iterations)
        x, multipliers = np.array(solution.x), np.array(solution.z)
        return ConicAnswer(x, multipliers, status, solution.iterations)


def _settings(options: dict[str, Any]) -> Any:
    """Return Clarabel's settings with the given options."""
    import clarabel

    settings = clarabel.DefaultSettings()
    settings.verbose = False
    for name, value in options.items():
        if not hasattr(settings, name):
            raise ValueError(
                f"options: expected names of fields of clarabel.DefaultSettings, got {name!r}"
            )
        setattr(settings, name, value)
    return settings


def _solver(form: ConicForm, column: int, settings: Any) -> Any:
    """Return Clarabel's solver of a column; it copies the matrices."""
    import clarabel

    cones = [
        clarabel.ZeroConeT(form.zero),
        clarabel.NonnegativeConeT(form.nonnegative),
        *(clarabel.SecondOrderConeT(size) for size in form.second_order),
        *(clarabel.ExponentialConeT() for _ in range(form.exponential)),
    ]
    linear, bounds = form.linear[:, column], form.bounds[:, column]
    return clarabel.DefaultSolver(form.quadratic, linear, form.matrix, bounds, cones, settings)
