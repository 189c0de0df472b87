"""Solving the program of a working set: in which of two ways, and when the other goes on."""

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
    """Step until a gap of ``goal`` is certified; the answer, and how many Newton steps it took.

    Quadratics are tried first unless ``by_rows``.
    """
    before = 0
    if not by_rows and has_quadratics(program):
        first = replace(scales)
        found, before = descend_by_quadratics(program, weights, intercept, scales, goal, late)
        if found is not None and (found.certificate.absolute_gap <= goal or late()):
            return found, before
        # prices by a Gram matrix round to a share of those at W = 0, by rows to one of their own;
        # weights that were stuck are no better a start, nor are steps that grew in vain
        scales.sigma, scales.tau = first.sigma, first.tau
    answer, steps = descend_by_rows(program, weights, intercept, v, scales, goal, late)
    return answer, before + steps
