"""What pricing asks and answers: which witness violates a dual point's constraints, and how far."""

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

_ABOVE = 1e-9  # of the strength, by which a price counts as more: float sums are off by less


@dataclass(frozen=True, eq=False)
class Question:
    """A dual point to be priced.

    Attributes
    ----------
    V : (N, C) array
    width : int
        Outputs that one norm covers: 1 for the prices of the outputs one by one, else C.
    strength : float
        What prices may reach.
    most : int
        Atoms wanted at most.
    known : set of bytes
        Packed columns that are no news.
    active : sequence of Witness
        Those of atoms in use.
    seconds : float
        How long to look; infinity for no limit.
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
        """More than what a float64 sum of a column of V is off by, in any order."""
        return float(len(self.V) * 2.0**-52 * np.abs(self.V).sum())

    @property
    def bar(self) -> float:
        """What the price of a new atom has to pass."""
        return self.strength * (1.0 + _ABOVE)

    def sizes(self, prices: Array) -> Array:
        """Norms (..., C / width) of prices (..., C)."""
        if self.width == 1:
            return np.abs(prices)
        parts = prices.reshape(*prices.shape[:-1], -1, self.width)
        norms: Array = np.linalg.norm(parts, axis=-1)
        return norms


@dataclass(frozen=True, eq=False)
class Priced:
    """New atoms that violate their constraints, largest prices first, and what bounds all others.

    Attributes
    ----------
    atoms : BinaryMatrix
        (N, A), distinct, none of them known; A may be 0.
    witnesses : list of A Witness
    largest : (C / width,) array or None
        No witness of the class has a larger price; None where nothing is proven.
    """

    atoms: BinaryMatrix
    witnesses: list[Witness]
    largest: Array | None = None

    def first(self, most: int) -> "Priced":
        """The same with no more than so many atoms."""
        if len(self.witnesses) <= most:
            return self
        return Priced(self.atoms.take(np.arange(most)), self.witnesses[:most], self.largest)


class Pricing(Protocol):
    """Looks for witnesses whose atoms violate the constraints of a dual point."""

    @property
    def grounds(self) -> Grounds | None:
        """What its bounds rest on: whole numbers, HiGHS to its tolerances, or None: no bounds."""

    def price(self, question: Question) -> Priced:
        """Answer a question."""


def new_atoms(
    witnesses: Iterable[Witness],
    question: Question,
    sequences: Array,
    readout: Readout,
    largest: Array | None = None,
) -> Priced:
    """Roll witnesses out in turn: those whose atoms are new and violate their constraints.

    It stops when there are as many as the question asks for.
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
