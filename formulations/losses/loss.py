"""Loss: a convex function of a fit z and a target y, with the methods that proofs need.

All methods work on (N, C) arrays of fits ``z``, targets ``y`` and dual entries
``v``, and on row weights ``a`` of shape (N, 1). A separable loss works entry by
entry and returns (N, C) values. A loss that couples the outputs of a row returns
(N, 1) values. The Fenchel-Young term

    a loss(z) + (a loss)*(-v) + z v  >=  0,   0 exactly when v = -a loss'(z),

is 0 at an optimum. bidual's losses compute it as a sum of non-negative parts.
``docs/pinball_loss.md`` shows how to write a loss.
"""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ...dictionaries.validation import Array
from ...kernels import proximal
from ..epigraph import Epigraph
from ..rounding import rounded_up
from .constants import minimising_constants


class Loss(ABC):
    """Base class of losses; derive from it to write one.

    A subclass sets ``name`` and defines :meth:`value`, :meth:`gradient`,
    :meth:`conjugate`, :meth:`domain` and :meth:`prox`. The other methods are optional.
    Without :meth:`second` newton refuses the loss, without :meth:`epigraph` the conic
    solvers do, without :meth:`to_cvxpy` CVXPY does. Programs check its methods
    against each other, once per number of outputs.

    Attributes
    ----------
    name : str
        The name that messages and tables show.
    labels : bool
        Whether targets are -1 and +1 only.
    curvature : float
        Largest second derivative in z; infinity for a loss with kinks, or if unknown.
    continuous_second : bool
        Whether the second derivative is continuous, so that newton may follow quadratics.
    separable : bool
        Whether the loss is a sum over outputs. If not, it also defines :meth:`contains` and
        :meth:`move_inside`.
    one_matrix : bool
        Whether :meth:`epigraph` has the same matrices for all targets.
    code : int or None
        Number of a built-in loss in the compiled kernels; a subclass does not inherit it.
    delta : float
        Parameter of the loss in the kernels; 0 for a loss without one.
    """

    name: ClassVar[str]
    labels: ClassVar[bool] = False
    curvature: ClassVar[float] = np.inf
    continuous_second: ClassVar[bool] = False
    separable: ClassVar[bool] = True
    one_matrix: ClassVar[bool] = True
    code: ClassVar[int | None] = None
    delta: float = 0.0

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "code" not in cls.__dict__:  # the kernel ignores the methods of the subclass
            cls.code = None

    def __repr__(self) -> str:
        return f"<loss {self.name}>"

    def lacks(self, *methods: str) -> str | None:
        """Name the first of these optional methods that the loss does not define, or None."""
        for method in methods:
            if getattr(type(self), method) is getattr(Loss, method):
                return f"the {self.name} loss does not define {method}()"
        return None

    def check_targets(self, y: Array, name: str = "y") -> None:
        """Raise ValueError, by ``name``, unless the loss takes these (N, C) targets."""
        if not np.isfinite(y).all():
            raise ValueError(f"{name}: expected finite numbers, got NaN or infinity")
        if self.labels and not np.isin(y, (-1.0, 1.0)).all():
            found = np.unique(y[~np.isin(y, (-1.0, 1.0))])[:5]
            raise ValueError(
                f"{name}: the {self.name} loss takes targets -1.0 and +1.0{labels_too(name)}; "
                f"got the numbers {found.tolist()}"
            )

    @abstractmethod
    def value(self, z: Array, y: Array) -> Array:
        """Return loss(z, y) >= 0."""

    @abstractmethod
    def gradient(self, z: Array, y: Array) -> Array:
        """Return the derivative in z; at a kink any subgradient."""

    @abstractmethod
    def domain(self, y: Array, a: Array) -> tuple[Array, Array]:
        """Return the least and largest v with finite (a loss)*(-v); both 0 where a is 0."""

    @abstractmethod
    def conjugate(self, v: Array, y: Array, a: Array) -> Array:
        """Return (a loss)*(-v) for v in the domain."""

    @abstractmethod
    def prox(self, points: Array, y: Array, steps: Array) -> Array:
        """Minimise steps * loss(z, y) + |z - points|**2 / 2 over z; ``steps`` (N,) >= 0."""

    def second(self, z: Array, y: Array) -> Array:
        """Return the second derivative in z, infinity exactly at kinks; for separable losses."""
        raise NotImplementedError(f"the {self.name} loss does not define second()")

    def second_by_shares(self, z: Array, y: Array) -> Array:
        """Return p (N, C): each row's second derivative is diag(p) - p p', p >= 0 with sum 1."""
        raise NotImplementedError(f"the {self.name} loss does not define second_by_shares()")

    def kinks(self, z: Array, y: Array) -> NDArray[np.bool_]:
        """Tell where minus the subgradients fill the whole domain of the conjugate."""
        if self.lacks("second"):
            return np.zeros(z.shape, dtype=np.bool_)
        return np.isinf(self.second(z, y))

    def fenchel_young(self, z: Array, v: Array, y: Array, a: Array) -> Array:
        """Return a loss(z) + (a loss)*(-v) + z v, for v in the domain, rounded up.

        The default adds a bound on rounding.
        """
        value, conjugate, product = a * self.value(z, y), self.conjugate(v, y, a), z * v
        if not self.separable:
            product = product.sum(axis=1, keepdims=True)
        sizes = np.abs(value) + np.abs(conjugate) + np.abs(product)
        return rounded_up(value + conjugate + product, sizes, 1 if self.separable else z.shape[1])

    def contains(self, v: Array, y: Array, a: Array, room: float) -> bool:
        """Tell whether (a loss)*(-v) is finite; ``room`` is the relative rounding allowed."""
        lower, upper = self.domain(y, a)
        return bool(((v >= lower) & (v <= upper)).all())

    def move_inside(self, v: Array, y: Array, a: Array, zero_sums: bool) -> Array:
        """Move v into the domain of the conjugate, with columns of sum 0 if ``zero_sums``.

        The method clips entries. It then spreads the missing part of a zero sum over the rows,
        in proportion to the room of each row.
        """
        lower, upper = self.domain(y, a)
        moved: Array = np.clip(v, lower, upper)
        if zero_sums:
            for _ in range(3):  # again for the remainder of rounding
                moved = balance_sums(moved, lower, upper, a)
        return moved

    def best_constant(self, y: Array, a: Array) -> Array:
        """Return numbers (C,) that minimise sum_i a_i loss(., y_i); finite even if none do."""
        return minimising_constants(self, np.zeros_like(y), y, a, np.zeros(y.shape[1]))

    def in_units(self, size: float, largest: float) -> "tuple[Loss, float] | None":
        """Return l and s with loss(size z, size y) = size s l(z, y), for losses of z - y.

        The equation must hold for |z - y| <= ``largest``. None means that the loss has no such
        l; conic solvers then get the targets in their own units.
        """
        return None

    def epigraph(self, y: Array, a: Array, quadratic: bool) -> Epigraph:
        """State sum_i a_i loss(z_i, y_i) in cones, with or without a quadratic objective.

        With ``one_matrix``, ``y`` appears only in linear costs and right-hand sides, which have
        a column per output; without it ``y`` has one column. If outputs do not separate, fits
        are stacked output by output.
        """
        raise NotImplementedError(f"the {self.name} loss does not define epigraph()")

    def auxiliaries(self, z: Array, y: Array) -> Array:
        """Return the best auxiliaries (k, C) of the quadratic epigraph at fits z (n, C).

        There the objective of the epigraph is the loss. If outputs do not separate, the result
        is one column. Solvers that start from an answer call this method.
        """
        raise NotImplementedError(f"the {self.name} loss does not define auxiliaries()")

    def to_cvxpy(self, z: Any, y: Array, a: Array) -> Any:
        """State sum_i a_i loss(z_i, y_i) as a CVXPY expression of z (n, C); ``a`` is (n,)."""
        raise NotImplementedError(f"the {self.name} loss does not define to_cvxpy()")


