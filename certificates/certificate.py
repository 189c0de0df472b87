"""Certificate: the float grade of what is proven of an answer."""

from dataclasses import dataclass, field

from ..dictionaries.validation import Array


@dataclass(frozen=True, eq=False)
class Certificate:
    """What is proven of an answer. All values are in units of the objective.

    Attributes
    ----------
    primal : float
        Objective of the answer, summed over outputs.
    dual : float
        The dual objective at ``dual_point``, a lower bound on every objective.
    absolute_gap : float
        Primal minus dual, >= 0, but summed without the cancellation.
    relative_gap : float
        ``absolute_gap`` / reference, the reference being the objective at W = 0 and the best
        intercept. Where that is 0, W = 0 is optimal: 0 for no gap, else infinity.
    primals, absolute_gaps : (B,) array
        Both for each of ``program.blocks``; they add up to ``primal`` and ``absolute_gap``.
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
