"""Expressions in CVXPY that several losses share; importing this file needs CVXPY."""

from typing import Any

import cvxpy as cp
import numpy as np
from scipy import sparse

from ...dictionaries.validation import Array

__all__ = ["cp", "half_squares", "hinges", "weighted"]


def weighted(values: Any, a: Array) -> Any:
    """Sum (n, C) values, weighted by row."""
    return cp.sum(cp.multiply(np.tile(a[:, None], (1, values.shape[1])), values))


def half_squares(values: Any, a: Array) -> Any:
    """Return half the sum of squares of (n, C) values, weighted by row."""
    return 0.5 * cp.sum_squares(sparse.diags_array(np.sqrt(a), format="csc") @ values)


def hinges(z: Any, y: Array) -> Any:
    """Return max(0, 1 - y z)."""
    return cp.pos(1 - cp.multiply(y, z))
