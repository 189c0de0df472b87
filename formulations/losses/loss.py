"""Loss: a convex function of a fit z and a target y, with everything a proof needs.

All methods work on (N, C) arrays of fits ``z``, targets ``y`` and dual entries
``v``, and on row weights ``a`` of shape (N, 1). Losses that separate do so entry
by entry and give (N, C) values; one that couples the outputs of a row gives
(N, 1). The Fenchel-Young term

    a loss(z) + (a loss)*(-v) + z v  >=  0,   0 exactly when v = -a loss'(z),

is evaluated in a form that is a sum of non-negative parts, not as a difference.
"""

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from ...dictionaries.validation import Array
from ...kernels import proximal
from ..epigraph import Cone, Epigraph


class Loss(ABC):
    """What a program asks of a loss.

    Attributes
    ----------
    name : str
        What users write.
    code : int
        Its number in ``kernels/proximal.py``.
    delta : float
        Its parameter there; 0 for those that have none.
    labels : bool
        Whether targets are -1 and +1 only.
    curvature : float
        Largest second derivative in z; infinity where there is a kink.
    separable : bool
        Whether it is a sum over outputs.
    one_matrix : bool
        Whether :meth:`epigraph` has the same matrices for all targets.
    """

    name: ClassVar[str]
    code: ClassVar[int]
    delta: float = 0.0
    labels: ClassVar[bool] = False
    curvature: ClassVar[float]
    separable: ClassVar[bool] = True
    one_matrix: ClassVar[bool] = True

    def __repr__(self) -> str:
        return f"<loss {self.name}>"

    def check_targets(self, y: Array, name: str = "y") -> None:
        """Raise ValueError, by ``name``, unless (N, C) targets are such as the loss takes."""
        if not np.isfinite(y).all():
            raise ValueError(f"{name}: expected finite numbers, got NaN or infinity")
        if self.labels and not np.isin(y, (-1.0, 1.0)).all():
            found = np.unique(y[~np.isin(y, (-1.0, 1.0))])[:5]
            raise ValueError(
                f"{name}: the {self.name} loss takes targets -1.0 and +1.0{labels_too(name)}; "
                f"got the numbers {found.tolist()}"
            )

    def prox(self, points: Array, y: Array, steps: Array) -> Array:
        """Minimise steps * loss(z, y) + |z - points|**2 / 2 over z; ``steps`` (N,) >= 0."""
        out = np.empty_like(points)
        proximal.loss_prox(self.code, self.delta, points, y, steps, out)
        return out

    def contains(self, v: Array, y: Array, a: Array, room: float) -> bool:
        """Tell whether (a loss)*(-v) is finite; ``room`` is what rounding may take of sums."""
        lower, upper = self.domain(y, a)
        return bool(((v >= lower) & (v <= upper)).all())

    def move_inside(self, v: Array, y: Array, a: Array, zero_sums: bool) -> Array:
        """Move v into the domain of the conjugate, with columns that sum to 0 if asked.

        Entries are clipped; what a zero sum then lacks is spread over the rows
        in proportion to the room that each has.
        """
        lower, upper = self.domain(y, a)
        moved: Array = np.clip(v, lower, upper)
        if zero_sums:
            for _ in range(3):  # what rounding leaves over is spread again
                moved = spread(moved, lower, upper, a)
        return moved

    @abstractmethod
    def value(self, z: Array, y: Array) -> Array:
        """loss(z, y)."""

    @abstractmethod
    def gradient(self, z: Array, y: Array) -> Array:
        """Derivative in z; at a kink the subgradient 0."""

    def second(self, z: Array, y: Array) -> Array:
        """Second derivative in z, infinity at kinks; of separable losses only."""
        raise NotImplementedError(f"{self.name} couples outputs: it has a matrix a row")

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
        """The numbers (C,) that minimise sum_i a_i loss(., y_i); finite even where none do."""

    @abstractmethod
    def cones(self, quadratic: bool) -> set[Cone]:
        """Cones beyond zero and nonnegative that :meth:`epigraph` uses."""

    @abstractmethod
    def epigraph(self, y: Array, a: Array, quadratic: bool) -> Epigraph:
        """State sum_i a_i loss(z_i, y_i) in cones, with a quadratic objective or without.

        With ``one_matrix``, ``y`` appears in linear costs and right-hand sides
        only, a column of them for each output; without it ``y`` has one column.
        Where outputs do not separate, fits are stacked output by output.
        """

    @abstractmethod
    def auxiliaries(self, z: Array, y: Array) -> Array:
        """Return the best auxiliaries (k, C) of the quadratic epigraph at fits z (n, C).

        There its objective is the loss. Where outputs do not separate, it is one column.
        """


def labels_too(name: str) -> str:
    """What else may be given where labels are still to be encoded, as in ``y``."""
    return ", or class labels as integers or strings" if name == "y" else ""


def spread(v: Array, lower: Array, upper: Array, endless: Array | float) -> Array:
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
