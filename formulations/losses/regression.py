"""Losses for numbers: squared, absolute and Huber, functions of the residual y - z."""

from typing import Any

import numpy as np
from scipy import sparse

from ...dictionaries.validation import Array, check_number
from ..epigraph import Block, Epigraph, half_squares
from .loss import Loss, half_square, kernel_prox


class Squared(Loss):
    """(z - y)**2 / 2."""

    name = "squared"
    code = 0
    continuous_second = True
    curvature = 1.0

    def value(self, z: Array, y: Array) -> Array:
        return 0.5 * (z - y) ** 2

    def gradient(self, z: Array, y: Array) -> Array:
        return z - y

    def second(self, z: Array, y: Array) -> Array:
        return np.ones_like(z)

    def domain(self, y: Array, a: Array) -> tuple[Array, Array]:
        bound = np.where(a > 0, np.inf, 0.0) * np.ones_like(y)
        return -bound, bound

    def conjugate(self, v: Array, y: Array, a: Array) -> Array:
        return half_square(v, a) - v * y

    def fenchel_young(self, z: Array, v: Array, y: Array, a: Array) -> Array:
        return half_square(v - a * (y - z), a)

    def best_constant(self, y: Array, a: Array) -> Array:
        return within((a * y).sum(axis=0) / a.sum(), y, a)

    def in_units(self, size: float, largest: float) -> tuple[Loss, float]:
        return self, size

    def epigraph(self, y: Array, a: Array, quadratic: bool) -> Epigraph:
        n, outputs = y.shape
        if quadratic:
            return Epigraph(
                fit_squares=a[:, 0],
                linear=-a * y,
                squares=np.zeros(0),
                auxiliary=np.zeros((0, outputs)),
                offset=0.5 * (a * y**2).sum(axis=0),
                blocks=(),
            )
        root = np.sqrt(a)
        return half_squares(sparse.diags_array(root[:, 0]), sparse.csc_array((n, 0)), root * y)

    def auxiliaries(self, z: Array, y: Array) -> Array:
        return z[:0]

    def prox(self, points: Array, y: Array, steps: Array) -> Array:
        return kernel_prox(Squared.code, self.delta, points, y, steps)

    def to_cvxpy(self, z: Any, y: Array, a: Array) -> Any:
        from . import expressions

        return expressions.half_squares(z - y, a)


class Absolute(Loss):
    """abs(z - y)."""

    name = "absolute"
    code = 3
    curvature = np.inf

    def value(self, z: Array, y: Array) -> Array:
        return np.abs(z - y)

    def gradient(self, z: Array, y: Array) -> Array:
        return np.sign(z - y)

    def second(self, z: Array, y: Array) -> Array:
        return np.where(z == y, np.inf, 0.0)

    def domain(self, y: Array, a: Array) -> tuple[Array, Array]:
        bound = a * np.ones_like(y)
        return -bound, bound

    def conjugate(self, v: Array, y: Array, a: Array) -> Array:
        return -v * y

    def fenchel_young(self, z: Array, v: Array, y: Array, a: Array) -> Array:
        residual = y - z
        return np.abs(residual) * (a - v * np.sign(residual))

    def best_constant(self, y: Array, a: Array) -> Array:
        order = np.argsort(y, axis=0)
        below = np.cumsum(a[:, 0][order], axis=0)
        median = np.argmax(below >= 0.5 * below[-1], axis=0)
        columns = np.arange(y.shape[1])
        middle: Array = y[order[median, columns], columns]
        return middle

    def in_units(self, size: float, largest: float) -> tuple[Loss, float]:
        return self, 1.0

    def epigraph(self, y: Array, a: Array, quadratic: bool) -> Epigraph:
        # z - up + down = y with up, down >= 0; both cost
        n, outputs = y.shape
        return Epigraph(
            fit_squares=np.zeros(n),
            linear=np.zeros((n, outputs)),
            squares=np.zeros(2 * n),
            auxiliary=np.tile(a, (2, outputs)),
            offset=np.zeros(outputs),
            blocks=split_blocks(y),
        )

    def auxiliaries(self, z: Array, y: Array) -> Array:
        return split_sides(z, y)

    def prox(self, points: Array, y: Array, steps: Array) -> Array:
        return kernel_prox(Absolute.code, self.delta, points, y, steps)

    def to_cvxpy(self, z: Any, y: Array, a: Array) -> Any:
        from . import expressions

        return expressions.weighted(expressions.cp.abs(z - y), a)


