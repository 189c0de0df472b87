"""Loss: a convex function of a fit z and a target y, with everything a proof needs.

All methods work on (N, C) arrays of fits ``z``, targets ``y`` and dual entries
``v``, and on row weights ``a`` of shape (N, 1). Losses that separate do so entry
by entry and give (N, C) values; one that couples the outputs of a row gives
(N, 1). The Fenchel-Young term

    a loss(z) + (a loss)*(-v) + z v  >=  0,   0 exactly when v = -a loss'(z),

is 0 at an optimum; own losses evaluate it as a sum of non-negative parts.
``docs/pinball_loss.md`` shows how to write a loss.
"""

from abc import ABC, abstractmethod
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ...dictionaries.validation import Array
from ...kernels import proximal
from ..epigraph import Epigraph
from .constants import minimising_constants

_ROUNDING = 8 * float(np.finfo(np.float64).eps)  # of a few terms that are added up


class Loss(ABC):
    """State what a program asks of a loss; derive from it to write one.

    A subclass sets ``name`` and defines :meth:`value`, :meth:`gradient`,
    :meth:`conjugate`, :meth:`domain` and :meth:`prox`. The other methods have defaults,
    or some backends need them: without :meth:`second` newton refuses the loss, without
    :meth:`epigraph` the conic solvers, without :meth:`to_cvxpy` CVXPY. The first program
    of a loss checks its methods against each other.

    Attributes
    ----------
    name : str
        The name that messages and tables show.
    labels : bool
        Whether targets are -1 and +1 only.
    curvature : float
        Largest second derivative in z; infinity where there is a kink, or it is not known.
    continuous_second : bool
        Whether the second derivative is continuous, so that newton may follow quadratics.
    separable : bool
        Whether it is a sum over outputs. One that is not also defines :meth:`contains` and
        :meth:`move_inside`.
    one_matrix : bool
        Whether :meth:`epigraph` has the same matrices for all targets.
    code : int or None
        Number of an own loss in the compiled kernels; a subclass does not inherit it.
    delta : float
        Parameter of the loss in the kernels; 0 for those that have none.
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
        if "code" not in cls.__dict__:  # a kernel would not know what the subclass changes
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
        """loss(z, y) >= 0."""

    @abstractmethod
    def gradient(self, z: Array, y: Array) -> Array:
        """Derivative in z; at a kink any subgradient."""

    @abstractmethod
    def domain(self, y: Array, a: Array) -> tuple[Array, Array]:
        """Least and largest v for which (a loss)*(-v) is finite; both 0 where a is 0."""

    @abstractmethod
    def conjugate(self, v: Array, y: Array, a: Array) -> Array:
        """(a loss)*(-v) for v in the domain."""

    @abstractmethod
    def prox(self, points: Array, y: Array, steps: Array) -> Array:
        """Minimise steps * loss(z, y) + |z - points|**2 / 2 over z; ``steps`` (N,) >= 0."""

    def second(self, z: Array, y: Array) -> Array:
        """Second derivative in z, infinity exactly at kinks; of separable losses only."""
        raise NotImplementedError(f"the {self.name} loss does not define second()")

    def second_by_shares(self, z: Array, y: Array) -> Array:
        """The p (N, C) with second derivative diag(p) - p p' in each row, p >= 0 of sum 1."""
        raise NotImplementedError(f"the {self.name} loss does not define second_by_shares()")

    def kinks(self, z: Array, y: Array) -> NDArray[np.bool_]:
        """Where minus the subgradients fill the whole domain of the conjugate."""
        if self.lacks("second"):
            return np.zeros(z.shape, dtype=np.bool_)
        return np.isinf(self.second(z, y))

    def fenchel_young(self, z: Array, v: Array, y: Array, a: Array) -> Array:
        """Return a loss(z) + (a loss)*(-v) + z v, for v in the domain; never less than it is.

        The default subtracts, and adds what rounding may have taken.
        """
        value, conjugate, product = a * self.value(z, y), self.conjugate(v, y, a), z * v
        if not self.separable:
            product = product.sum(axis=1, keepdims=True)
        sizes = np.abs(value) + np.abs(conjugate) + np.abs(product)
        return np.maximum(value + conjugate + product, 0.0) + _ROUNDING * sizes

    def contains(self, v: Array, y: Array, a: Array, room: float) -> bool:
        """Tell whether (a loss)*(-v) is finite; ``room`` is what rounding may take of sums."""
        lower, upper = self.domain(y, a)
        return bool(((v >= lower) & (v <= upper)).all())

    def move_inside(self, v: Array, y: Array, a: Array, zero_sums: bool) -> Array:
        """Move v into the domain of the conjugate, with columns that sum to 0 if asked.

        Entries are clipped; what a zero sum then lacks is shared out over the rows
        in proportion to the room that each has.
        """
        lower, upper = self.domain(y, a)
        moved: Array = np.clip(v, lower, upper)
        if zero_sums:
            for _ in range(3):  # what rounding leaves over is shared out again
                moved = balance_sums(moved, lower, upper, a)
        return moved

    def best_constant(self, y: Array, a: Array) -> Array:
        """The numbers (C,) that minimise sum_i a_i loss(., y_i); finite even where none do."""
        return minimising_constants(self, np.zeros_like(y), y, a, np.zeros(y.shape[1]))

    def in_units(self, size: float, largest: float) -> "tuple[Loss, float] | None":
        """Return l and s with loss(size z, size y) = size s l(z, y), of losses of z - y alone.

        l need hold only where |z - y| <= ``largest``. None says that there is no such loss;
        conic solvers then get the targets in their own units.
        """
        return None

    def epigraph(self, y: Array, a: Array, quadratic: bool) -> Epigraph:
        """State sum_i a_i loss(z_i, y_i) in cones, with a quadratic objective or without.

        With ``one_matrix``, ``y`` appears in linear costs and right-hand sides
        only, a column of them for each output; without it ``y`` has one column.
        Where outputs do not separate, fits are stacked output by output.
        """
        raise NotImplementedError(f"the {self.name} loss does not define epigraph()")

    def auxiliaries(self, z: Array, y: Array) -> Array:
        """Return the best auxiliaries (k, C) of the quadratic epigraph at fits z (n, C).

        There its objective is the loss. Where outputs do not separate, it is one column.
        Solvers that start from an answer need it.
        """
        raise NotImplementedError(f"the {self.name} loss does not define auxiliaries()")

    def to_cvxpy(self, z: Any, y: Array, a: Array) -> Any:
        """State sum_i a_i loss(z_i, y_i) as a CVXPY expression of z (n, C); ``a`` is (n,)."""
        raise NotImplementedError(f"the {self.name} loss does not define to_cvxpy()")


