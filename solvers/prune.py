"""Pruning: reduce the atoms of an answer to Caratheodory's bound.

An answer is a sum of atoms with weights x > 0. Its fits are Z = sum_j x_j a_j + b. Under l1,
a_j is a column with a sign, in one output. Under the group norm it is d_j u_j' in R^{N C},
u_j = W_j / |W_j|. The penalty is sum_j x_j. If the a_j are dependent, x moves along a kernel
vector until an atom has weight 0; the sign of the vector is chosen so that the sum does not
rise. This is the push of a simplex method's crossover, here on a dense tableau from a QR with
column pivoting.
"""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import qr, solve_triangular

from ..certificates.rounding import objective_rounding
from ..dictionaries.validation import Array
from ..formulations import ConvexProgram
from .process import one_blas_thread

Columns = NDArray[np.intp]

_EPSILON = float(np.finfo(np.float64).eps)
_TIE = 16 * _EPSILON  # steps within this relative difference count as equal
_PIVOT = 1e-11  # entries of the tableau below this share of the largest count as rounding
_AT_ONCE = 256  # atoms added to those kept per pass: a tableau of thousands is slow


def prune(program: ConvexProgram, weights: Array, intercept: Array) -> tuple[Array, Array, bool]:
    """Return W (P, C) and b (C,) with the same fits and independent atoms, and a flag.

    The flag is False if dependent atoms remain because removing them could raise the objective
    by more than 4 E. E bounds the rounding error of evaluating the objective at ``weights``. In
    exact arithmetic the objective never rises by more than 4 E. All atoms stay if E is infinite.

    Raises
    ------
    ValueError
        If the penalty is not l1 or group.
    """
    W, b = weights.copy(), intercept.copy()
    complete = True
    value, error = objective_rounding(program, W, b)
    if not np.isfinite(error):
        return W, b, False
    most = value + 3 * error  # the exact objective is at least value - error
    with one_blas_thread.held():
        for part in _parts(program):
            waiting = np.flatnonzero(W[:, part].any(axis=1))
            kept = waiting[:0]
            while waiting.size:
                size = max(program.target.shape[0] * program.norm_width + _AT_ONCE - kept.size, 1)
                columns, waiting = np.append(kept, waiting[:size]), waiting[size:]
                W, b, all_pushed = _pushed(program, W, b, part, columns, most)
                if not all_pushed:
                    complete = False
                    break
                kept = columns[W[columns, part].any(axis=1)]
    return W, b, complete


def support_rank(program: ConvexProgram, weights: Array) -> int:
    """Return the rank of the active atoms in R^{N C}, centred if the program has an intercept."""
    total = 0
    with one_blas_thread.held():
        for part in _parts(program):
            columns = np.flatnonzero(weights[:, part].any(axis=1))
            _, directions = _polar(weights[columns, part])
            total += _triangle(_atoms(program, columns, directions))[0].shape[0]
    return total


def _parts(program: ConvexProgram) -> list[slice]:
    """Return the slices of outputs that one norm of the penalty covers."""
    if program.penalty.norm is None:
        raise ValueError(
            f"program: pruning needs the penalty l1 or group, got {program.penalty!r}; state the "
            f"program with one of these"
        )
    width = program.norm_width
    return [slice(c, c + width) for c in range(0, program.outputs, width)]


def _pushed(
    program: ConvexProgram, W: Array, b: Array, part: slice, columns: Columns, most: float
) -> tuple[Array, Array, bool]:
    """Prune some columns with as many pushes as provably keep the objective below ``most``."""
    sizes, directions = _polar(W[columns, part])
    atoms = _atoms(program, columns, directions)
    for pushes in _halves(atoms.shape[1]):
        x = _vertex(atoms, sizes, pushes)
        if x is sizes:
            return W, b, True
        moved, shifted = W.copy(), b.copy()
        moved[columns, part] = x[:, None] * directions
        if program.intercept:
            apart = program.design.matvec(W[:, part] - moved[:, part])
            shifted[part] += apart.mean(axis=0)
        if sum(objective_rounding(program, moved, shifted)) <= most:
            return moved, shifted, pushes == atoms.shape[1]
    return W, b, False


