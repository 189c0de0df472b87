"""The loss for classes: softmax cross-entropy, which couples the outputs of a row."""

from typing import Any

import numpy as np
from scipy import sparse
from scipy.special import log_softmax, logsumexp, softmax, xlog1py, xlogy

from ...dictionaries.validation import Array
from ..epigraph import Block, Epigraph
from .loss import Loss, divide, kernel_prox, labels_too

# log frequency of a class without rows, instead of minus infinity: exp(-800) is 0 in float64
_ABSENT = -800.0


class Softmax(Loss):
    """log(sum_k exp(z_k)) - z_label, the natural logarithm; targets are one-hot rows.

    Let V = a (E - S) with targets E. The conjugate is finite if the rows of S are
    distributions, and is a sum_k S_k log S_k.
    """

    name = "softmax"
    code = 6
    curvature = 0.5
    separable = False

    def check_targets(self, y: Array, name: str = "y") -> None:
        super().check_targets(y, name)
        wide = y.ndim == 2 and y.shape[1] >= 2
        if not wide or not np.isin(y, (0.0, 1.0)).all() or (y.sum(axis=1) != 1.0).any():
            raise ValueError(
                f"{name}: the softmax loss takes rows of zeros with a single 1.0 in the column of "
                f"the class, at least two columns{labels_too(name)}; got numbers of shape {y.shape}"
            )

    def contains(self, v: Array, y: Array, a: Array, room: float) -> bool:
        sums = np.abs(v.sum(axis=1, keepdims=True))
        return super().contains(v, y, a, room) and bool((sums <= room * a).all())

    def move_inside(self, v: Array, y: Array, a: Array, zero_sums: bool) -> Array:
        moved = _given_away(v, y, a)
        if zero_sums:
            for _ in range(3):  # again for the remainder of rounding
                moved = _given_away(_balanced(moved, y, a), y, a)
        return moved

    def value(self, z: Array, y: Array) -> Array:
        # a row's logsumexp minus its label's fit, without cancellation of large fits
        apart = z - (z * y).sum(axis=1, keepdims=True)
        value: Array = logsumexp(apart, axis=1, keepdims=True)
        return value

    def gradient(self, z: Array, y: Array) -> Array:
        slope: Array = softmax(z, axis=1) - y
        return slope

    def second_by_shares(self, z: Array, y: Array) -> Array:
        shares: Array = softmax(z, axis=1)
        return shares

    def domain(self, y: Array, a: Array) -> tuple[Array, Array]:
        return a * (y - 1.0), a * y

    def conjugate(self, v: Array, y: Array, a: Array) -> Array:
        shares = y - divide(v, a)
        entropy: Array = xlogy(shares, np.maximum(shares, 0.0)).sum(axis=1, keepdims=True)
        return a * entropy

    def fenchel_young(self, z: Array, v: Array, y: Array, a: Array) -> Array:
        # a times the Kullback-Leibler divergence of v's distribution from that of z
        shares = np.maximum(y - divide(v, a), 0.0)
        log_slopes = log_softmax(z, axis=1)
        slopes = np.exp(log_slopes)
        apart = shares - slopes
        close = np.abs(apart) < 0.5 * slopes
        # for close values the logarithms nearly cancel; their ratio does not
        ratio = np.divide(apart, slopes, out=np.zeros_like(z), where=close)
        terms = np.where(close, xlog1py(shares, ratio), xlogy(shares, shares) - shares * log_slopes)
        divergence: Array = np.maximum((terms - apart).sum(axis=1, keepdims=True), 0.0)
        return a * divergence

    def best_constant(self, y: Array, a: Array) -> Array:
        weights = (a * y).sum(axis=0)
        with np.errstate(divide="ignore"):
            frequencies: Array = np.log(weights) - np.log(weights.sum())
        return np.maximum(frequencies, _ABSENT)

    def epigraph(self, y: Array, a: Array, quadratic: bool) -> Epigraph:
        # logsumexp(z_i) <= tau_i is sum_k p_ik <= 1 with exp(z_ik - tau_i) <= p_ik;
        # fits and p stacked output by output, auxiliaries (tau, p)
        n, outputs = y.shape
        stacked = n * outputs
        eye = sparse.eye_array(stacked)
        by_row = sparse.kron(np.ones((1, outputs)), sparse.eye_array(n))
        first = sparse.kron(eye, np.array([[1.0], [0.0], [0.0]]))
        last = sparse.kron(eye, np.array([[0.0], [0.0], [1.0]]))
        return Epigraph(
            fit_squares=np.zeros(stacked),
            linear=-(a * y).T.reshape(-1, 1),
            squares=np.zeros(n + stacked),
            auxiliary=np.concatenate([a[:, 0], np.zeros(stacked)])[:, None],
            offset=np.zeros(1),
            blocks=(
                Block(
                    "nonnegative",
                    sparse.csc_array((n, stacked)),
                    sparse.hstack([sparse.csc_array((n, n)), by_row]),
                    np.ones((n, 1)),
                ),
                Block(
                    "exponential",
                    -first,
                    sparse.hstack([first @ by_row.T, -last]),
                    np.tile(np.array([[0.0], [1.0], [0.0]]), (stacked, 1)),
                ),
            ),
        )

    def auxiliaries(self, z: Array, y: Array) -> Array:
        tau = logsumexp(z, axis=1, keepdims=True)
        return np.concatenate([tau[:, 0], np.exp(z - tau).T.ravel()])[:, None]

    def prox(self, points: Array, y: Array, steps: Array) -> Array:
        return kernel_prox(Softmax.code, self.delta, points, y, steps)

    def to_cvxpy(self, z: Any, y: Array, a: Array) -> Any:
        from . import expressions

        cp = expressions.cp
        return a @ (cp.log_sum_exp(z, axis=1) - cp.sum(cp.multiply(y, z), axis=1))


def _given_away(v: Array, y: Array, a: Array) -> Array:
    """Rebuild V from its entries of other classes: the label's entry is minus their sum, <= a.

    For a good fit the label's share is near 1, and computing V from it would lose digits.
    """
    given = np.where(y > 0, 0.0, np.maximum(-v, 0.0))
    total = given.sum(axis=1, keepdims=True)
    shrunk = given * np.divide(a, total, out=np.ones_like(total), where=total > a)
    given = np.minimum(shrunk, a)  # rounding may lift a single entry above a
    moved: Array = np.where(y > 0, np.minimum(given.sum(axis=1, keepdims=True), a), -given)
    return moved


def _balanced(v: Array, y: Array, a: Array) -> Array:
    """Move mass between classes until the columns of v sum to 0.

    Rows of v keep their sums: each row gives the mass that it takes from a class to others.
    """
    held = a * y - v
    excess = -v.sum(axis=0)
    freed = held * divide(np.maximum(excess, 0.0), held.sum(axis=0))
    lacking = np.maximum(-excess, 0.0)
    total = lacking.sum()
    if total == 0.0:
        return v
    moved: Array = v + freed - freed.sum(axis=1, keepdims=True) * (lacking / total)
    return moved
