"""Programs in CVXPY's modelling language, term by term and apart from the lowering."""

from collections.abc import Callable
from typing import Any

import cvxpy as cp
import numpy as np
from scipy import sparse

from ..dictionaries import Design
from .losses import Huber, Loss
from .penalties import Penalty


def state(
    design: Design,
    target: Any,
    loss: Loss,
    penalty: Penalty,
    strength: float,
    row_weights: Any,
    intercept: bool,
) -> Any:
    """The ``cvxpy.Problem`` of a program; :meth:`ConvexProgram.to_cvxpy` has the names in it."""
    n, outputs = target.shape
    weights = cp.Variable((design.shape[1], outputs), name="weights")
    fits = cp.Variable((n, outputs), name="fits")
    factor = cp.Parameter(nonneg=True, name="strength", value=strength)
    model = design.to_csc() @ weights
    if intercept:
        model = model + np.ones((n, 1)) @ cp.Variable((1, outputs), name="intercept")
    cost = _LOSSES[loss.name](loss, fits, target, row_weights)
    norm = cp.norm1(weights) if penalty.separable else cp.mixed_norm(weights, 2, 1)
    return cp.Problem(cp.Minimize(cost + factor * norm), [fits - model == 0])


def _weighted(values: Any, a: Any) -> Any:
    """Sum of (n, C) values with the weight of their row."""
    return cp.sum(cp.multiply(np.tile(a[:, None], (1, values.shape[1])), values))


def _half_squares(values: Any, a: Any) -> Any:
    return 0.5 * cp.sum_squares(sparse.diags_array(np.sqrt(a), format="csc") @ values)


def _squared(loss: Loss, z: Any, y: Any, a: Any) -> Any:
    return _half_squares(z - y, a)


def _absolute(loss: Loss, z: Any, y: Any, a: Any) -> Any:
    return _weighted(cp.abs(z - y), a)


def _huber(loss: Loss, z: Any, y: Any, a: Any) -> Any:
    assert isinstance(loss, Huber)
    return _weighted(0.5 * cp.huber(z - y, loss.delta), a)  # its huber is twice ours


def _hinge(loss: Loss, z: Any, y: Any, a: Any) -> Any:
    return _weighted(cp.pos(1 - cp.multiply(y, z)), a)


def _squared_hinge(loss: Loss, z: Any, y: Any, a: Any) -> Any:
    return _half_squares(cp.pos(1 - cp.multiply(y, z)), a)


def _logistic(loss: Loss, z: Any, y: Any, a: Any) -> Any:
    return _weighted(cp.logistic(-cp.multiply(y, z)), a)


def _softmax(loss: Loss, z: Any, y: Any, a: Any) -> Any:
    whole = cp.log_sum_exp(z, axis=1) - cp.sum(cp.multiply(y, z), axis=1)
    return a @ whole


_LOSSES: dict[str, Callable[[Loss, Any, Any, Any], Any]] = {
    "squared": _squared,
    "absolute": _absolute,
    "huber": _huber,
    "hinge": _hinge,
    "squared_hinge": _squared_hinge,
    "logistic": _logistic,
    "softmax": _softmax,
}
