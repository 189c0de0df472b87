"""The float grade of a certificate: a duality gap as a sum of non-negative terms.

For W, b, Z = D W + b and a dual point V that is feasible, the gap of a block of
outputs that are solved together is, with norms and losses of that block,

    sum_i [a_i loss(Z_i) + (a_i loss)*(-V_i) + Z_i'V_i]
    + sum_j [lambda norm(W_j) - W_j'(V'd_j)],

each bracket >= 0 (Fenchel-Young); of a penalty that is not a norm the conjugate at the prices is
a third term of the second. Primal minus dual is the same number, but
loses digits to cancellation. V is made feasible by moving it into the domain
of the conjugate and then shrinking it by min(1, lambda / max_j norm(V'd_j)). The
prices of all candidates come from one pass over the packed columns. In float64
the bound holds up to rounding, about 1e-15 of sum_i |V_i| (|Z_i| + |y_i|): less
than 1e-13 of the reference, unless targets lie far from 0 for their spread. Of a
design with entries of both signs, |D| |W| stands for |Z|.
"""

from dataclasses import dataclass
from typing import Any, Literal, overload

import numpy as np
from numpy.typing import ArrayLike

from ..dictionaries import DenseMatrix
from ..dictionaries.validation import Array, finite_array
from ..formulations import ConvexProgram
from ..formulations.best_intercept import best_intercept
from .certificate import Certificate
from .exact_certificate import ExactCertificate

_INSIDE = 1.0 - 8 * float(np.finfo(np.float64).eps)  # what rounding may take of a product


@overload
def certify(
    program: ConvexProgram,
    solution: Any = None,
    *,
    weights: ArrayLike | None = None,
    intercept: ArrayLike | None = None,
    dual_point: ArrayLike | None = None,
    exact: Literal[False] = False,
) -> Certificate: ...
@overload
def certify(
    program: ConvexProgram,
    solution: Any = None,
    *,
    weights: ArrayLike | None = None,
    intercept: ArrayLike | None = None,
    dual_point: ArrayLike | None = None,
    exact: Literal[True],
) -> ExactCertificate: ...


def certify(
    program: ConvexProgram,
    solution: Any = None,
    *,
    weights: ArrayLike | None = None,
    intercept: ArrayLike | None = None,
    dual_point: ArrayLike | None = None,
    exact: bool = False,
) -> Certificate | ExactCertificate:
    """Certify an answer to a program, whoever found it.

    Parameters
    ----------
    program : ConvexProgram
    solution : Solution, optional
        An answer of :func:`bidual.solve`; or else give its parts:
    weights : (P,) or (P, C) array, optional
    intercept : float or (C,) array, optional
        b; the best one for the weights unless given, where the program has one.
    dual_point : (N,) or (N, C) array, optional
        A V to try besides the one that belongs to the weights; the better of
        the two (and of V = 0) counts, block by block.
    exact : bool
        Prove it in integers, for weights and a dual point rounded to integers over
        powers of two, which the certificate holds and can save to a file.

    Returns
    -------
    Certificate or, if exact, ExactCertificate

    Raises
    ------
    ValueError
        If neither or both of solution and weights are given, if parts are given
        beside a solution, or if one has another shape or holds NaN or infinity.
        If exact, with a loss or penalty that is none of bidual's own, or a DenseMatrix.

    Examples
    --------
    >>> import bidual as bd
    >>> D = bd.BinaryMatrix.from_dense([[1, 0], [1, 1], [0, 1]])
    >>> program = bd.ConvexProgram(D, [1.0, 2.0, -1.0], loss="squared", strength=0.1)
    >>> round(bd.certify(program, weights=[0.0, 0.0]).relative_gap, 6)
    0.81
    """
    if exact:
        from .exact import check_provable, exact_certificate  # what they need takes a while

        if isinstance(program.design, DenseMatrix):
            raise ValueError(
                f"program: exact certificates want a 0/1 design, whose products are sums of "
                f"integers; expected a BinaryMatrix, got {program.design!r}"
            )
        check_provable(program)
    if solution is not None and not hasattr(solution, "dual_point"):
        raise ValueError("solution: expected a Solution; weights go in by name, weights=...")
    if (solution is None) == (weights is None):
        raise ValueError("solution, weights: expected exactly one of the two")
    if weights is None:
        if intercept is not None or dual_point is not None:
            raise ValueError("intercept, dual_point: expected beside weights, not a solution")
        weights, intercept = solution.weights, solution.intercept
        dual_point = solution.dual_point
    W, b = program.checked_answer(weights, 0.0 if intercept is None else intercept)
    if program.intercept and intercept is None:
        b = best_intercept(program.loss, program.affine(W, b), program.target, program.row_weights)
    if exact:
        found = getattr(solution, "certificate", None)
        if found is None or found.dual_point is not dual_point:
            found = certify(program, weights=W, intercept=b, dual_point=dual_point)
        return exact_certificate(program, found, W, b)
    fit = program.affine(W, b)
    candidates = [program.dual_at(fit)]
    if dual_point is not None:
        given = finite_array("dual_point", dual_point, *program.target.shape)
        candidates.append(program.into_domain(given))
    if program.penalty.norm is None:
        return _proven(program, W, fit, [_scaled(program, W, v) for v in candidates])
    active = np.flatnonzero(W.any(axis=1))
    largest, prices = program.price(np.hstack(candidates), active)
    return _proven(program, W, fit, _shrunk(program, W[active], candidates, largest, prices))


