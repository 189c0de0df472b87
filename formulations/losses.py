"""Losses: convex functions of a fit z and a target y, with everything a proof needs.

All methods work entry by entry on (N, C) arrays of fits ``z``, targets ``y``
and dual entries ``v``, and on row weights ``a`` of shape (N, 1). A loss with
``labels`` takes targets -1 and +1 only. The Fenchel-Young term

    a loss(z) + (a loss)*(-v) + z v  >=  0,   0 exactly when v = -a loss'(z),

is evaluated in a form that is a sum of non-negative parts, not as a difference.
"""

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from scipy import sparse
from scipy.special import expit, xlog1py, xlogy

from ..kernels import proximal
from .epigraph import Block, Cone, Epigraph

Array = NDArray[np.float64]


class Loss(ABC):
    """What a program asks of a loss.

    Attributes
    ----------
    name : str
        What users write.
    code : int
        Its number in ``kernels/proximal.py``.
    labels : bool
        Whether targets are -1 and +1 only.
    curvature : float
        Largest second derivative in z; infinity where there is a kink.
    """

    name: ClassVar[str]
    code: ClassVar[int]
    labels: ClassVar[bool]
    curvature: ClassVar[float]

    def __repr__(self) -> str:
        return f"<loss {self.name}>"

    def check_targets(self, y: Array, name: str = "y") -> None:
        """Raise ValueError, by ``name``, unless targets are finite, and -1 or +1 for labels."""
        if not np.isfinite(y).all():
            raise ValueError(f"{name}: expected finite numbers, got NaN or infinity")
        if self.labels and not np.isin(y, (-1.0, 1.0)).all():
            found = np.unique(y[~np.isin(y, (-1.0, 1.0))])[:5]
            raise ValueError(
                f"{name}: the {self.name} loss takes targets -1.0 and +1.0, or class labels as "
                f"integers or strings; got the numbers {found.tolist()}"
            )

    def prox(self, points: Array, y: Array, steps: Array) -> Array:
        """Minimise steps * loss(z, y) + (z - points)**2 / 2 over z; ``steps`` (N,) >= 0."""
        out = np.empty_like(points)
        proximal.loss_prox(self.code, points, y, steps, out)
        return out

    @abstractmethod
    def value(self, z: Array, y: Array) -> Array:
        """loss(z, y)."""

    @abstractmethod
    def gradient(self, z: Array, y: Array) -> Array:
        """Derivative in z; at a kink the subgradient 0."""

    def kinks(self, z: Array, y: Array) -> NDArray[np.bool_]:
        """Where minus the subgradients fill the whole domain of the conjugate."""
        return np.zeros(z.shape, dtype=np.bool_)

    @abstractmethod
    def domain(self, y: Array, a: Array) -> tuple[Array, Array]:
        """Least and largest v for which (a loss)*(-v) is finite; both 0 where a is 0."""

    @abstractmethod
    def conjugate(self, v: Array, y: Array, a: Array) -> Array:
        """(a loss)*(-v) for v in the domain."""

    @abstractmethod
    def fenchel_young(self, z: Array, v: Array, y: Array, a: Array) -> Array:
        """A loss(z) + (a loss)*(-v) + z v, for v in the domain; never negative."""

    @abstractmethod
    def best_constant(self, y: Array, a: Array) -> Array:
        """The number (C,) that minimises sum_i a_i loss(., y_i); finite even where none does."""

    @abstractmethod
    def cones(self, quadratic: bool) -> set[Cone]:
        """Cones beyond zero and nonnegative that :meth:`epigraph` uses."""

    @abstractmethod
    def epigraph(self, y: Array, a: Array, quadratic: bool) -> Epigraph:
        """State sum_i a_i loss(z_i, y_i) in cones, with a quadratic objective or without.

        ``y`` appears in linear costs and right-hand sides only, so that one
        compiled matrix serves every output.
        """


