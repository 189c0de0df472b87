"""ConicForm: a program in the standard form of conic solvers.

    minimise    1/2 x' quadratic x + linear_k' x + offset_k
    subject to  matrix x + s = bounds_k,   s in the cones, for each k

with x = (w, b, t, z, auxiliaries of the loss): weights, intercepts if any,
bounds on the penalty's norms, fits. If outputs separate and share every
matrix, each output is one problem k with its own vectors. Otherwise one problem
has all outputs, stacked one after the other in w, b and z.

Rows come in the order zero, nonnegative, second-order, exponential. The first
entry of a second-order cone bounds the norm of the others. An exponential cone
is {(p, q, r): q exp(p / q) <= r, q > 0}. The first rows are D w + b - z = 0;
minus their multipliers is the dual V. Columns of ``linear`` and ``bounds`` are
contiguous: OSQP silently misreads a strided vector.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from ...dictionaries.validation import Array
from ..epigraph import stack


@dataclass(frozen=True, repr=False)
class ConicForm:
    """A program in conic form; the docstring of the module defines its parts.

    Attributes
    ----------
    quadratic : (N, N) sparse CSC array
        Diagonal; all zero if the form is purely conic.
    linear : (N, K) array
    offset : (K,) array
    matrix : (M, N) sparse CSC array
    bounds : (M, K) array
    zero, nonnegative : int
        Rows of the first two kinds.
    second_order : tuple of int
        Size of each second-order cone.
    exponential : int
        Number of exponential cones, three rows each.
    atoms, width : int
        P, and the outputs of one k: w are the first ``atoms * width`` entries of x.
    has_intercept : bool
        Whether ``width`` intercepts follow w in x.
    norms : int
        Number of entries t of x, which bound the norms of weights.
    norm_costs : (norms,) array
        Costs of t at strength 1.
    rows : (n,) int array
        Rows of D with a positive row weight; the form leaves out the others.
    row_count : int
        Number of rows of D.

    Examples
    --------
    >>> import bidual as bd
    >>> D = bd.BinaryMatrix.from_dense([[1, 0], [1, 1], [0, 1]])
    >>> form = bd.ConvexProgram(D, [1.0, 2.0, -1.0], "squared", 0.1).to_conic()
    >>> form.matrix.shape, form.zero, form.nonnegative
    ((7, 7), 3, 4)
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
    atoms: int
    width: int
    has_intercept: bool
    norms: int
    norm_costs: Array
    rows: NDArray[np.intp]
    row_count: int

    def __repr__(self) -> str:
        rows, variables = self.matrix.shape
        return (
            f"ConicForm({variables} variables, {rows} rows: {self.zero} zero, "
            f"{self.nonnegative} nonnegative, {len(self.second_order)} second-order cones, "
            f"{self.exponential} exponential cones)"
        )

    def with_strength(self, strength: float) -> "ConicForm":
        """Return the form at another strength; both share all arrays but ``linear``."""
        linear = self.linear.copy(order="F")
        start = self.atoms * self.width + self.has_intercept * self.width
        linear[start : start + self.norms] = strength * self.norm_costs[:, None]
        return replace(self, linear=linear)

    def weights(self, x: Array) -> Array:
        """Return the weights (P, width) in a solution x (N,)."""
        return x[: self.atoms * self.width].reshape(self.width, self.atoms).T

    def intercept(self, x: Array) -> Array:
        """Return the intercepts (width,) in a solution x, zeros if the program has none."""
        start = self.atoms * self.width
        return x[start : start + self.width] if self.has_intercept else np.zeros(self.width)

    def dual(self, multipliers: Array) -> Array:
        """Return V (row_count, width) of y with quadratic x + linear + matrix' y = 0."""
        v = np.zeros((self.row_count, self.width))
        n = self.rows.size
        v[self.rows] = -multipliers[: n * self.width].reshape(self.width, n).T
        return v


def lower(program: Any, quadratic: bool) -> ConicForm:
    """Lower a program; ``quadratic`` keeps a quadratic objective, else the form uses a cone."""
    loss, penalty, intercept = program.loss, program.penalty, program.intercept
    rows = np.flatnonzero(program.row_weights > 0)
    held = program.design.to_csc()[rows]
    n, atoms = held.shape
    y, a = program.target[rows], program.row_weights[rows, None]
    alike = y.shape[1] == 1 or (loss.separable and loss.one_matrix and penalty.separable)
    width = 1 if alike else y.shape[1]
    if alike or not loss.separable:
        epigraph = loss.epigraph(y, a, quadratic)
    else:
        epigraph = stack([loss.epigraph(y[:, [c]], a, quadratic) for c in range(width)])
    columns = epigraph.offset.size
    extra = epigraph.squares.size
    eye = sparse.eye_array(width)
    ones = sparse.csc_array(np.ones((n, int(intercept))))
    # each row of blocks: columns w, b, t, z, auxiliaries
    fits = sparse.eye_array(n * width)
    link: list[Any] = [sparse.kron(eye, held), sparse.kron(eye, ones), None, -fits, None]
    groups: dict[str, list[tuple[list[Any], Array, int]]] = {
        "zero": [(link, np.zeros((n * width, columns)), 1)],
        "nonnegative": [],
        "second_order": [],
        "exponential": [],
    }
    charged = penalty.epigraph(atoms, width)
    norms = charged.costs.size
    for block in charged.blocks:
        row = [block.on_argument, None, block.on_auxiliary, None, None]
        bounds = np.repeat(block.bounds, columns, axis=1)
        groups[block.cone].append((row, bounds, block.size or bounds.shape[0]))
    for block in epigraph.blocks:
        row = [None, None, None, block.on_argument, block.on_auxiliary]
        groups[block.cone].append((row, block.bounds, block.size or block.bounds.shape[0]))
    stacked = [part for group in groups.values() for part in group]
    widths = (atoms * width, ones.shape[1] * width, norms, n * width, extra)
    before = widths[0] + widths[1]
    costs = (
        np.zeros((before, columns)),
        np.repeat(program.strength * charged.costs[:, None], columns, axis=1),
    )
    squares = np.zeros(before + norms), epigraph.fit_squares, epigraph.squares
    heights = {
        name: sum(bounds.shape[0] for _, bounds, _ in group) for name, group in groups.items()
    }
    return ConicForm(
        quadratic=sparse.diags_array(np.concatenate(squares), format="csc"),
        linear=np.asfortranarray(np.vstack([*costs, epigraph.linear, epigraph.auxiliary])),
        offset=epigraph.offset,
        matrix=sparse.vstack([_filled(row, widths) for row, _, _ in stacked], format="csc"),
        bounds=np.asfortranarray(np.vstack([bounds for _, bounds, _ in stacked])),
        zero=heights["zero"],
        nonnegative=heights["nonnegative"],
        second_order=sum(
            ((size,) * (bounds.shape[0] // size) for _, bounds, size in groups["second_order"]), ()
        ),
        exponential=heights["exponential"] // 3,
        atoms=atoms,
        width=width,
        has_intercept=intercept,
        norms=norms,
        norm_costs=charged.costs,
        rows=rows,
        row_count=program.design.shape[0],
    )


def _filled(row: list[Any], widths: tuple[int, ...]) -> Any:
    """Put a row of blocks side by side, absent blocks as zeros of their width."""
    height = next(block.shape[0] for block in row if block is not None)
    return sparse.hstack(
        [
            sparse.csc_array((height, width)) if block is None else sparse.csc_array(block)
            for block, width in zip(row, widths, strict=True)
        ]
    )