class Huber(Loss):
    """(z - y)**2 / 2 up to a residual of delta, linear beyond: delta * (abs(z - y) - delta / 2).

    Parameters
    ----------
    delta : float
        The residual at which the loss becomes linear; finite and above 0.

    Raises
    ------
    ValueError
        If delta is out of range.
    """

    name = "huber"
    code = 4
    curvature = 1.0

    def __init__(self, delta: float = 1.0) -> None:
        check_number("delta", delta)
        self.delta = float(delta)

    def __repr__(self) -> str:
        return f"<loss huber, delta {self.delta:g}>"

    def value(self, z: Array, y: Array) -> Array:
        size = np.abs(z - y)
        inner = np.minimum(size, self.delta)
        value: Array = inner * (size - 0.5 * inner)
        return value

    def gradient(self, z: Array, y: Array) -> Array:
        return np.clip(z - y, -self.delta, self.delta)

    def second(self, z: Array, y: Array) -> Array:
        return np.where(np.abs(z - y) < self.delta, 1.0, 0.0)

    def domain(self, y: Array, a: Array) -> tuple[Array, Array]:
        bound = self.delta * a * np.ones_like(y)
        return -bound, bound

    def conjugate(self, v: Array, y: Array, a: Array) -> Array:
        return half_square(v, a) - v * y

    def fenchel_young(self, z: Array, v: Array, y: Array, a: Array) -> Array:
        residual = y - z
        inner = np.clip(residual, -self.delta, self.delta)
        beyond = residual - inner  # has the sign of inner, whose size is delta there
        # 0 where rounding moved v past its bound and would make this negative
        linear = np.maximum((self.delta * a - v * np.sign(beyond)) * np.abs(beyond), 0.0)
        return half_square(v - a * inner, a) + np.where(a > 0, linear, 0.0)

    def best_constant(self, y: Array, a: Array) -> Array:
        # the slope rises in pieces between the 2n points y - delta and y + delta
        best = np.empty(y.shape[1])
        for c in range(y.shape[1]):
            points = np.sort(np.concatenate([y[:, c] - self.delta, y[:, c] + self.delta]))
            low, high = 0, points.size - 1
            while high - low > 1:
                middle = (low + high) // 2
                slope = a[:, 0] @ self.gradient(points[middle], y[:, c])
                low, high = (middle, high) if slope <= 0 else (low, middle)
            ends = points[[low, high]]
            left, right = (float(a[:, 0] @ self.gradient(end, y[:, c])) for end in ends)
            share = -left / (right - left) if right > left else 0.0
            best[c] = ends[0] + np.clip(share, 0.0, 1.0) * (ends[1] - ends[0])
        return within(best, y, a)

    def in_units(self, size: float, largest: float) -> tuple[Loss, float]:
        return Huber(min(self.delta / size, largest)), size

    def epigraph(self, y: Array, a: Array, quadratic: bool) -> Epigraph:
        # y = z + u + up - down: u costs its square, up and down cost delta each
        n, outputs = y.shape
        eye, nothing = sparse.eye_array(n), sparse.csc_array((2 * n, n))
        tail = np.tile(self.delta * a, (2, outputs))
        signs = sparse.hstack([nothing, -sparse.eye_array(2 * n)])
        blocks = (
            Block("zero", eye, sparse.hstack([eye, eye, -eye]), y),
            Block("nonnegative", nothing, signs, np.zeros((2 * n, outputs))),
        )
        if quadratic:
            return Epigraph(
                fit_squares=np.zeros(n),
                linear=np.zeros((n, outputs)),
                squares=np.concatenate([a[:, 0], np.zeros(2 * n)]),
                auxiliary=np.vstack([np.zeros((n, outputs)), tail]),
                offset=np.zeros(outputs),
                blocks=blocks,
            )
        root = sparse.diags_array(np.sqrt(a[:, 0]))
        return half_squares(
            sparse.csc_array((n, n)),
            sparse.hstack([root, sparse.csc_array((n, 2 * n))]),
            np.zeros((n, outputs)),
            np.vstack([np.zeros((n, outputs)), tail]),
            blocks,
        )

    def auxiliaries(self, z: Array, y: Array) -> Array:
        inner = np.clip(y - z, -self.delta, self.delta)
        return np.vstack([inner, split_sides(y - z, inner)])

    def prox(self, points: Array, y: Array, steps: Array) -> Array:
        return kernel_prox(Huber.code, self.delta, points, y, steps)

    def to_cvxpy(self, z: Any, y: Array, a: Array) -> Any:
        from . import expressions

        # cp.huber is twice this loss
        return expressions.weighted(0.5 * expressions.cp.huber(z - y, self.delta), a)


def within(constants: Array, y: Array, a: Array) -> Array:
    """Clip constants (C,) to the range of targets with weight: equal targets fit exactly."""
    held = y[a[:, 0] > 0]
    return np.clip(constants, held.min(axis=0), held.max(axis=0))


def split_blocks(y: Array) -> tuple[Block, Block]:
    """State z - up + down = y with up, down >= 0, for auxiliaries (up, down)."""
    n, outputs = y.shape
    eye = sparse.eye_array(n)
    return (
        Block("zero", eye, sparse.hstack([-eye, eye]), y),
        Block(
            "nonnegative",
            sparse.csc_array((2 * n, n)),
            -sparse.eye_array(2 * n),
            np.zeros((2 * n, outputs)),
        ),
    )


def split_sides(first: Array, second: Array) -> Array:
    """Stack max(first - second, 0) over max(second - first, 0)."""
    return np.maximum(np.vstack([first - second, second - first]), 0.0)
