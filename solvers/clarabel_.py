"""Clarabel: interior point for cones, with a quadratic objective."""

from typing import Any, ClassVar

import numpy as np

from ..formulations import ConicForm
from .conic import ConicAnswer, ConicBackend, ConicModel, Request

# each status of Clarabel that leaves a point worth certifying; any other is a failure
_USABLE = frozenset(
    {
        "Solved",
        "AlmostSolved",
        "InsufficientProgress",
        "MaxIterations",
        "MaxTime",
    }
)


class Clarabel(ConicBackend):
    """Clarabel; ``options`` are fields of its ``DefaultSettings``."""

    name = "clarabel"
    package = "clarabel"
    quadratic = True
    cones: ClassVar[frozenset[str]] = frozenset({"second_order", "exponential"})

    def build(self, form: ConicForm) -> list[Any]:
        """The cones; its solver object copies the matrices and is made for each output."""
        import clarabel

        return [
            clarabel.ZeroConeT(form.zero),
            clarabel.NonnegativeConeT(form.nonnegative),
            *(clarabel.SecondOrderConeT(size) for size in form.second_order),
            *(clarabel.ExponentialConeT() for _ in range(form.exponential)),
        ]

    def run(self, model: ConicModel, request: Request) -> ConicAnswer:
        """See :class:`ConicBackend`."""
        import clarabel

        settings = clarabel.DefaultSettings()
        settings.verbose = False
        settings.time_limit = request.seconds
        settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = request.tolerance
        for name, value in request.options.items():
            setattr(settings, name, value)
        form = model.form
        solver = clarabel.DefaultSolver(
            form.quadratic,
            form.linear[:, request.output],
            form.matrix,
            form.bounds[:, request.output],
            model.built,
            settings,
        )
        solution = solver.solve()
        status = str(solution.status)
        if status not in _USABLE:
            return ConicAnswer(None, None, status)
        return ConicAnswer(np.array(solution.x), np.array(solution.z), status)
