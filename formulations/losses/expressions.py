"""What losses in CVXPY's modelling language have in common; importing it needs CVXPY."""

from typing import Any

import cvxpy as cp
import numpy as np
from scipy import sparse

from ...dictionaries.validation import Array

__all__ = ["cp", "half_squares", "hinges", "weighted"]


def weighted(values: Any, a: Array) -> Any:
    """Sum of (n, C) values with the weight of their row."""
    return cp.sum(cp.multiply(np.tile(a[:, None], (1, values.shape[1])), values))


def half_squares(values: Any, a: Array) -> Any:
    """Half the sum of squares of (n, C) values, with the weight of their row."""
    return 0.5 * cp.sum_squares(sparse.diags_array(np.sqrt(a), format="csc") @ values)


def hinges(z: Any, y: Array) -> Any:
    """max(0, 1 - y z)."""
    return cp.pos(1 - cp.multiply(y, z))
