"""Certificate: bounds on an answer in float64, proven up to rounding."""

from dataclasses import dataclass, field

from ..dictionaries.validation import Array

ROUNDING = 1e-13  # floats cannot resolve smaller relative gaps


@dataclass(frozen=True, eq=False)
class Certificate:
    """Proven bounds on an answer, in units of the objective.

    Attributes
    ----------
    primal : float
        Objective of the answer, summed over outputs.
    dual : float
        The dual objective at ``dual_point``, a lower bound on every objective.
    absolute_gap : float
        Primal minus dual, >= 0, summed from terms >= 0, which lose no digits to cancellation.
    relative_gap : float
        ``absolute_gap`` / reference. The reference is the objective at W = 0 and the best
        intercept. If it is 0, W = 0 is optimal, and the relative gap is 0 for no gap, else
        infinity.
    primals, absolute_gaps : (B,) array
        Primal and gap of each of ``program.blocks``; their sums are ``primal`` and
        ``absolute_gap``.
    dual_point : (N, C) array
        The feasible V that proves the bound.
    """

    primal: float
    dual: float
    absolute_gap: float
    relative_gap: float
    primals: Array = field(repr=False)
    absolute_gaps: Array = field(repr=False)
    dual_point: Array = field(repr=False)