def _halves(number: int) -> Iterator[int]:
    while number:
        yield number
        number //= 2


def _polar(W: Array) -> tuple[Array, Array]:
    """Return lengths (s,) and directions (s, c) of rows other than 0."""
    largest = np.abs(W).max(axis=1, keepdims=True)  # first, so that no square underflows
    scaled = W / largest
    lengths = np.linalg.norm(scaled, axis=1, keepdims=True)
    return (largest * lengths)[:, 0], scaled / lengths


def _atoms(program: ConvexProgram, columns: Columns, directions: Array) -> Array:
    """Return the atoms (k, s) in an orthonormal basis of R^{N c}.

    If the program has an intercept, the columns are centred: the intercept fits their mean.
    """
    D = program.design.take(columns).to_dense()
    if program.intercept:
        D -= D.mean(axis=0)
    R, order = _triangle(D)
    basis = np.empty_like(R)
    basis[:, order] = R
    return np.vstack([basis * direction for direction in directions.T])


def _triangle(A: Array) -> tuple[Array, Columns]:
    """Return R (r, s) and an order of columns with A[:, order] = Q R; r is the rank of A."""
    square = qr(A, mode="r", check_finite=False)[0][: min(A.shape)]  # pivoting is slow on tall ones
    R, order = qr(square, mode="r", pivoting=True, check_finite=False)
    sizes = np.abs(R.diagonal())
    rank = np.count_nonzero(sizes > max(A.shape) * _EPSILON * sizes.max(initial=0.0))
    return R[:rank], order


def _vertex(atoms: Array, sizes: Array, pushes: int) -> Array:
    """Return x >= 0 with atoms @ x = atoms @ sizes, no larger sum, and up to ``pushes`` more zeros.

    If the atoms are independent, return ``sizes`` itself.
    """
    R, order = _triangle(atoms)
    rank = R.shape[0]
    basic, rest = order[:rank].copy(), order[rank:]
    if rest.size == 0:
        return sizes
    x = sizes.copy()
    tableau = solve_triangular(R[:, :rank], R[:, rank:], check_finite=False)
    for k, column in enumerate(rest[:pushes]):
        # atom = atoms[:, basic] @ t: its weight falls, or grows if falling would raise the sum
        t = tableau[:, k].copy()
        sense = 1.0 if t.sum() <= 1.0 else -1.0
        change = sense * t
        falling = np.flatnonzero(change < -_PIVOT * max(1.0, np.abs(t).max(initial=0.0)))
        steps = x[basic[falling]] / -change[falling]
        step = steps.min(initial=np.inf)
        leaves = sense > 0 and x[column] <= step
        step = x[column] if leaves else step
        gone = falling[steps <= step * (1.0 + _TIE)]  # all atoms that reach 0 up to rounding
        x[basic] = np.maximum(x[basic] + step * change, 0.0)
        x[basic[gone]] = 0.0
        if leaves:
            x[column] = 0.0
            continue
        # a basic atom is at 0 and this one replaces it; of several, that with the largest pivot
        i = gone[np.argmax(np.abs(t[gone]))]
        x[column] -= sense * step
        basic[i] = column
        row = tableau[i, k + 1 :] / t[i]
        tableau[:, k + 1 :] -= np.outer(t, row)
        tableau[i, k + 1 :] = row
    # the atoms that stay undo what rounding changed in the fits
    staying = basic[x[basic] > 0]
    if staying.size:
        Q, R = qr(atoms[:, staying], mode="economic", check_finite=False)
        x[staying] += solve_triangular(R, Q.T @ (atoms @ (sizes - x)), check_finite=False)
    return x
