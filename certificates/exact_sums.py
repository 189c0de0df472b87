"""Dual points whose sums are exact in float64, for strengths near the rounding of prices.

At such strengths, and at 0, a price that is 0 but for rounding would shrink V to nothing. On a
coarse enough grid of powers of 2 no sum of entries of V rounds: sums for an intercept are exactly
0, and so are prices of atoms that V is orthogonal to. With an intercept, a constant column is
priced 0 for any entry: its weight belongs to the intercept, which is free.
"""

import math

import numpy as np
from numpy.typing import NDArray

from ..dictionaries import BinaryMatrix, DenseMatrix
from ..dictionaries.norms import row_norms
from ..dictionaries.validation import Array
from ..formulations import ConvexProgram

_MOST_BITS = 1074  # of the smallest float64
_LOW = 1e6  # times the rounding of prices; 1e-6 of the sums, to which gaps are then proven
_INTEGER = 52  # bits of sums of absolute entries
_PRICE_BITS = 61  # of the largest entry of V, for prices in integers


def low_strength(program: ConvexProgram, V: Array) -> bool:
    """Tell whether the rounding of prices at V (N, C) matters beside the strength."""
    room = program.price_room(V) + len(V) * math.ulp(0.0)  # products underflow
    return bool(program.strength <= _LOW * room)


def exact_sums(program: ConvexProgram, V: Array) -> Array | None:
    """Return a V (N, C) near the given one, in the domain, of which no sum rounds.

    Return None for a loss of a user's own, or if V is 0 or too large or too small.
    """
    from .dual_grid import feasible_integers  # slow import
    from .exact_terms import EXACT_LOSSES

    total = float(np.abs(V).sum())
    if type(program.loss) not in EXACT_LOSSES or not 0.0 < total < np.inf:
        return None
    bits = _INTEGER - math.frexp(total)[1]
    if bits > _MOST_BITS:
        return None
    # without atoms that fire, the only constraints are the domain and the sums
    silent = BinaryMatrix.from_dense(np.zeros((len(V), 1), dtype=bool))
    free = ConvexProgram(
        silent, program.target, program.loss, 0.0, program.row_weights, program.intercept
    )
    found: Array = np.ldexp(feasible_integers(free, V, bits).astype(np.float64), -bits)
    return found


def sums_are_exact(V: Array) -> bool:
    """Tell whether no sum of entries of V rounds, in any order."""
    for v in V.T:
        most = float(max(v[v > 0].sum(), -v[v < 0].sum()))  # sums of any entries are between
        if not np.isfinite(most) or np.remainder(v, math.ulp(most)).any():
            return False
    return True


def prices_are_exact(program: ConvexProgram, V: Array) -> bool:
    """Tell whether ``exact_prices`` at V are exact, and sums of V are 0 for an intercept."""
    if not sums_are_exact(V) or (program.intercept and V.sum(axis=0).any()):
        return False
    if not isinstance(program.design, DenseMatrix) or not V.any():
        return True
    units = np.isin(program.design.to_dense(), (-1.0, 0.0, 1.0)).all(axis=0)
    return bool((units | _constant_columns(program)).all())


def _constant_columns(program: ConvexProgram) -> NDArray[np.bool_]:
    """Tell which columns of a real matrix an intercept stands for."""
    if not program.intercept:
        return np.zeros(program.design.shape[1], dtype=bool)
    D = program.design.to_dense()[program.row_weights > 0]
    constant: NDArray[np.bool_] = (D[0] == D).all(axis=0)
    return constant


def exact_prices(program: ConvexProgram, V: Array, active: NDArray[np.intp]) -> tuple[Array, Array]:
    """Return the largest prices (B,) at V with exact sums, and the prices (A, C) of some atoms.

    Those of -1, 0 and 1, and of constant columns beside an intercept, are exact.
    """
    largest, prices = program.price(V, active)
    if not isinstance(program.design, DenseMatrix):
        return largest, prices
    constant = _constant_columns(program)
    if not constant.any():
        return largest, prices
    prices = np.where(constant[active][:, None], 0.0, prices)
    if constant.all():
        return np.zeros_like(largest), prices
    return program.take(~constant).largest_prices(V), prices


def has_zero_prices(program: ConvexProgram, V: Array) -> bool:
    """Tell whether exact prices show that V is orthogonal to all atoms."""
    if not prices_are_exact(program, V):
        return False
    prices = program.design.rmatvec(V)
    if isinstance(program.design, DenseMatrix):
        prices = prices[~_constant_columns(program)]
    return not prices.any()


def is_feasible(program: ConvexProgram, V: Array) -> bool:
    """Tell whether exact prices show that V keeps the strength; False where they are not exact."""
    if program.penalty.norm is None or not prices_are_exact(program, V):
        return False
    none = np.zeros(0, dtype=np.intp)
    return bool(exact_prices(program, V, none)[0].max() <= program.strength)


def price_excess(program: ConvexProgram, V: Array) -> float:
    """Bound how much norms of prices at V exceed the strength, for a 0/1 design, by integers."""
    size = float(np.abs(V).max())
    bits = _PRICE_BITS - math.frexp(size)[1]
    if not 0.0 < size < np.inf or bits > _MOST_BITS:
        return np.inf
    high, low = program.design.rmatvec_exact(np.rint(np.ldexp(V, bits)).astype(np.int64), True)
    prices = np.ldexp(high * 2.0**32 + low, -bits)
    norms = row_norms(prices.reshape(len(prices), -1, program.norm_width))
    # V moves by half a unit per row, and prices, norms and this sum are rounded
    moved = math.sqrt(program.norm_width) * math.ldexp(len(V), -bits - 1)
    largest = float(norms.max(initial=0.0))
    error = moved + 8 * float(np.finfo(np.float64).eps) * largest
    return max(largest - program.strength + error, 0.0)
