"""certify: the duality gap of an answer as a sum of non-negative terms, in float64.

Let Z = D W + b, let V be a feasible dual point, and take a block of outputs that are solved
together, with its norms and losses. The gap of the block is

    sum_i [a_i loss(Z_i) + (a_i loss)*(-V_i) + Z_i'V_i]
    + sum_j [lambda norm(W_j) - W_j'(V'd_j)],

where each bracket is >= 0 (Fenchel-Young). For a penalty that is not a norm the second bracket
has a third term, the conjugate at the prices. Primal minus dual is the same number, but loses
digits to cancellation.

``certify`` makes V feasible: it moves V into the domain of the conjugate and then shrinks it by
min(1, lambda / max_j norm(V'd_j)). One pass over the packed columns gives the prices V'd_j of
all candidates for V.

In float64 the bound holds up to rounding, about 1e-15 of sum_i |V_i| (|Z_i| + |y_i|): less than
1e-13 of the reference, unless targets lie far from 0 for their spread. For a design with entries
of both signs, |D| |W| replaces |Z| in this estimate.
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

_WRONG = 1e-6  # share of the terms of a gap that is more than rounding
_INSIDE = 1.0 - 8 * float(np.finfo(np.float64).eps)  # rounding may lower a product by this factor


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


@np.errstate(over="ignore", invalid="ignore")  # an objective may be infinite; a bound is a number
def certify(
    program: ConvexProgram,
    solution: Any = None,
    *,
    weights: ArrayLike | None = None,
    intercept: ArrayLike | None = None,
    dual_point: ArrayLike | None = None,
    exact: bool = False,
) -> Certificate | ExactCertificate:
    """Certify an answer to a program from any solver: bound its gap to the optimum.

    Parameters
    ----------
    program : ConvexProgram
    solution : Solution, optional
        An answer of :func:`bidual.solve`. For any other answer give its parts instead:
    weights : (P,) or (P, C) array, optional
    intercept : float or (C,) array, optional
        b. By default, if the program has an intercept, the best one for the weights.
    dual_point : (N,) or (N, C) array, optional
        Another V to try besides the gradient at the weights. Of both and V = 0, each block
        takes the one with the smallest gap.
    exact : bool
        Whether to prove the bounds in integers. ``certify`` rounds weights and dual point to
        integers over powers of two; the certificate keeps them and can save them to a file.

    Returns
    -------
    Certificate or, if exact, ExactCertificate

    Raises
    ------
    ValueError
        If the caller gives neither or both of solution and weights, or parts together with a
        solution; if a part has another shape or contains NaN or infinity; if D W + b exceeds the
        largest float64; if exact, for a DenseMatrix or a user-defined loss or penalty.

    Examples
    --------
    >>> import bidual as bd
    >>> D = bd.BinaryMatrix.from_dense([[1, 0], [1, 1], [0, 1]])
    >>> program = bd.ConvexProgram(D, [1.0, 2.0, -1.0], loss="squared", strength=0.1)
    >>> round(bd.certify(program, weights=[0.0, 0.0]).relative_gap, 6)
    0.81
    """
    if exact:
        from .exact import check_provable, exact_certificate  # slow imports

        if isinstance(program.design, DenseMatrix):
            raise ValueError(
                f"program: expected a 0/1 design (BinaryMatrix) for an exact certificate, got "
                f"{program.design!r}; certify it with exact=False"
            )
        check_provable(program)
    if solution is not None and not hasattr(solution, "dual_point"):
        raise ValueError("solution: expected a Solution; pass weights by name, weights=...")
    if (solution is None) == (weights is None):
        raise ValueError("solution, weights: expected exactly one of the two")
    if weights is None:
        if intercept is not None or dual_point is not None:
            raise ValueError("intercept, dual_point: can be given only together with weights=")
        weights, intercept = solution.weights, solution.intercept
        dual_point = solution.dual_point
        shape = program.design.shape[1], program.outputs
        if np.shape(weights) != shape or np.shape(dual_point) != program.target.shape:
            raise ValueError(
                f"solution: expected weights of shape {shape} and a dual point of shape "
                f"{program.target.shape}, got {np.shape(weights)} and {np.shape(dual_point)}; pass "
                "the program that was solved"
            )
    W, b = program.checked_answer(weights, 0.0 if intercept is None else intercept)
    fit = program.affine(W, b)
    if not np.isfinite(fit).all():
        raise ValueError(
            "weights: expected a finite D W + b, got numbers beyond the largest float64"
        )
    if program.intercept and intercept is None:
        b = best_intercept(program.loss, fit, program.target, program.row_weights)
        fit = program.affine(W, b)
        if not np.isfinite(fit).all():
            raise ValueError(
                "weights: expected weights with a best intercept in float64, got none; rescale "
                "weights, targets or row weights"
            )
    if exact:
        found = getattr(solution, "certificate", None)
        if found is None or found.dual_point is not dual_point:
            found = certify(program, weights=W, intercept=b, dual_point=dual_point)
        return exact_certificate(program, found, W, b)
    candidates = [program.dual_at(fit)]
    if dual_point is not None:
        given = finite_array("dual_point", dual_point, *program.target.shape)
        candidates.append(program.into_domain(given))
    candidates = [v for v in candidates if np.isfinite(v).all()]
    if not candidates:
        return _proven(program, W, fit, [])
    if program.penalty.norm is None:
        if program.strength == 0:
            return _proven(program, W, fit, [])  # V = 0 alone: all other prices are infeasible
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
    """Certify with a dual point whose prices are known, without a pass over D.

    Parameters
    ----------
    program : ConvexProgram
    weights, intercept : (P, C) and (C,) array
    dual_point : (N, C) array
        A V in the domain of the conjugate.
    largest_prices : (B,) array
        Upper bounds on ``program.largest_prices(dual_point)``.
    """
    active = np.flatnonzero(weights.any(axis=1))
    prices = program.design.take(active).rmatvec(dual_point)
    fit = program.affine(weights, intercept)
    shrunk = _shrunk(program, weights[active], [dual_point], largest_prices[None], prices)
    return _proven(program, weights, fit, shrunk)


@dataclass(frozen=True)
class _Feasible:
    """A feasible V (N, C), with the penalty's part of the gap and its conjugate, per block.

    ``penalty_gap`` is strength * value(W) + conjugate - <W, prices>.
    """

    v: Array
    penalty_gap: Array
    conjugate: Array


def _shrunk(
    program: ConvexProgram, used: Array, candidates: list[Array], largest: Array, prices: Array
) -> list[_Feasible]:
    """Shrink candidates until their largest price is at most the strength; for norms.

    ``largest`` (K, B) are the largest prices of the candidates, or upper bounds on them.
    ``used`` (A, C) are the weights of the atoms in use and ``prices`` (A, K C) their prices.
    The conjugate of a norm is 0 at feasible prices, so that other atoms add nothing.
    """
    found = []
    # share (B,) multiplies the columns of its block: B is 1 or C
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
    """Scale a candidate until the penalty's conjugate is finite; for penalties without a norm.

    All atoms count: the conjugate need not be 0 at the prices of atoms without weight.
    """
    prices = program.design.rmatvec(candidate)
    share = np.clip(program.penalty.scaling(prices, program.strength), 0.0, 1.0)
    if len(program.blocks) == 1:  # coupled outputs share one scale
        share = share.min(keepdims=True)
    share = np.where(share < 1.0, share * _INSIDE, share)
    left = program.penalty.fenchel_young(W, share * prices, program.strength)
    conjugate = program.penalty.conjugate(share * prices, program.strength)
    return _Feasible(share * candidate, left, conjugate)


def _proven(program: ConvexProgram, W: Array, fit: Array, points: list[_Feasible]) -> Certificate:
    """Return the certificate of the best among the feasible points and V = 0, per block."""
    a = program.row_weights[:, None]
    primals = program.objectives(W, fit)
    gaps, dual_points = primals, np.zeros_like(fit)  # V = 0 proves the bound 0: losses are >= 0
    paid = np.zeros_like(gaps)
    for point in points:
        terms = program.loss.fenchel_young(fit, point.v, program.target, a)
        found = program.by_block(terms.sum(axis=0)) + program.by_block(point.penalty_gap)
        better = found < gaps
        dual_points = np.where(better, point.v, dual_points)
        paid = np.where(better, program.by_block(point.conjugate), paid)
        gaps = np.where(better, found, gaps)
    # not primal - gap, where the large primal of a bad answer would cost the bound its digits;
    # around b0, since sums of V are 0 up to rounding and targets may lie far from 0
    conjugates = program.loss.conjugate(dual_points, program.target, a)
    shifts = program.by_block((program.null_intercept * dual_points).sum(axis=0))
    duals = -program.by_block(conjugates.sum(axis=0)) - shifts - paid
    # a caller's fenchel_young() may be wrong: beyond rounding no gap is less than the difference
    sizes = primals + program.by_block(np.abs(conjugates).sum(axis=0)) + np.abs(shifts) + paid
    with np.errstate(invalid="ignore"):  # an infinite primal has no difference
        gaps = np.fmax(gaps, primals - duals - _WRONG * sizes)
    primal, gap = float(primals.sum()), float(gaps.sum())
    dual = min(float(duals.sum()), primal) + 0.0  # rounding; and no -0.0
    return Certificate(primal, dual, gap, program.relative(gap), primals, gaps, dual_points)
