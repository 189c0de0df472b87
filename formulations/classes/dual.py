"""Dual: the dual of training a network class, over the columns of its final neurons.

    max over V (N, C)   -sum_i (a_i loss)*(-V_i)   with   sup over Phi ||Phi' V||_q <= beta,

where Phi are the spikes of any m final neurons of a subnetwork. With one output scale (amplitude)
per subnetwork the supremum repeats the best column m times: it is m**(1/q) max_j ||V' d_j||_q
(Udupi, Yang and Zhai 2026, Theorem 3.4). With one output scale per neuron it is
max_j ||V' d_j||_q (Ergen et al. 2023, Theorem 2.2).
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...dictionaries.validation import finite_array
from ..program import ConvexProgram


@dataclass(frozen=True)
class DualPoint:
    """A dual point V, evaluated.

    Attributes
    ----------
    value : float
        -sum_i (a_i loss)*(-V_i); minus infinity outside the conjugate's domain, or if the
        program has an intercept and a column does not sum to 0.
    price : float
        The supremum over the dictionary's columns, in the unit of beta.
    beta : float
        The largest feasible price.
    feasible : bool
        Whether the value bounds the objective of every network: the value is finite, and the
        price is at most beta, up to the rounding that ``ConvexProgram.dual`` allows.
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
        The convex program; its dual has one constraint per column.
    width_factor : float
        The supremum over subnetworks per unit of a column's price: m**(1/q), or 1.

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
        """Evaluate V (N,) or (N, C); raise ValueError for NaN, infinity or another shape."""
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
        """Move V into the conjugate's domain and shrink it until its price is at most beta."""
        v = self.program.into_domain(finite_array("V", V, *self.program.target.shape))
        largest_price = float(self.program.largest_prices(v).max())
        return v * min(1.0, self.program.strength / largest_price) if largest_price > 0 else v
