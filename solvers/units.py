"""Units of a program: state it with numbers of about 1, which solvers expect.

- A real matrix is divided by a power of 2 that makes its typical entries about 1.
- With an intercept b, columns far from 0 for their spread are moved to mean 0. This moves b alone.
- Targets and row weights near the ends of float64 are divided by powers of 2.

The certificate of an answer is about the original program. Powers of 2 change no digit of it,
unless numbers underflow; after all other changes the answer is certified again.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from ..certificates.certify import certify_answer
from ..dictionaries import DenseMatrix, Design
from ..dictionaries.validation import Array
from ..formulations import ConvexProgram
from ..formulations.losses import Loss
from .solution import Solution, status_of

_FAR = 4  # powers of 2 between typical entries and 1, above which a scaled copy is made
_OFF = 100.0  # means above this multiple of the spread make a centred copy
_EXTREME = 200  # powers of 2 between targets or row weights and 1, above which these are scaled

Answer = tuple[Array, Array, Array]


@dataclass(frozen=True)
class Units:
    """Units of a program, and the program in these units.

    W = W' fit / size and b = fit b' - centre'W; V = slope mass V', and strengths scale by
    slope mass / size. ``centre`` (P,) holds the means taken off the columns, None if none are.
    """

    program: ConvexProgram
    size: float = 1.0
    centre: Array | None = None
    fit: float = 1.0
    slope: float = 1.0
    mass: float = 1.0

    @classmethod
    @np.errstate(over="ignore", invalid="ignore")
    def of(cls, program: ConvexProgram) -> "Units":
        """Choose the units; an ordinary program stays the same."""
        norm = program.penalty.norm is not None
        centre = _centre(program)
        design: Design = program.design
        if centre is not None:
            design = DenseMatrix(design.to_dense() - centre)
        size = _power(_typical(design), _FAR) if norm else 1.0
        if size != 1.0:
            design = DenseMatrix(design.to_dense() / size)
        a, y = program.row_weights, program.target
        mass = _power(float(a.max()), _EXTREME)
        loss, fit, slope = _in_units(program) if norm else (program.loss, 1.0, 1.0)
        if fit == mass == 1.0:
            if design is program.design:
                return cls(program)
            scaled = program.over(design)
        else:
            scaled = ConvexProgram(
                design, y / fit, loss, 0.0, a / mass, program.intercept, penalty=program.penalty
            )
        units = cls(scaled, size, centre, fit, slope, mass)
        return replace(units, program=units.at(program.strength))

    def at(self, strength: float) -> ConvexProgram:
        """Return the program in these units at a strength of the original program."""
        # one division after the other: products of units may overflow
        scaled = strength / self.mass / self.slope / self.size
        return self.program.with_strength(min(scaled, float(np.finfo(np.float64).max)))

    @np.errstate(over="ignore", invalid="ignore")
    def take(self, weights: Array, intercept: Array, dual_point: Array) -> Answer:
        """Convert an answer to the original program into these units."""
        if self.centre is not None:
            intercept = intercept + self.centre @ weights
        return (
            weights / self.fit * self.size,
            intercept / self.fit,
            dual_point / self.mass / self.slope,
        )

    @np.errstate(over="ignore", invalid="ignore")
    def back(self, solution: Solution, program: ConvexProgram) -> Solution:
        """Convert an answer in these units into an answer to the original program."""
        weights = solution.weights / self.size * self.fit
        plain = self.centre is None and self.fit == self.mass == 1.0
        if plain and np.isfinite(weights).all():
            return replace(solution, program=program, weights=weights)
        intercept = solution.intercept * self.fit
        if self.centre is not None:
            intercept = intercept - self.centre @ weights
        # fits that float64 holds may need weights that it does not
        held = np.isfinite(weights).all(axis=0) & np.isfinite(intercept)
        weights = np.where(held, weights, 0.0)
        intercept = np.where(held, intercept, program.null_intercept)
        point = solution.dual_point * self.slope * self.mass
        certificate = certify_answer(program, weights, intercept, [point], "solve")
        return replace(
            solution,
            program=program,
            status=status_of(program, certificate, solution.asked_gap, solution.status),
            weights=weights,
            intercept=intercept,
            dual_point=certificate.dual_point,
            certificate=certificate,
        )


def _power(number: float, far: int) -> float:
    """Return the power of 2 near a number, or 1 if the number is 0 or not far from 1."""
    if number == 0.0 or abs(math.log2(number)) <= far:
        return 1.0
    return math.ldexp(1.0, round(math.log2(number)))


def _in_units(program: ConvexProgram) -> tuple[Loss, float, float]:
    """Return a loss of targets in units of a fit, this fit, and the unit of its slope."""
    held = np.where(program.row_weights[:, None] > 0, program.target - program.null_intercept, 0.0)
    fit = _power(float(np.abs(held).max()), _EXTREME)
    found = program.loss.in_units(fit, np.inf) if fit != 1.0 else None
    return (program.loss, 1.0, 1.0) if found is None else (found[0], fit, found[1])


def _centre(program: ConvexProgram) -> Array | None:
    """Return the means of columns far from 0 for their spread, 0 for others; None if none is."""
    if not program.intercept or not isinstance(program.design, DenseMatrix):
        return None
    array = program.design.to_dense()[program.row_weights > 0]
    means = array.mean(axis=0)
    spreads = np.abs(array - means).max(axis=0)
    off = np.abs(means) > _OFF * spreads
    return np.where(off, means, 0.0) if off.any() else None


def _typical(design: Design) -> float:
    """Return the root mean square of the entries of a typical column; 1 for a 0/1 matrix."""
    if not isinstance(design, DenseMatrix):
        return 1.0
    squares = design.squared_norms()
    held = squares[squares > 0]
    if held.size == 0:
        return design.magnitude or 1.0  # its squares may underflow
    return math.sqrt(float(np.median(held)) / design.shape[0])
