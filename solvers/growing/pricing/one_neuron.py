"""OneNeuron: neurons of a class with one hidden layer that exact pricing covers."""

from dataclasses import dataclass
from fractions import Fraction

import numpy as np
from numpy.typing import NDArray

from ....dictionaries.class_record import ClassRecord, Readout
from ....dictionaries.complete.budget import Budget
from ....dictionaries.complete.dictionary import lif_of_sequences, thresholds_of_sequences
from ....dictionaries.complete.prefix_trie import SoftReset, plain_fraction
from ....dictionaries.input_grid import InputGrid
from ....dictionaries.neuron import Layer
from ....dictionaries.spike_dictionary import SpikeDictionary
from ....dictionaries.validation import Array
from .oracle import Witness


@dataclass(frozen=True)
class OneNeuron:
    """Threshold unit or LIF neuron with free weights.

    Attributes
    ----------
    record : ClassRecord
    leak : Fraction
        Leak in the reading of :func:`plain_fraction`: 0.9 means 9/10, not the closest float64.
    """

    record: ClassRecord
    leak: Fraction

    @classmethod
    def of(cls, record: ClassRecord | None) -> "OneNeuron":
        """Build the neuron of a class.

        Raises
        ------
        ValueError
            If exact pricing does not cover the class because it has several layers, recurrent
            weights, a range of leaks or another reset, or because it has no record.
        """
        if record is None:
            raise _not_covered("neurons of a user-defined kind")
        if len(record.hidden) != 1:
            raise _not_covered(f"{len(record.hidden)} layers")
        if record.kind == "Recurrent":
            raise _not_covered("recurrent weights")
        if isinstance(record.leak, tuple):
            raise _not_covered("neurons of different leaks")
        if record.kind == "LIF" and record.reset not in ("delayed", "immediate"):
            raise _not_covered(f"the reset {record.reset!r}")
        return cls(record, plain_fraction(record.leak))

    @property
    def readout(self) -> Readout:
        """Rows of D: the last step or every step."""
        return self.record.readout

    def complete(
        self, sequences: Array, budget: Budget, grid: InputGrid | None = None
    ) -> SpikeDictionary:
        """Enumerate every atom of the class; raise BudgetExceeded if they are too many."""
        if self.record.kind == "Feedforward":
            return thresholds_of_sequences(sequences, grid, budget)
        reset: SoftReset = "immediate" if self.record.reset == "immediate" else "delayed"
        return lif_of_sequences(sequences, grid, self.leak, reset, self.readout, budget)

    def witness(self, weights: NDArray[np.float64], threshold: float = 0.0) -> Witness:
        """Build the subnetwork whose final neurons all have the given weights (d,).

        ``threshold`` matters for LIF neurons only.
        """
        record = self.record
        layer = Layer.build(weights[:, None], float(self.leak), threshold, record.reset)
        return [layer.take(np.zeros(record.hidden[-1], dtype=int))], 0


def _not_covered(what: str) -> ValueError:
    return ValueError(
        "pricing: expected 'search' for this class; exact pricing covers one layer of threshold "
        "units, or of LIF neurons with one leak and a soft reset, and this class has "
        f"{what}"
    )
