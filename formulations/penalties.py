"""Penalties on the weights: the l1 norm of entries, and the group norm of rows.

``docs/elastic_net.md`` shows how to write a penalty.
"""

from abc import ABC, abstractmethod
from typing import Any, ClassVar, Literal

import numpy as np
from scipy import sparse

from ..dictionaries.norms import row_norms
from ..dictionaries.validation import Array
from ..kernels import proximal
from .epigraph import Block, PenaltyEpigraph
from .rounding import rounded_up


class Penalty(ABC):
    """Base class of penalties; derive from it to write one.

    A subclass sets ``name`` and ``separable`` and defines :meth:`value`, :meth:`prox`,
    :meth:`conjugate` and :meth:`scaling`. The other methods are optional. Without
    :meth:`epigraph` the conic solvers refuse the penalty, without :meth:`to_cvxpy` CVXPY does.
    Programs check its methods against each other, once per shape of weights. The value is at
    least 0, and 0 at W = 0.

    Attributes
    ----------
    name : str
        The name that messages and tables show.
    separable : bool
        Whether the penalty is a sum over outputs. Values then have shape (C,), else (1,).
    norm : {"entries", "rows"} or None
        The norm that the penalty is, for solvers of norms: the sum of absolute entries, or
        of the 2-norms of rows. A subclass does not inherit it.
    """

    name: ClassVar[str]
    separable: ClassVar[bool]
    norm: ClassVar[Literal["entries", "rows"] | None] = None

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "norm" not in cls.__dict__:  # the subclass may change value()
            cls.norm = None

    def __repr__(self) -> str:
        return f"<penalty {self.name}>"

    def lacks(self, *methods: str) -> str | None:
        """Name the first of these optional methods that the penalty does not define, or None."""
        for method in methods:
            if getattr(type(self), method) is getattr(Penalty, method):
                return f"the {self.name} penalty does not define {method}()"
        return None

    def take(self, columns: Any) -> "Penalty":
        """Return the penalty of the atoms with these numbers; itself by default.

        A penalty with parameters per atom must define this method. No law shows that it is
        missing if the number of atoms stays the same.
        """
        return self

    @abstractmethod
    def value(self, W: Array) -> Array:
        """Return the penalty of each column of W (P, C), shape (C,), or of all together, (1,)."""

    @abstractmethod
    def prox(self, points: Array, step: float) -> Array:
        """Minimise step * value(W) + |W - points|**2 / 2 over W (P, C)."""

    @abstractmethod
    def conjugate(self, prices: Array, strength: float) -> Array:
        """Return sup over W of sum(W * prices) - strength * value(W), in the shape of values.

        The supremum is infinity if it has no bound; for a norm, if a price exceeds the strength.
        """

    @abstractmethod
    def scaling(self, prices: Array, strength: float) -> Array:
        """Return the largest t in [0, 1] for which the conjugate is finite at t * prices.

        The result has the shape of values; it is 1 if the conjugate is finite everywhere.
        """

    def fenchel_young(self, W: Array, prices: Array, strength: float) -> Array:
        """Return strength * value(W) + conjugate(prices) - sum(W * prices), rounded up.

        The result has the shape of values. The default adds a bound on rounding.
        """
        value, conjugate = strength * self.value(W), self.conjugate(prices, strength)
        products = W * prices
        axis = 0 if self.separable else None
        sizes = np.abs(value) + np.abs(conjugate) + np.abs(products).sum(axis=axis)
        return rounded_up(value + conjugate - products.sum(axis=axis), sizes, W.size // value.size)

    def epigraph(self, atoms: int, width: int) -> PenaltyEpigraph:
        """State the penalty of W (atoms, width) in cones, W stacked output by output."""
        raise NotImplementedError(f"the {self.name} penalty does not define epigraph()")

    def to_cvxpy(self, W: Any) -> Any:
        """State the penalty as a CVXPY expression of W (P, C)."""
        raise NotImplementedError(f"the {self.name} penalty does not define to_cvxpy()")


class L1(Penalty):
    """sum_jc |W_jc|, the norm for one amplitude per neuron (Ergen et al. 2023, Lemma 3.1).

    Outputs separate: each column of W has its own norm. Prices D'V are feasible if no
    absolute entry exceeds the strength.
    """

    name = "l1"
    separable = True
    norm = "entries"

    def value(self, W: Array) -> Array:
        norms: Array = np.abs(W).sum(axis=0)
        return norms

    def prox(self, points: Array, step: float) -> Array:
        out = np.empty_like(points)
        proximal.soft_threshold(points, step, out)
        return out

    def conjugate(self, prices: Array, strength: float) -> Array:
        return _indicator(np.abs(prices).max(axis=0, initial=0.0), strength)

    def scaling(self, prices: Array, strength: float) -> Array:
        return _shrinking(np.abs(prices).max(axis=0, initial=0.0), strength)

    def fenchel_young(self, W: Array, prices: Array, strength: float) -> Array:
        # each term is >= 0 up to rounding; atoms without a weight add nothing
        terms: Array = np.maximum(strength * np.abs(W) - W * prices, 0.0).sum(axis=0)
        return terms

    def epigraph(self, atoms: int, width: int) -> PenaltyEpigraph:
        entries = atoms * width
        each, bounds = sparse.eye_array(entries), np.zeros((entries, 1))
        sides = tuple(Block("nonnegative", side, -each, bounds) for side in (each, -each))
        return PenaltyEpigraph(np.ones(entries), sides)

    def to_cvxpy(self, W: Any) -> Any:
        import cvxpy as cp

        return cp.norm1(W)


class Group(Penalty):
    """sum_j |W_j|_2 over rows: one subnetwork serves all outputs (Udupi, Yang and Zhai 2026).

    Prices D'V are feasible if no row has a 2-norm above the strength. With one
    output the group norm is the l1 norm.
    """

    name = "group"
    separable = False
    norm = "rows"

    def value(self, W: Array) -> Array:
        norms: Array = row_norms(W).sum(keepdims=True)
        return norms

    def prox(self, points: Array, step: float) -> Array:
        out = np.empty_like(points)
        proximal.group_threshold(points, step, out)
        return out

    def conjugate(self, prices: Array, strength: float) -> Array:
        return _indicator(row_norms(prices).max(keepdims=True, initial=0.0), strength)

    def scaling(self, prices: Array, strength: float) -> Array:
        return _shrinking(row_norms(prices).max(keepdims=True, initial=0.0), strength)

    def fenchel_young(self, W: Array, prices: Array, strength: float) -> Array:
        terms = strength * row_norms(W) - (W * prices).sum(axis=1)
        gap: Array = np.maximum(terms, 0.0).sum(keepdims=True)
        return gap

    def epigraph(self, atoms: int, width: int) -> PenaltyEpigraph:
        if width == 1:
            return L1().epigraph(atoms, 1)
        # one cone per row: (t_j, w_j1, ..., w_jC)
        height = width + 1
        starts, shape = height * np.arange(atoms), height * atoms
        on_norm = sparse.csc_array(
            (-np.ones(atoms), (starts, np.arange(atoms))), shape=(shape, atoms)
        )
        rows = (starts[None, :] + 1 + np.arange(width)[:, None]).ravel()
        entries = (-np.ones(atoms * width), (rows, np.arange(atoms * width)))
        on_weights = sparse.csc_array(entries, shape=(shape, atoms * width))
        cones = Block("second_order", on_weights, on_norm, np.zeros((shape, 1)), height)
        return PenaltyEpigraph(np.ones(atoms), (cones,))

    def to_cvxpy(self, W: Any) -> Any:
        import cvxpy as cp

        return cp.mixed_norm(W, 2, 1)


def _indicator(largest: Array, strength: float) -> Array:
    """Return the conjugate of a norm: 0 where prices are feasible, else infinity."""
    return np.where(largest <= strength, 0.0, np.inf)


def _shrinking(largest: Array, strength: float) -> Array:
    """Return the factor that shrinks prices until the largest is at most the strength."""
    return np.divide(strength, largest, out=np.ones_like(largest), where=largest > strength)


PENALTIES: dict[str, Penalty] = {penalty.name: penalty for penalty in (L1(), Group())}


def find_penalty(penalty: str | Penalty) -> Penalty:
    """Return the penalty of that name, or the penalty itself; ValueError lists the known names."""
    if isinstance(penalty, Penalty):
        return penalty
    if not isinstance(penalty, str) or penalty not in PENALTIES:
        known = sorted(PENALTIES)
        raise ValueError(
            f"penalty: expected one of {known} or an instance of Penalty, got {penalty!r}"
        )
    return PENALTIES[penalty]
