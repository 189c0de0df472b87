"""A tiny program of any loss and penalty, to compile kernels and to query backends."""

import numpy as np

from .. import LOSSES, BinaryMatrix, ConvexProgram


def tiny_program(loss: str, penalty: str, outputs: int, intercept: bool) -> ConvexProgram:
    """Return a program of three rows and two atoms; ``outputs`` is 1 or 2, for softmax 2."""
    target = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])[:, :outputs]
    if LOSSES[loss].labels:
        target = 2.0 * target - 1.0
    design = BinaryMatrix.from_dense([[1, 0], [1, 1], [0, 1]])
    return ConvexProgram(design, target, loss, 1e-2, intercept=intercept, penalty=penalty)
