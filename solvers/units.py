"""Units of a design: solvers expect entries of about 1, whatever a real matrix stands for.

W is counted in 1 / unit and D in units, a power of 2: then objective, dual point and
certificate are those of the program as it was stated, to the last bit.
"""

import math
from dataclasses import dataclass, replace

import numpy as np

from ..dictionaries import DenseMatrix, Design
from ..formulations import ConvexProgram
from .solution import Solution

_FAR = 4  # powers of 2 that typical entries may be off 1, before the design is copied for it


@dataclass(frozen=True)
class Units:
    """The unit of a program's design, 1 where it is 0/1, and the program over it in that unit."""

    size: float
    program: ConvexProgram

    @classmethod
    def of(cls, program: ConvexProgram) -> "Units":
        """Choose a unit; at 1 the program is the same object, as where penalties are not norms."""
        size = 1.0 if program.penalty.norm is None else _typical(program.design)
        if abs(math.log2(size)) <= _FAR:
            return cls(1.0, program)
        size = 2.0 ** round(math.log2(size))
        scaled = program.over(DenseMatrix(program.design.to_dense() / size))
        return cls(size, scaled.with_strength(program.strength / size))

    def at(self, strength: float) -> ConvexProgram:
        """The program in this unit, at a strength as it was stated."""
        return self.program.with_strength(strength / self.size)

    def take(self, solution: Solution) -> Solution:
        """An answer as it was stated, in this unit."""
        return replace(solution, weights=solution.weights * self.size)

    def back(self, solution: Solution, program: ConvexProgram) -> Solution:
        """An answer in this unit, to the program as it was stated."""
        return replace(solution, program=program, weights=solution.weights / self.size)


def _typical(design: Design) -> float:
    """The root mean square of the entries of a typical column of a real matrix."""
    if not isinstance(design, DenseMatrix):
        return 1.0
    squares = design.squared_norms()
    held = squares[squares > 0]
    if held.size == 0:
        return design.magnitude or 1.0  # of which squares may underflow
    return math.sqrt(float(np.median(held)) / design.shape[0])
