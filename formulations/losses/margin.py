"""Losses for labels -1 and +1: hinge, squared hinge and logistic, functions of y z."""

from typing import Any

import numpy as np
from scipy import sparse
from scipy.special import expit, xlog1py, xlogy

from ...dictionaries.validation import Array
from ..epigraph import Block, Epigraph, half_squares
from .loss import Loss, divide, half_square, kernel_prox
from .regression import split_blocks, split_sides


class Hinge(Loss):
    """max(0, 1 - y z)."""

    name = "hinge"
    code = 1
    labels = True
    curvature = np.inf

    def value(self, z: Array, y: Array) -> Array:
        return np.maximum(1.0 - y * z, 0.0)

    def gradient(self, z: Array, y: Array) -> Array:
        return np.where(y * z < 1.0, -y, 0.0)

    def second(self, z: Array, y: Array) -> Array:
        return np.where(y * z == 1.0, np.inf, 0.0)

    def domain(self, y: Array, a: Array) -> tuple[Array, Array]:
        return np.minimum(a * y, 0.0), np.maximum(a * y, 0.0)

    def conjugate(self, v: Array, y: Array, a: Array) -> Array:
        return -v * y

    def fenchel_young(self, z: Array, v: Array, y: Array, a: Array) -> Array:
        margin = y * z
        share = v * y  # between 0 and a
        return (a - share) * np.maximum(1.0 - margin, 0.0) + share * np.maximum(margin - 1.0, 0.0)

    def best_constant(self, y: Array, a: Array) -> Array:
        return np.where((a * y).sum(axis=0) < 0, -1.0, 1.0)

    def epigraph(self, y: Array, a: Array, quadratic: bool) -> Epigraph:
        # z - up + down = y with up, down >= 0: one of the two costs, and y decides which
        n, outputs = y.shape
        return Epigraph(
            fit_squares=np.zeros(n),
            linear=np.zeros((n, outputs)),
            squares=np.zeros(2 * n),
            auxiliary=np.vstack([np.where(y < 0, a, 0.0), np.where(y > 0, a, 0.0)]),
            offset=np.zeros(outputs),
            blocks=split_blocks(y),
        )

    def auxiliaries(self, z: Array, y: Array) -> Array:
        return split_sides(z, y)

    def prox(self, points: Array, y: Array, steps: Array) -> Array:
        return kernel_prox(Hinge.code, self.delta, points, y, steps)

    def to_cvxpy(self, z: Any, y: Array, a: Array) -> Any:
        from . import expressions

        return expressions.weighted(expressions.hinges(z, y), a)


class SquaredHinge(Loss):
    """max(0, 1 - y z)**2 / 2."""

    name = "squared_hinge"
    code = 5
    labels = True
    curvature = 1.0
    one_matrix = False

    def value(self, z: Array, y: Array) -> Array:
        return 0.5 * np.maximum(1.0 - y * z, 0.0) ** 2

    def gradient(self, z: Array, y: Array) -> Array:
        return -y * np.maximum(1.0 - y * z, 0.0)

    def second(self, z: Array, y: Array) -> Array:
        return np.where(y * z < 1.0, 1.0, 0.0)

    def domain(self, y: Array, a: Array) -> tuple[Array, Array]:
        bound = np.where(a > 0, np.inf, 0.0)
        return np.where(y < 0, -bound, 0.0), np.where(y > 0, bound, 0.0)

    def conjugate(self, v: Array, y: Array, a: Array) -> Array:
        return half_square(v, a) - v * y

    def fenchel_young(self, z: Array, v: Array, y: Array, a: Array) -> Array:
        margin, share = y * z, v * y
        short = np.maximum(1.0 - margin, 0.0)
        return half_square(share - a * short, a) + share * np.maximum(margin - 1.0, 0.0)

    def best_constant(self, y: Array, a: Array) -> Array:
        mean: Array = (a * y).sum(axis=0) / a.sum()  # within [-1, 1], where all rows are curved
        return mean

    def epigraph(self, y: Array, a: Array, quadratic: bool) -> Epigraph:
        # u**2 / 2 with y (z + u) >= 1: the direction of the inequality depends on y, and no
        # right-hand side can state it, so that y is in the matrix
        n, outputs = y.shape
        signs = sparse.diags_array(-y[:, 0])
        blocks = (Block("nonnegative", signs, signs, np.full((n, outputs), -1.0)),)
        if quadratic:
            return Epigraph(
                fit_squares=np.zeros(n),
                linear=np.zeros((n, outputs)),
                squares=a[:, 0],
                auxiliary=np.zeros((n, outputs)),
                offset=np.zeros(outputs),
                blocks=blocks,
            )
        root = sparse.diags_array(np.sqrt(a[:, 0]))
        return half_squares(sparse.csc_array((n, n)), root, np.zeros((n, outputs)), blocks=blocks)

    def auxiliaries(self, z: Array, y: Array) -> Array:
        return y * np.maximum(1.0 - y * z, 0.0)

    def prox(self, points: Array, y: Array, steps: Array) -> Array:
        return kernel_prox(SquaredHinge.code, self.delta, points, y, steps)

    def to_cvxpy(self, z: Any, y: Array, a: Array) -> Any:
        from . import expressions

        return expressions.half_squares(expressions.hinges(z, y), a)