def kernel_prox(code: int | None, delta: float, points: Array, y: Array, steps: Array) -> Array:
    """Return the proximal operator of the own loss with that code, compiled."""
    out = np.empty_like(points)
    proximal.loss_prox(code, delta, points, y, steps, out)
    return out


def labels_too(name: str) -> str:
    """What else may be given where labels are still to be encoded, as in ``y``."""
    return ", or class labels as integers or strings" if name == "y" else ""


def balance_sums(v: Array, lower: Array, upper: Array, endless: Array | float) -> Array:
    """Bring column sums as close to 0 as the bounds allow, each row by its share of the room.

    ``endless`` is the room of an entry without a bound.
    """
    surplus = v.sum(axis=0)
    room = np.where(surplus > 0, v - lower, upper - v)
    room = np.where(np.isinf(room), endless, room)
    total = room.sum(axis=0)
    share = np.divide(surplus, total, out=np.zeros_like(total), where=total > 0)
    moved: Array = v - room * np.abs(share) * np.sign(surplus)
    return np.clip(moved, lower, upper)


def divide(x: Array, a: Array) -> Array:
    """Quotient x / a, and 0 where a is 0: rows of weight 0 carry no dual."""
    return np.divide(x, a, out=np.zeros_like(x), where=a > 0)
