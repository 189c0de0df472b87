"""certify_answer: the duality gap of an answer as a sum of non-negative terms, in float64.

Let Z = D W + b, let V be a feasible dual point, and take a block of outputs that are solved
together, with its norms and losses. The gap of the block is

    sum_i [a_i loss(Z_i) + (a_i loss)*(-V_i) + Z_i'V_i]
    + sum_j [lambda norm(W_j) - W_j'(V'd_j)],

where each bracket is >= 0 (Fenchel-Young). For a penalty that is not a norm the second bracket
has a third term, the conjugate at the prices. Primal minus dual is the same number, but loses
digits to cancellation.

A certificate needs a feasible V. ``certify_quickly`` makes one: it moves V into the domain of
the conjugate and then shrinks it by min(1, lambda / max_j norm(V'd_j)). One pass over the packed
columns gives the prices V'd_j of all candidates for V.

In float64 the bound holds up to rounding. ``certify_answer`` adds a bound on it to the certificate
(``rounding.py``).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from ..dictionaries.validation import Array
from ..formulations import ConvexProgram
from .certificate import Certificate, DualSource
from .exact_sums import exact_prices, exact_sums, has_zero_prices, low_strength, prices_are_exact
from .rounding import certificate_rounding

_WRONG = 1e-6  # share of the terms of a gap that is more than rounding
_Priced = tuple[Array, Array, Array]  # V, its largest prices, and the prices of atoms in use
_INSIDE = 1.0 - 8 * float(np.finfo(np.float64).eps)  # rounding may lower a product by this factor


def certify_answer(
    program: ConvexProgram,
    weights: Array,
    intercept: Array,
    points: Sequence[Array] = (),
    source: DualSource = "weights",
    kinks: int = 0,
) -> Certificate:
    """Certify W (P, C) and b (C,) and bound the rounding; ``points`` are further V to try.

    ``source`` says where the points come from, and ``kinks`` how many rows lie on kinks. The
    caller has checked all arrays.
    """
    found = certify_quickly(program, weights, intercept, points)
    rounding = certificate_rounding(program, weights, intercept, found.dual_point)
    return replace(found, rounding=rounding, dual_source=source, kinks=kinks)


def certify_quickly(
    program: ConvexProgram, weights: Array, intercept: Array, points: Sequence[Array] = ()
) -> Certificate:
    """Certify as :func:`certify_answer`, without a bound on rounding."""
    with np.errstate(over="ignore", invalid="ignore"):  # an infinite objective proves nothing
        fit = program.affine(weights, intercept)
        candidates = [program.dual_at(fit), *map(program.into_domain, points)]
        candidates = [v for v in candidates if np.isfinite(v).all()]
        if program.penalty.norm is None:
            exact = [exact_sums(program, v) for v in candidates if low_strength(program, v)]
            free = [v for v in exact if v is not None and has_zero_prices(program, v)]
            # at prices 0 the conjugate is 0, as W = 0 attains its supremum
            left = program.strength * program.by_block(program.penalty.value(weights))
            feasible = [_Feasible(v, left, np.zeros_like(left)) for v in free]
            if program.strength > 0:  # at 0 all other prices are infeasible
                feasible.extend(_scaled(program, weights, v) for v in candidates)
            return _proven(program, weights, fit, feasible)
        if not candidates:
            return _proven(program, weights, fit, [])
        active = np.flatnonzero(weights.any(axis=1))
        largest, prices = program.price(np.hstack(candidates), active)
        priced = _priced(program, candidates, largest, prices)
        _add_exact(program, active, priced)
        return _proven(program, weights, fit, _shrunk(program, weights[active], priced))


@np.errstate(over="ignore", invalid="ignore")
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
        Upper bounds on ``program.largest_prices(dual_point)``, or on prices of more atoms.
    """
    active = np.flatnonzero(weights.any(axis=1))
    prices = program.design.take(active).rmatvec(dual_point)
    fit = program.affine(weights, intercept)
    priced = _priced(program, [dual_point], largest_prices[None], prices)
    found = _proven(program, weights, fit, _shrunk(program, weights[active], priced))
    rounding = certificate_rounding(program, weights, intercept, found.dual_point)
    return replace(found, rounding=rounding)


@dataclass(frozen=True)
class _Feasible:
    """A feasible V (N, C), with the penalty's part of the gap and its conjugate, per block.

    ``penalty_gap`` is strength * value(W) + conjugate - <W, prices>.
    """

    v: Array
    penalty_gap: Array
    conjugate: Array


def _priced(
    program: ConvexProgram, candidates: list[Array], largest: Array, prices: Array
) -> list[_Priced]:
    """Pair candidates with their largest prices (B,) and the prices (A, C) of atoms in use.

    ``largest`` (K, B) are the largest prices of the candidates, or upper bounds on them, and
    ``prices`` (A, K C) those of the atoms in use.
    """
    own = np.split(prices, len(candidates), axis=1)
    return list(zip(candidates, largest.reshape(len(candidates), -1), own, strict=True))


def _add_exact(program: ConvexProgram, active: NDArray[np.intp], priced: list[_Priced]) -> None:
    """Add candidates with exact sums to those whose prices may be 0 but for rounding."""
    for k, (candidate, price, _) in enumerate(priced[:]):
        if not low_strength(program, candidate) or price.max() > program.price_room(candidate):
            continue
        exact = exact_sums(program, candidate)
        if exact is None:
            continue
        largest, own = exact_prices(program, exact, active)
        if largest.max() <= program.strength:
            priced[k] = exact, largest, own
        else:
            priced.append((exact, largest, own))


def _shrunk(program: ConvexProgram, used: Array, priced: list[_Priced]) -> list[_Feasible]:
    """Shrink candidates until their largest price is at most the strength; for norms.

    ``used`` (A, C) are the weights of the atoms in use. The conjugate of a norm is 0 at feasible
    prices, so that other atoms add nothing.
    """
    found = []
    # share (B,) multiplies the columns of its block: B is 1 or C
    for candidate, price, own in priced:
        share = np.ones_like(price)
        if program.strength == 0 and not (price.all() or prices_are_exact(program, candidate)):
            share[:] = 0.0  # without a strength nothing bounds what a rounded price costs
        np.divide(program.strength, price, out=share, where=price > program.strength)
        left = program.penalty.fenchel_young(used, share * own, program.strength)
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
    primals = np.nan_to_num(program.objectives(W, fit), nan=np.inf, posinf=np.inf)
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
