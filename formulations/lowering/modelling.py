"""Programs in CVXPY's modelling language, independent of the lowering to cones."""

from typing import Any

import cvxpy as cp
import numpy as np


def state(program: Any) -> Any:
    """Return the ``cvxpy.Problem`` of a program; :meth:`ConvexProgram.to_cvxpy` lists its names."""
    n, outputs = program.target.shape
    weights = cp.Variable((program.design.shape[1], outputs), name="weights")
    fits = cp.Variable((n, outputs), name="fits")
    factor = cp.Parameter(nonneg=True, name="strength", value=program.strength)
    model = program.design.to_csc() @ weights
    if program.intercept:
        model = model + np.ones((n, 1)) @ cp.Variable((1, outputs), name="intercept")
    cost = program.loss.to_cvxpy(fits, program.target, program.row_weights)
    cost = cost + factor * program.penalty.to_cvxpy(weights)
    return cp.Problem(cp.Minimize(cost), [fits - model == 0])
