"""Programs in CVXPY's modelling language, independent of the lowering to cones."""

from typing import Any

import cvxpy as cp
import numpy as np

from ...dictionaries import Design
from ..losses import Loss
from ..penalties import Penalty


def state(
    design: Design,
    target: Any,
    loss: Loss,
    penalty: Penalty,
    strength: float,
    row_weights: Any,
    intercept: bool,
) -> Any:
    """Return the ``cvxpy.Problem`` of a program; :meth:`ConvexProgram.to_cvxpy` lists its names."""
    n, outputs = target.shape
    weights = cp.Variable((design.shape[1], outputs), name="weights")
    fits = cp.Variable((n, outputs), name="fits")
    factor = cp.Parameter(nonneg=True, name="strength", value=strength)
    model = design.to_csc() @ weights
    if intercept:
        model = model + np.ones((n, 1)) @ cp.Variable((1, outputs), name="intercept")
    cost = loss.to_cvxpy(fits, target, row_weights) + factor * penalty.to_cvxpy(weights)
    return cp.Problem(cp.Minimize(cost), [fits - model == 0])
