"""Dual: the dual of training a network class, over the columns of its final neurons.

    max over V (N, C)   -sum_i (a_i loss)*(-V_i)   with   sup over Phi ||Phi' V||_q <= beta,

Phi the spikes of any m final neurons of a subnetwork: the supremum has the best column m times
and is m**(1/q) max_j ||V' d_j||_q (Udupi, Yang and Zhai 2026, Theorem 3.4); with one amplitude a
neuron it is max_j ||V' d_j||_q (Ergen et al. 2023, Theorem 2.2).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..dictionaries.validation import finite_array
from .program import ConvexProgram


@dataclass(frozen=True)
class DualPoint:
    """A V, judged.

    Attributes
    ----------
    value : float
        -sum_i (a_i loss)*(-V_i); minus infinity outside the conjugate's domain, or where a
        column does not sum to 0 although there is an intercept.
    price : float
        The supremum over the dictionary's columns, in the unit of beta.
    beta : float
        What the price may be.
    feasible : bool
        Whether the value bounds every network: finite, and priced within beta, up to the
        rounding that ``ConvexProgram.dual`` allows.
    """

    value: float
    price: float
    beta: float
    feasible: bool


@dataclass(frozen=True, eq=False)
class Dual:
    """The dual of training over a dictionary; ``NetworkClass.dual`` states it.

    Attributes
    ----------
    program : ConvexProgram
        Its own dual is the finite one.
    width_factor : float
        The supremum over subnetworks for each unit of a column's price: m**(1/q), or 1.

    Examples
    --------
    >>> import numpy as np
    >>> from bidual.formulations import Feedforward
    >>> X, y = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]], [0.0, 1.0, 1.0, 0.0]
    >>> ergen = Feedforward(hidden=(1,), bias=True)
    >>> dual = ergen.dual(ergen.complete(X), y, beta=0.25)
    >>> point = dual.at(np.array([-0.125, 0.125, 0.125, -0.125]))
    >>> point.price, point.feasible, point.value
    (0.125, True, 0.125)
    """

    program: ConvexProgram
    width_factor: float

    @property
    def beta(self) -> float:
        """Weight decay."""
        return self.program.strength * self.width_factor

    def at(self, V: ArrayLike) -> DualPoint:
        """Judge V (N,) or (N, C); ValueError unless it is finite and of that shape."""
        v = finite_array("V", V, *self.program.target.shape)
        largest_price = float(self.program.largest_prices(v).max())
        allowed = self.program.with_strength(max(self.program.strength, largest_price))
        return DualPoint(
            value=allowed.dual(v),
            price=largest_price * self.width_factor,
            beta=self.beta,
            feasible=self.program.dual(v) > -np.inf,
        )

    def make_feasible(self, V: ArrayLike) -> NDArray[np.float64]:
        """Move V into the conjugate's domain and shrink it to the price that beta allows."""
        v = self.program.into_domain(finite_array("V", V, *self.program.target.shape))
        largest_price = float(self.program.largest_prices(v).max())
        return v * min(1.0, self.program.strength / largest_price) if largest_price > 0 else v
