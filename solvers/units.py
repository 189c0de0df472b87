"""Units of a design: scale a real matrix to entries of about 1, which solvers expect.

D is divided by a unit and W multiplied by it. The unit is a power of 2, so objective, dual
point and certificate equal those of the original program to the last bit.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from ..dictionaries import DenseMatrix, Design
from ..formulations import ConvexProgram
from .solution import Solution

_FAR = 4  # powers of 2 between typical entries and 1, above which a scaled copy is made


@dataclass(frozen=True)
class Units:
    """Unit of a program's design (1 for a 0/1 design), and the program in that unit."""

    size: float
    program: ConvexProgram

    @classmethod
    def of(cls, program: ConvexProgram) -> "Units":
        """Choose the unit; it is 1, with the same program, if the penalty is not a norm."""
        size = 1.0 if program.penalty.norm is None else _typical(program.design)
        if abs(math.log2(size)) <= _FAR:
            return cls(1.0, program)
        size = 2.0 ** round(math.log2(size))
        scaled = program.over(DenseMatrix(program.design.to_dense() / size))
        return cls(size, scaled.with_strength(program.strength / size))

    def at(self, strength: float) -> ConvexProgram:
        """Return the program in this unit at a strength of the original program."""
        return self.program.with_strength(strength / self.size)

    def take(self, solution: Solution) -> Solution:
        """Convert an answer to the original program into this unit."""
        return replace(solution, weights=solution.weights * self.size)

    def back(self, solution: Solution, program: ConvexProgram) -> Solution:
        """Convert an answer in this unit into an answer to the original program."""
        return replace(solution, program=program, weights=solution.weights / self.size)


def _typical(design: Design) -> float:
    """Return the root mean square of the entries of a typical column; 1 for a 0/1 matrix."""
    if not isinstance(design, DenseMatrix):
        return 1.0
    squares = design.squared_norms()
    held = squares[squares > 0]
    if held.size == 0:
        return design.magnitude or 1.0  # its squares may underflow
    return math.sqrt(float(np.median(held)) / design.shape[0])
