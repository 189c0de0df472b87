"""A tiny program of any loss and penalty, to warm kernels up and to ask backends what they take."""

import numpy as np

from .. import LOSSES, BinaryMatrix, ConvexProgram


def tiny_program(loss: str, penalty: str, outputs: int, intercept: bool) -> ConvexProgram:
    """Three rows and two atoms; ``outputs`` is 1 or 2, and 2 for the softmax loss."""
    target = np.array([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0]])[:, :outputs]
    if LOSSES[loss].labels:
        target = 2.0 * target - 1.0
    design = BinaryMatrix.from_dense([[1, 0], [1, 1], [0, 1]])
    return ConvexProgram(design, target, loss, 1e-2, intercept=intercept, penalty=penalty)
