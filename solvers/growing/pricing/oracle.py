"""Question, Priced and Pricing: the interface of pricing methods."""

from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from ....dictionaries.matrix.binary_matrix import BinaryMatrix
from ....dictionaries.neuron import Layer
from ....dictionaries.rollout import roll_columns
from ....dictionaries.spike_dictionary import Readout
from ....dictionaries.validation import Array

Grounds = Literal["exact", "milp"]
Witness = tuple[list[Layer], int]  # a subnetwork, and the neuron of its last layer

_ABOVE = 1e-9  # relative excess over the strength that counts: rounding of float sums is smaller


@dataclass(frozen=True, eq=False)
class Question:
    """Dual point to be priced.

    Attributes
    ----------
    V : (N, C) array
        The dual point.
    width : int
        Outputs per norm: 1 if each output has its own price, else C.
    strength : float
        Largest feasible price.
    most : int
        Largest number of atoms to return.
    known : set of bytes
        Packed columns of the current atoms, which are not returned again.
    active : sequence of Witness
        Witnesses of the active atoms.
    seconds : float
        Time limit; infinity for no limit.
    """

    V: Array
    width: int
    strength: float
    most: int
    known: AbstractSet[bytes]
    active: Sequence[Witness] = ()
    seconds: float = np.inf

    @property
    def rounding(self) -> float:
        """Bound on the rounding error of a float64 sum of a column of V, in any order."""
        return float(len(self.V) * 2.0**-52 * np.abs(self.V).sum())

    @property
    def bar(self) -> float:
        """Price that a new atom must exceed."""
        return self.strength * (1.0 + _ABOVE)

    def sizes(self, prices: Array) -> Array:
        """Return the norms (..., C / width) of prices (..., C)."""
        if self.width == 1:
            return np.abs(prices)
        parts = prices.reshape(*prices.shape[:-1], -1, self.width)
        norms: Array = np.linalg.norm(parts, axis=-1)
        return norms


@dataclass(frozen=True, eq=False)
class Priced:
    """New atoms with violated constraints, largest price first, and a bound on all prices.

    Attributes
    ----------
    atoms : BinaryMatrix
        (N, A), distinct and not among the known ones; A may be 0.
    witnesses : list of A Witness
    largest : (C / width,) array or None
        Upper bound on the prices of all witnesses of the class; None without a proof.
    """

    atoms: BinaryMatrix
    witnesses: list[Witness]
    largest: Array | None = None

    def first(self, most: int) -> "Priced":
        """Return the same with at most ``most`` atoms."""
        if len(self.witnesses) <= most:
            return self
        return Priced(self.atoms.take(np.arange(most)), self.witnesses[:most], self.largest)


class Pricing(Protocol):
    """Search for witnesses whose atoms violate the constraints of a dual point."""

    @property
    def grounds(self) -> Grounds | None:
        """Proof of the bounds: "exact", "milp" (within HiGHS's tolerances), or None: no bounds."""

    def price(self, question: Question) -> Priced:
        """Return atoms that violate the constraints of the question's dual point."""


def new_atoms(
    witnesses: Iterable[Witness],
    question: Question,
    sequences: Array,
    readout: Readout,
    largest: Array | None = None,
) -> Priced:
    """Simulate witnesses in turn and keep those with new atoms that violate their constraints.

    The function stops at the number of atoms that the question asks for.
    """
    rows = len(question.V)
    kept: list[Witness] = []
    columns: list[NDArray[np.uint64]] = []
    seen = set(question.known)
    for layers, neuron in witnesses:
        if len(kept) == question.most:
            break
        words = roll_columns(sequences, layers, readout == "every")[neuron]
        if words.tobytes() in seen:
            continue
        seen.add(words.tobytes())
        if question.sizes(BinaryMatrix(words[None], rows).rmatvec(question.V)).max() > question.bar:
            kept.append((layers, neuron))
            columns.append(words)
    if not kept:
        return Priced(BinaryMatrix.from_dense(np.zeros((rows, 0))), [], largest)
    return Priced(BinaryMatrix(np.array(columns), rows), kept, largest)