class Logistic(Loss):
    """log(1 + exp(-y z))."""

    name = "logistic"
    code = 2
    labels = True
    continuous_second = True
    curvature = 0.25

    def value(self, z: Array, y: Array) -> Array:
        return np.logaddexp(0.0, -y * z)

    def gradient(self, z: Array, y: Array) -> Array:
        slope: Array = -y * expit(-y * z)
        return slope

    def second(self, z: Array, y: Array) -> Array:
        curvature: Array = expit(z) * expit(-z)
        return curvature

    def domain(self, y: Array, a: Array) -> tuple[Array, Array]:
        return np.minimum(a * y, 0.0), np.maximum(a * y, 0.0)

    def conjugate(self, v: Array, y: Array, a: Array) -> Array:
        share = divide(v * y, a)
        value: Array = a * (xlogy(share, share) + xlogy(1.0 - share, 1.0 - share))
        return value

    def fenchel_young(self, z: Array, v: Array, y: Array, a: Array) -> Array:
        # a times the Kullback-Leibler divergence of v's share from that of the gradient
        share, margin = divide(v * y, a), y * z
        slope, rest = expit(-margin), expit(margin)
        apart = share - slope
        close = np.abs(apart) < 0.5 * np.minimum(slope, rest)
        # for close values the logarithms nearly cancel; their ratios do not
        above, below = np.zeros_like(z), np.zeros_like(z)
        np.divide(apart, slope, out=above, where=close)
        np.divide(-apart, rest, out=below, where=close)
        near = xlog1py(share, above) + xlog1py(1.0 - share, below)
        # elsewhere the slope may underflow; its logarithm is a softplus
        entropy = xlogy(share, share) + xlogy(1.0 - share, 1.0 - share)
        far = entropy + share * np.logaddexp(0, margin) + (1.0 - share) * np.logaddexp(0, -margin)
        divergence: Array = np.where(close, near, far)
        return a * np.maximum(divergence, 0.0)

    def best_constant(self, y: Array, a: Array) -> Array:
        positive = np.where(y > 0, a, 0.0).sum(axis=0)
        negative = np.where(y < 0, a, 0.0).sum(axis=0)
        # with a single class the infimum 0 is not attained, but exp(-800) is 0 in float64
        with np.errstate(divide="ignore"):
            odds: Array = np.log(positive) - np.log(negative)
        return np.clip(odds, -800.0, 800.0)

    def epigraph(self, y: Array, a: Array, quadratic: bool) -> Epigraph:
        # log(1 + exp(-y z)) = log(1 + exp(z)) - [y > 0] z, and log(1 + exp(z)) <= tau
        # is p + r <= 1 with exp(z - tau) <= p, exp(-tau) <= r; auxiliaries tau, p, r
        n, outputs = y.shape
        eye = sparse.eye_array(n)
        nothing = sparse.csc_array((n, n))
        first = sparse.kron(eye, np.array([[-1.0], [0.0], [0.0]]))
        last = sparse.kron(eye, np.array([[0.0], [0.0], [-1.0]]))
        ones = np.tile(np.array([[0.0], [1.0], [0.0]]), (n, outputs))
        exponentials = sparse.hstack(
            [
                sparse.vstack([-first, -first]),
                sparse.vstack([last, 0 * last]),
                sparse.vstack([0 * last, last]),
            ]
        )
        return Epigraph(
            fit_squares=np.zeros(n),
            linear=np.where(y > 0, -a, 0.0),
            squares=np.zeros(3 * n),
            auxiliary=np.vstack([a * np.ones_like(y), np.zeros((2 * n, outputs))]),
            offset=np.zeros(outputs),
            blocks=(
                Block(
                    "nonnegative",
                    nothing,
                    sparse.hstack([nothing, eye, eye]),
                    np.ones((n, outputs)),
                ),
                Block(
                    "exponential",
                    sparse.vstack([first, 0 * first]),
                    exponentials,
                    np.vstack([ones, ones]),
                ),
            ),
        )

    def auxiliaries(self, z: Array, y: Array) -> Array:
        tau = np.logaddexp(0.0, z)
        return np.vstack([tau, np.exp(z - tau), np.exp(-tau)])

    def prox(self, points: Array, y: Array, steps: Array) -> Array:
        return kernel_prox(Logistic.code, self.delta, points, y, steps)

    def to_cvxpy(self, z: Any, y: Array, a: Array) -> Any:
        from . import expressions

        margins = expressions.cp.multiply(y, z)
        return expressions.weighted(expressions.cp.logistic(-margins), a)