def kernel_prox(code: int | None, delta: float, points: Array, y: Array, steps: Array) -> Array:
    """Evaluate the compiled proximal operator of the built-in loss with this code."""
    out = np.empty_like(points)
    proximal.loss_prox(code, delta, points, y, steps, out)
    return out


def labels_too(name: str) -> str:
    """Return the words of an error about labels, which only the argument ``y`` may hold."""
    return ", or class labels as integers or strings" if name == "y" else ""


def balance_sums(v: Array, lower: Array, upper: Array, endless: Array | float) -> Array:
    """Bring column sums as close to 0 as the bounds allow, moving rows in proportion to room.

    ``endless`` is the room of an entry without a bound.
    """
    surplus = v.sum(axis=0)
    room = np.where(surplus > 0, v - lower, upper - v)
    room = np.where(np.isinf(room), endless, room)
    total = room.sum(axis=0)
    share = np.divide(surplus, total, out=np.zeros_like(total), where=total > 0)
    moved: Array = v - room * np.abs(share) * np.sign(surplus)
    return np.clip(moved, lower, upper)


def half_square(x: Array, a: Array) -> Array:
    """Return x**2 / (2 a), and 0 where a is 0; x**2 alone could underflow or overflow."""
    return 0.5 * x * divide(x, a)


def divide(x: Array, a: Array) -> Array:
    """Return x / a, and 0 where a is 0: the dual is 0 in rows of weight 0."""
    return np.divide(x, a, out=np.zeros_like(x), where=a > 0)
