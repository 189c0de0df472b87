"""EnumerationPricing: exact pricing of every atom of the class, by enumeration."""

from dataclasses import dataclass

import numpy as np

from ....dictionaries.class_record import ClassRecord
from ....dictionaries.complete.budget import Budget
from ....dictionaries.input_grid import InputGrid
from ....dictionaries.spike_dictionary import SpikeDictionary
from ....dictionaries.validation import Array
from .one_neuron import OneNeuron
from .oracle import Grounds, Priced, Question, Witness


@dataclass(frozen=True, eq=False)
class EnumerationPricing:
    """Pricing of the complete dictionary of a neuron.

    Attributes
    ----------
    neuron : OneNeuron
    complete : SpikeDictionary
        All atoms of the neuron.
    """

    neuron: OneNeuron
    complete: SpikeDictionary
    grounds: Grounds | None = "exact"

    @classmethod
    def of(
        cls,
        sequences: Array,
        record: ClassRecord | None,
        budget: Budget,
        grid: InputGrid | None = None,
    ) -> "EnumerationPricing":
        """Enumerate a class.

        Raises
        ------
        ValueError
            If no enumeration covers the class.
        BudgetExceeded
            If the enumeration exceeds the budget.
        """
        neuron = OneNeuron.of(record)
        return cls(neuron, neuron.complete(sequences, budget, grid))

    def price(self, question: Question) -> Priced:
        """Price every atom; see :class:`Pricing`."""
        sizes = question.sizes(self.complete.atoms.rmatvec(question.V))
        each = sizes.max(axis=1)
        order = np.argsort(-each, kind="stable")
        chosen: list[int] = []
        for j in order[: int(np.count_nonzero(each > question.bar))]:
            if len(chosen) == question.most:
                break
            if self.complete.atoms.words[j].tobytes() not in question.known:
                chosen.append(int(j))
        return Priced(
            self.complete.atoms.take(chosen),
            [self._witness(j) for j in chosen],
            sizes.max(axis=0) + question.rounding,
        )

    def _witness(self, column: int) -> Witness:
        (layer,) = self.complete.witnesses.layers(int(self.complete.origin[column, 0]))
        return self.neuron.witness(layer.weights[:, 0], float(layer.threshold[0]))
