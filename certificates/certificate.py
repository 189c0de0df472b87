"""Certificate: bounds on an answer in float64, proven up to rounding."""

from dataclasses import dataclass, field
from typing import Literal

from ..dictionaries.validation import Array

ROUNDING = 1e-13  # floats cannot resolve smaller relative gaps
TELLING = 1e-6  # relative gap from which on kinks are worth telling

DualSource = Literal["weights", "given", "solve"]
SOURCES = {
    "weights": "the dual point is that of the weights",
    "given": "the dual point was given",
    "solve": "the dual point is that of a solve of the program",
}


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
    rounding : float
        Bound on the rounding of ``primal``, ``dual`` and ``absolute_gap``, for any order of
        summation: the objective of the answer is at most ``primal + rounding``, no objective is
        below ``dual - rounding``, and the answer is within ``absolute_gap + rounding`` of the
        optimum. It is NaN in certificates that solvers make on the way.
    dual_source : {"weights", "given", "solve"}
        The origin of the points tried besides V = 0: the weights alone, or also a dual point
        given with them, or also that of a solve.
    kinks : int
        Number of rows on kinks of the loss if only the weights were used. Another V of these
        rows may prove a smaller gap.
    """

    primal: float
    dual: float
    absolute_gap: float
    relative_gap: float
    primals: Array = field(repr=False)
    absolute_gaps: Array = field(repr=False)
    dual_point: Array = field(repr=False)
    rounding: float = float("nan")
    dual_source: DualSource = "weights"
    kinks: int = 0

    def __str__(self) -> str:
        kinks = (
            f"; {self.kinks} rows lie on kinks of the loss, where dual='solve' may prove more"
            if self.kinks and self.relative_gap > TELLING
            else ""
        )
        return (
            f"objective {self.primal:.6g}, none below {self.dual:.6g}: absolute gap "
            f"{self.absolute_gap:.2g}, relative gap {self.relative_gap:.2g}, rounding at most "
            f"{self.rounding:.1g}; {SOURCES[self.dual_source]}{kinks}"
        )
