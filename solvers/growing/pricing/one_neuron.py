"""Which class of neurons a dictionary of one layer was drawn from, where exact pricing knows it."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ....dictionaries.complete import complete_lif, complete_thresholds
from ....dictionaries.complete.budget import Budget
from ....dictionaries.complete.prefix_trie import SoftReset, plain_fraction
from ....dictionaries.neuron import Layer
from ....dictionaries.spike_dictionary import SpikeDictionary
from ....dictionaries.validation import Array
from ....dictionaries.witnesses.sampled import Witnesses
from .oracle import Witness, rolled_rows


@dataclass(frozen=True)
class OneNeuron:
    """A neuron whose weights are free: threshold units, with a bias or without, and LIF neurons.

    Attributes
    ----------
    kind : {"threshold", "lif"}
    copies : int
        Neurons m of a subnetwork, which all are this one.
    layer : Layer
        One of the class, for its constants.
    biased : bool
        Whether a threshold unit has a bias.
    leak : Fraction
        As :func:`plain_fraction` reads it: 0.9 counts as 9/10, not as the float64 closest to it.
    reset : {"delayed", "immediate"}
        Of a LIF neuron.
    """

    kind: Literal["threshold", "lif"]
    copies: int
    layer: Layer
    biased: bool
    leak: Fraction
    reset: SoftReset

    @classmethod
    def of(cls, bank: Witnesses) -> "OneNeuron":
        """Read the class off a bank of its subnetworks.

        Raises
        ------
        ValueError
            If it is another class: deeper, recurrent, of mixed leaks, or with another reset.
        """
        layers = [bank.layers(k) for k in range(bank.subnetworks)]
        if len(bank.hidden) != 1:
            raise _not_covered(f"{len(bank.hidden)} layers")
        each = [layer for (layer,) in layers]
        if any(layer.recurrent is not None for layer in each):
            raise _not_covered("recurrent weights")
        if any(layer.hard or layer.strict for layer in each):
            raise _not_covered("hard resets or firing above the threshold alone")
        leak, threshold, reset, bias = (
            np.concatenate([getattr(layer, name) for layer in each])
            for name in ("leak", "threshold", "reset", "bias")
        )
        if np.ptp(leak) > 0:
            raise _not_covered("neurons of different leaks")
        biased = bool(bias.any())
        copies, first = bank.hidden[-1], each[0].take([0])
        if not (leak.any() or reset.any()) and (biased or not threshold.any()):
            return cls("threshold", copies, first, biased, Fraction(0), "delayed")
        if biased or threshold.min() <= 0:
            raise _not_covered("biases, or thresholds that are not above 0")
        share = plain_fraction(float(leak[0]))
        if np.array_equal(reset, threshold):
            return cls("lif", copies, first, False, share, "delayed")
        if np.array_equal(reset, leak * threshold):
            return cls("lif", copies, first, False, share, "immediate")
        raise _not_covered("a reset that is neither delayed nor immediate")

    def fires_as(self, other: "OneNeuron") -> bool:
        """Whether both are the same class."""
        parts = ("kind", "biased", "leak", "reset")
        return all(getattr(self, part) == getattr(other, part) for part in parts)

    def rows(self, sequences: Array, dictionary: SpikeDictionary) -> Array:
        """Rows x of X (N, d) that a threshold unit sees, with a 1 for its bias."""
        rows = rolled_rows(sequences, dictionary.readout)
        return np.column_stack([rows, np.ones(len(rows))]) if self.biased else rows

    def complete(
        self, sequences: Array, dictionary: SpikeDictionary, budget: Budget
    ) -> SpikeDictionary:
        """Every atom of the class; BudgetExceeded where they are too many."""
        if self.kind == "threshold":
            return complete_thresholds(self.rows(sequences, dictionary), budget)
        return complete_lif(sequences, self.leak, self.reset, dictionary.readout, budget)

    def witness(self, weights: NDArray[np.float64], threshold: float | None = None) -> Witness:
        """The subnetwork of the neuron with weights p (d,), after them the bias if there is one."""
        bias = 0.0
        if self.biased:
            weights, bias = weights[:-1], float(weights[-1])
        own = float(self.layer.threshold[0])
        if self.kind == "threshold":
            threshold, bias = own, bias + own
        level = own if threshold is None else threshold
        layer = Layer.build(
            weights[:, None],
            leak=self.layer.leak[0],
            threshold=level,
            reset=0.0 if self.kind == "threshold" else self.reset,
            bias=bias,
        )
        return [layer.take(np.zeros(self.copies, dtype=int))], 0


def _not_covered(what: str) -> ValueError:
    return ValueError(
        "pricing: expected 'search' for this class; exact pricing covers one layer of threshold "
        f"units, or of LIF neurons with one leak and a soft reset, and this has {what}"
    )
