"""ConicForm: a program lowered to the standard form of conic solvers.

    minimise    1/2 x' quadratic x + linear_c' x + offset_c
    subject to  matrix x + s = bounds_c,   s in the cones, for each output c

with x = (w, b, t, z, auxiliaries of the loss): weights, intercept if any,
bounds on |w|, fits. Rows come in the order zero, nonnegative, second-order,
exponential; an exponential cone is {(p, q, r): q exp(p / q) <= r, q > 0}. The
first rows say D w + b - z = 0, and minus their multipliers is the dual V.
Outputs differ in ``linear``, ``bounds`` and ``offset`` alone, whose columns are
contiguous: OSQP reads a strided vector as if it were not, and says nothing.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ..dictionaries import BinaryMatrix
from .losses import Loss

Array = NDArray[np.float64]


@dataclass(frozen=True)
class ConicForm:
    """A lowered program; the module's first lines say what each part means.

    Attributes
    ----------
    quadratic : (N, N) sparse CSC array
        Diagonal; all zero where the form is purely conic.
    linear : (N, C) array
    offset : (C,) array
    matrix : (M, N) sparse CSC array
    bounds : (M, C) array
    zero, nonnegative : int
        Rows of the first two kinds.
    second_order : tuple of int
        Size of each second-order cone.
    exponential : int
        Number of exponential cones, three rows each.
    weight_count, has_intercept : int, bool
        Where w ends and b stands in x.
    rows : (n,) int array
        Rows of D that carry weight; the others have no part in the form.
    row_count : int
        Rows of D.
    """

    quadratic: Any
    linear: Array
    offset: Array
    matrix: Any
    bounds: Array
    zero: int
    nonnegative: int
    second_order: tuple[int, ...]
    exponential: int
    weight_count: int
    has_intercept: bool
    rows: NDArray[np.intp]
    row_count: int

    def weights(self, x: Array) -> Array:
        """The weights (P,) in a solution x (N,)."""
        return x[: self.weight_count]

    def intercept(self, x: Array) -> float:
        """The intercept in a solution x, 0 where the program has none."""
        return float(x[self.weight_count]) if self.has_intercept else 0.0

    def dual(self, multipliers: Array) -> Array:
        """V (row_count,) from the multipliers (M,) with quadratic x + linear + matrix' y = 0."""
        v = np.zeros(self.row_count)
        v[self.rows] = -multipliers[: self.rows.size]
        return v


def lower(
    design: BinaryMatrix,
    target: Array,
    loss: Loss,
    strength: float,
    row_weights: Array,
    intercept: bool,
    quadratic: bool,
) -> ConicForm:
    """Lower the parts of a program; ``quadratic`` keeps a quadratic objective, else a cone."""
    rows = np.flatnonzero(row_weights > 0)
    held = design.to_csc()[rows]
    n, atoms = held.shape
    outputs = target.shape[1]
    epigraph = loss.epigraph(target[rows], row_weights[rows, None], quadratic)
    extra = epigraph.auxiliary.shape[0]
    ones = np.ones((n, int(intercept)))
    eye = sparse.eye_array(atoms)
    # each row of blocks: columns w, b, t, z, auxiliaries
    link: list[Any] = [held, ones, None, -sparse.eye_array(n), None]
    upper: list[Any] = [eye, None, -eye, None, None]
    under: list[Any] = [-eye, None, -eye, None, None]
    groups: dict[str, list[tuple[list[Any], Array]]] = {
        "zero": [(link, np.zeros((n, outputs)))],
        "nonnegative": [(row, np.zeros((atoms, outputs))) for row in (upper, under)],
        "second_order": [],
        "exponential": [],
    }
    for block in epigraph.blocks:
        groups[block.cone].append(
            ([None, None, None, block.on_fit, block.on_auxiliary], block.bounds)
        )
    stacked = [row for group in groups.values() for row in group]
    widths = (atoms, ones.shape[1], atoms, n, extra)
    matrix = sparse.vstack([_filled(row, widths) for row, _ in stacked], format="csc")
    sizes = {name: [bounds.shape[0] for _, bounds in group] for name, group in groups.items()}
    before = atoms + ones.shape[1]
    costs = np.zeros((before, outputs)), np.full((atoms, outputs), strength)
    linear = [*costs, epigraph.linear, epigraph.auxiliary]
    return ConicForm(
        quadratic=sparse.diags_array(
            np.concatenate([np.zeros(before + atoms), epigraph.quadratic, np.zeros(extra)]),
            format="csc",
        ),
        linear=np.asfortranarray(np.vstack(linear)),
        offset=epigraph.offset,
        matrix=matrix,
        bounds=np.asfortranarray(np.vstack([bounds for _, bounds in stacked])),
        zero=sum(sizes["zero"]),
        nonnegative=sum(sizes["nonnegative"]),
        second_order=tuple(sizes["second_order"]),
        exponential=sum(sizes["exponential"]) // 3,
        weight_count=atoms,
        has_intercept=intercept,
        rows=rows,
        row_count=design.shape[0],
    )


def _filled(row: list[Any], widths: tuple[int, ...]) -> Any:
    """One row of blocks side by side, absent blocks as zeros of their width."""
    height = next(block.shape[0] for block in row if block is not None)
    return sparse.hstack(
        [
            sparse.csc_array((height, width)) if block is None else sparse.csc_array(block)
            for block, width in zip(row, widths, strict=True)
        ]
    )
