"""QuadraticProgram: a program in the form of quadratic solvers, rows between bounds."""

from dataclasses import dataclass
from typing import Any

import numpy as np

from ...dictionaries.validation import Array
from .conic import ConicForm


@dataclass(frozen=True, repr=False)
class QuadraticProgram:
    """Minimise 1/2 x' quadratic x + linear_k' x + offset_k with lower_k <= matrix x <= upper_k.

    The entries of x, the problems k and the rows are those of ``form``. Its methods turn x
    into weights and multipliers into the dual V.

    Attributes
    ----------
    quadratic : (N, N) sparse CSC array
        Diagonal; all zero if the program is linear.
    linear : (N, K) array
    offset : (K,) array
    matrix : (M, N) sparse CSC array
    lower, upper : (M, K) array
        Equal in the first rows, D w + b - z = 0. In the others lower is minus infinity and
        upper is a number.
    form : ConicForm

    Examples
    --------
    >>> import bidual as bd
    >>> D = bd.BinaryMatrix.from_dense([[1, 0], [1, 1], [0, 1]])
    >>> qp = bd.ConvexProgram(D, [1.0, 2.0, -1.0], "squared", 0.1).to_qp()
    >>> qp.matrix.shape, qp.lower.shape
    ((7, 7), (7, 1))
    """

    quadratic: Any
    linear: Array
    offset: Array
    matrix: Any
    lower: Array
    upper: Array
    form: ConicForm

    def __repr__(self) -> str:
        rows, variables = self.matrix.shape
        kind = "quadratic" if self.quadratic.nnz else "linear"
        return f"QuadraticProgram({kind}, {variables} variables, {rows} rows)"


def from_form(form: ConicForm) -> QuadraticProgram:
    """Turn a form with only zero and nonnegative cones into a QP; ValueError names other cones."""
    if form.second_order or form.exponential:
        found = "second-order" if form.second_order else "exponential"
        raise ValueError(
            f"form: expected only linear constraints, got {found} cones; use a conic solver"
        )
    below = np.full_like(form.bounds, -np.inf)  # as contiguous as the bounds
    below[: form.zero] = form.bounds[: form.zero]
    return QuadraticProgram(
        form.quadratic, form.linear, form.offset, form.matrix, below, form.bounds, form
    )
