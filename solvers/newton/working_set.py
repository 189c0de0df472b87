"""Solve the program of a working set, by quadratics first and then by rows."""

from collections.abc import Callable
from dataclasses import replace

from ...dictionaries.validation import Array
from ...formulations import ConvexProgram
from .proximal_newton import descend_by_quadratics, has_quadratics
from .proximal_steps import Answer, Scales
from .row_steps import descend_by_rows


def descend(
    program: ConvexProgram,
    weights: Array,
    intercept: Array,
    v: Array,
    scales: Scales,
    goal: float,
    late: Callable[[], bool],
    by_rows: bool = False,
) -> tuple[Answer, int]:
    """Take steps until a gap of ``goal`` is certified; return the answer and its Newton steps.

    The solver tries quadratics first unless ``by_rows``.
    """
    before = 0
    if not by_rows and has_quadratics(program):
        first = replace(scales)
        found, before = descend_by_quadratics(program, weights, intercept, scales, goal, late)
        if found is not None and (found.certificate.absolute_gap <= goal or late()):
            return found, before
        # a Gram matrix gives prices with an error relative to those at W = 0, rows relative to
        # themselves; weights that were stuck and scales that grew are no better a start
        scales.sigma, scales.tau = first.sigma, first.tau
    answer, steps = descend_by_rows(program, weights, intercept, v, scales, goal, late)
    return answer, before + steps