class Squared(Loss):
    """(z - y)**2 / 2."""

    name = "squared"
    code = 0
    labels = False
    curvature = 1.0

    def value(self, z: Array, y: Array) -> Array:
        return 0.5 * (z - y) ** 2

    def gradient(self, z: Array, y: Array) -> Array:
        return z - y

    def domain(self, y: Array, a: Array) -> tuple[Array, Array]:
        bound = np.where(a > 0, np.inf, 0.0) * np.ones_like(y)
        return -bound, bound

    def conjugate(self, v: Array, y: Array, a: Array) -> Array:
        return _divide(0.5 * v**2, a) - v * y

    def fenchel_young(self, z: Array, v: Array, y: Array, a: Array) -> Array:
        return _divide(0.5 * (v - a * (y - z)) ** 2, a)

    def best_constant(self, y: Array, a: Array) -> Array:
        mean: Array = (a * y).sum(axis=0) / a.sum()
        return mean

    def cones(self, quadratic: bool) -> set[Cone]:
        return set() if quadratic else {"second_order"}

    def epigraph(self, y: Array, a: Array, quadratic: bool) -> Epigraph:
        n, outputs = y.shape
        if quadratic:
            return Epigraph(
                quadratic=a[:, 0],
                linear=-a * y,
                auxiliary=np.zeros((0, outputs)),
                offset=0.5 * (a * y**2).sum(axis=0),
                blocks=(),
            )
        # |sqrt(a) (z - y)|^2 / 2 <= tau, as (tau + 1/2, tau - 1/2, sqrt(a) (z - y)) in one cone
        root = np.sqrt(a)
        bounds = np.vstack([np.full((1, outputs), 0.5), np.full((1, outputs), -0.5), -root * y])
        on_fit = sparse.vstack([sparse.csc_array((2, n)), sparse.diags_array(-root[:, 0])])
        on_tau = sparse.csc_array(([-1.0, -1.0], ([0, 1], [0, 0])), shape=(n + 2, 1))
        return Epigraph(
            quadratic=np.zeros(n),
            linear=np.zeros((n, outputs)),
            auxiliary=np.ones((1, outputs)),
            offset=np.zeros(outputs),
            blocks=(Block("second_order", on_fit, on_tau, bounds),),
        )


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

    def kinks(self, z: Array, y: Array) -> NDArray[np.bool_]:
        at_kink: NDArray[np.bool_] = y * z == 1.0
        return at_kink

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

    def cones(self, quadratic: bool) -> set[Cone]:
        return set()

    def epigraph(self, y: Array, a: Array, quadratic: bool) -> Epigraph:
        # z - up + down = y with up, down >= 0: only one of the two costs, and y says which
        n, outputs = y.shape
        eye = sparse.eye_array(n)
        both = sparse.eye_array(2 * n)
        return Epigraph(
            quadratic=np.zeros(n),
            linear=np.zeros((n, outputs)),
            auxiliary=np.vstack([np.where(y < 0, a, 0.0), np.where(y > 0, a, 0.0)]),
            offset=np.zeros(outputs),
            blocks=(
                Block("zero", eye, sparse.hstack([-eye, eye]), y),
                Block(
                    "nonnegative", sparse.csc_array((2 * n, n)), -both, np.zeros((2 * n, outputs))
                ),
            ),
        )


class Logistic(Loss):
    """log(1 + exp(-y z))."""

    name = "logistic"
    code = 2
    labels = True
    curvature = 0.25

    def value(self, z: Array, y: Array) -> Array:
        return np.logaddexp(0.0, -y * z)

    def gradient(self, z: Array, y: Array) -> Array:
        slope: Array = -y * expit(-y * z)
        return slope

    def domain(self, y: Array, a: Array) -> tuple[Array, Array]:
        return np.minimum(a * y, 0.0), np.maximum(a * y, 0.0)

    def conjugate(self, v: Array, y: Array, a: Array) -> Array:
        share = _divide(v * y, a)
        value: Array = a * (xlogy(share, share) + xlogy(1.0 - share, 1.0 - share))
        return value

    def fenchel_young(self, z: Array, v: Array, y: Array, a: Array) -> Array:
        # a times the Kullback-Leibler divergence of v's share from that of the gradient
        share, margin = _divide(v * y, a), y * z
        slope, rest = expit(-margin), expit(margin)
        apart = share - slope
        close = np.abs(apart) < 0.5 * np.minimum(slope, rest)
        # close to each other the logarithms nearly cancel: by the ratios they do not
        above, below = np.zeros_like(z), np.zeros_like(z)
        np.divide(apart, slope, out=above, where=close)
        np.divide(-apart, rest, out=below, where=close)
        near = xlog1py(share, above) + xlog1py(1.0 - share, below)
        # elsewhere the slope may underflow, and its logarithm is a softplus
        entropy = xlogy(share, share) + xlogy(1.0 - share, 1.0 - share)
        far = entropy + share * np.logaddexp(0, margin) + (1.0 - share) * np.logaddexp(0, -margin)
        divergence: Array = np.where(close, near, far)
        return a * np.maximum(divergence, 0.0)

    def best_constant(self, y: Array, a: Array) -> Array:
        positive = np.where(y > 0, a, 0.0).sum(axis=0)
        negative = np.where(y < 0, a, 0.0).sum(axis=0)
        # with one class only the infimum 0 is not attained: 40 is within 5e-18 of it
        with np.errstate(divide="ignore"):
            odds: Array = np.log(positive) - np.log(negative)
        return np.clip(odds, -40.0, 40.0)

    def cones(self, quadratic: bool) -> set[Cone]:
        return {"exponential"}

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
            quadratic=np.zeros(n),
            linear=np.where(y > 0, -a, 0.0),
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


def _divide(x: Array, a: Array) -> Array:
    """Quotient x / a, and 0 where a is 0: rows of weight 0 carry no dual."""
    return np.divide(x, a, out=np.zeros_like(x), where=a > 0)


LOSSES: dict[str, Loss] = {loss.name: loss for loss in (Squared(), Hinge(), Logistic())}


def find_loss(loss: str | Loss) -> Loss:
    """Return the loss of that name, or the loss itself; ValueError lists the known names."""
    if isinstance(loss, Loss):
        return loss
    if loss not in LOSSES:
        raise ValueError(f"loss: expected one of {sorted(LOSSES)}, got {loss!r}")
    return LOSSES[loss]
