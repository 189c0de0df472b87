"""Clarabel: interior point for cones, with a quadratic objective."""

from typing import Any, ClassVar

import numpy as np

from ..formulations import ConicForm
from .conic import ConicAnswer, ConicBackend, Part, Request
from .interrupts import watched

# whether the point that comes with a status is worth certifying
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
    """Clarabel; ``options`` are fields of its ``DefaultSettings``."""

    name = "clarabel"
    package = "clarabel"
    quadratic: ClassVar[bool] = True

    def build(self, form: ConicForm) -> list[Any]:
        """The cones; its solver object copies the matrices and is made for each run."""
        import clarabel

        return [
            clarabel.ZeroConeT(form.zero),
            clarabel.NonnegativeConeT(form.nonnegative),
            *(clarabel.SecondOrderConeT(size) for size in form.second_order),
            *(clarabel.ExponentialConeT() for _ in range(form.exponential)),
        ]

    def run(self, part: Part, request: Request) -> ConicAnswer:
        """See :class:`ConicBackend`; it has no warm start."""
        import clarabel

        settings = clarabel.DefaultSettings()
        settings.verbose = False
        settings.time_limit = request.seconds
        settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = request.tolerance
        for name, value in request.options.items():
            setattr(settings, name, value)
        form = part.form
        solver = clarabel.DefaultSolver(
            form.quadratic,
            form.linear[:, request.column],
            form.matrix,
            form.bounds[:, request.column],
            part.built,
            settings,
        )
        with watched() as interrupted:
            solver.set_termination_callback(lambda _: interrupted())
            solution = solver.solve()
        status = str(solution.status)
        if not STATUSES.get(status, False):
            return ConicAnswer(None, None, status, solution.iterations)
        x, multipliers = np.array(solution.x), np.array(solution.z)
        return ConicAnswer(x, multipliers, status, solution.iterations)