def certify_priced(
    program: ConvexProgram,
    weights: Array,
    intercept: Array,
    dual_point: Array,
    largest_prices: Array,
) -> Certificate:
    """Certify by a dual point whose prices are known, without a pass over D.

    Parameters
    ----------
    program : ConvexProgram
    weights, intercept : (P, C) and (C,) array
    dual_point : (N, C) array
        In the domain of the conjugate.
    largest_prices : (B,) array
        At least ``program.largest_prices(dual_point)``.
    """
    active = np.flatnonzero(weights.any(axis=1))
    prices = program.design.take(active).rmatvec(dual_point)
    fit = program.affine(weights, intercept)
    shrunk = _shrunk(program, weights[active], [dual_point], largest_prices[None], prices)
    return _proven(program, weights, fit, shrunk)


@dataclass(frozen=True)
class _Feasible:
    """A feasible V (N, C), and of each block what the penalty leaves of the gap, and its conjugate.

    ``penalty_gap`` is strength * value(W) + conjugate - <W, prices>.
    """

    v: Array
    penalty_gap: Array
    conjugate: Array


def _shrunk(
    program: ConvexProgram, used: Array, candidates: list[Array], largest: Array, prices: Array
) -> list[_Feasible]:
    """Candidates under a norm, shrunk until their largest price is the strength.

    ``largest`` (K, B) are the largest prices of the candidates, or bounds on them, and
    ``prices`` (A, K C) those of the atoms in use, whose weights ``used`` (A, C) are. The
    conjugate of a norm is 0 where prices are feasible, so that other atoms add nothing.
    """
    found = []
    # one number per block, (B,), goes with its columns: B is 1 or C
    for k, (candidate, price) in enumerate(
        zip(candidates, largest.reshape(len(candidates), -1), strict=True)
    ):
        share = np.ones_like(price)
        np.divide(program.strength, price, out=share, where=price > program.strength)
        columns = slice(k * program.outputs, (k + 1) * program.outputs)
        left = program.penalty.fenchel_young(used, share * prices[:, columns], program.strength)
        found.append(_Feasible(share * candidate, left, np.zeros_like(left)))
    return found


def _scaled(program: ConvexProgram, W: Array, candidate: Array) -> _Feasible:
    """A candidate under any other penalty, scaled as the penalty's own conjugate asks.

    All atoms count, since the conjugate need not be 0 at prices of atoms without a weight.
    """
    prices = program.design.rmatvec(candidate)
    share = np.clip(program.penalty.scaling(prices, program.strength), 0.0, 1.0)
    if len(program.blocks) == 1:  # a loss that couples outputs wants them scaled alike
        share = share.min(keepdims=True)
    share = np.where(share < 1.0, share * _INSIDE, share)
    left = program.penalty.fenchel_young(W, share * prices, program.strength)
    conjugate = program.penalty.conjugate(share * prices, program.strength)
    return _Feasible(share * candidate, left, conjugate)


def _proven(program: ConvexProgram, W: Array, fit: Array, points: list[_Feasible]) -> Certificate:
    """The certificate by the best of the feasible points and V = 0, block by block."""
    a = program.row_weights[:, None]
    primals = program.objectives(W, fit)
    gaps, dual_points = primals, np.zeros_like(fit)  # V = 0 proves 0, since no loss is negative
    paid = np.zeros_like(gaps)
    for point in points:
        terms = program.loss.fenchel_young(fit, point.v, program.target, a)
        found = program.by_block(terms.sum(axis=0)) + program.by_block(point.penalty_gap)
        better = found < gaps
        dual_points = np.where(better, point.v, dual_points)
        paid = np.where(better, program.by_block(point.conjugate), paid)
        gaps = np.where(better, found, gaps)
    primal, gap = float(primals.sum()), float(gaps.sum())
    # by the conjugate, since a bad answer's primal would swallow the digits of the bound;
    # around b0, since sums of V are 0 but for rounding and targets may lie far from 0
    conjugates = program.loss.conjugate(dual_points, program.target, a)
    dual = -float(conjugates.sum()) - float((program.null_intercept * dual_points).sum())
    dual = min(dual - float(paid.sum()), primal) + 0.0  # rounding could part them; and no -0.0
    return Certificate(primal, dual, gap, program.relative(gap), primals, gaps, dual_points)
