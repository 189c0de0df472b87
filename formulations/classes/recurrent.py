"""Recurrent: K parallel networks of recurrent threshold units (Udupi, Yang and Zhai 2026).

A layer's spikes are S_t = 1[X_t W + S_(t-1) R >= 0] from S_0 = 0. Over the columns D of all
patterns of a final neuron, training is the program of ``network_class.py`` (their Theorems 3.4
and 3.6). Its strength beta / m**(1/q) is for m final neurons that fire the same pattern.

A neuron with recurrent input from others cannot be copied: its copies would replace these others.
With one output scale (amplitude) per subnetwork the R of the final layer is therefore diagonal,
like the reset of LIF neurons: final neurons receive only their own spikes. With one output scale
per neuron no copies are needed, and R is full. Inner layers have a full R. Over a sampled
dictionary the optimum is that of the sampled atoms.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import numpy as np
from numpy.typing import ArrayLike

from ...dictionaries import (
    THRESHOLD_UNIT,
    Budget,
    GivenWitnesses,
    Layer,
    Readout,
    SampledWitnesses,
    SpikeDictionary,
    Witnesses,
    recurrent_patterns,
)
from ...dictionaries.class_record import Gauge, Kind
from ...dictionaries.complete.dictionary import column_powers
from ...networks import RecurrentNetwork
from .network_class import NetworkClass
from .pattern_dictionary import dictionary_of


@dataclass(frozen=True)
class Recurrent(NetworkClass):
    """A class of recurrent threshold networks, and the convex program of training them.

    Parameters
    ----------
    hidden : sequence of int
        Width of each hidden layer of one subnetwork; the last is m.
    readout : {"last", "every"}
        Whether the loss counts the last step or every step.
    p : float
        Norm of the weight decay, in [1, inf]; 2 is ordinary weight decay.
    gauge : {"subnetwork", "neuron"}
        One output scale (amplitude) per subnetwork or per final neuron. For "subnetwork" the
        strength is beta / m**(1/q), and final neurons receive only their own spikes. For
        "neuron" it is beta, and they receive the spikes of all.

    Raises
    ------
    ValueError
        If an argument is out of range.

    Examples
    --------
    >>> import bidual as bd
    >>> from bidual.formulations import Recurrent
    >>> X, y = bd.tasks.first_last_xor(steps=4)
    >>> recurrent = Recurrent(hidden=(16, 9))
    >>> atoms = recurrent.sample(X, subnetworks=4)
    >>> program = recurrent.program(atoms, y, loss="hinge", beta=0.03)
    >>> program.strength
    0.01
    >>> bd.solve(program).network().predict(X).shape
    (16,)
    """

    kind: ClassVar[Kind] = "Recurrent"
    hidden: Sequence[int]
    readout: Readout = "last"
    p: float = 2.0
    gauge: Gauge = "subnetwork"

    def __post_init__(self) -> None:
        self._check()

    def witnesses(self, inputs: int, subnetworks: int = 64, seed: int = 0) -> Witnesses:
        """Draw Gaussian subnetworks, with a full or (per subnetwork) diagonal final R."""
        bank = SampledWitnesses(
            inputs, self.hidden, subnetworks, seed, THRESHOLD_UNIT, recurrent=True
        )
        if self.gauge == "neuron":
            return bank
        return GivenWitnesses(
            [_hearing_themselves(bank.layers(k)) for k in range(bank.subnetworks)]
        )

    def complete(self, X: ArrayLike, budget: Budget | None = None) -> SpikeDictionary:
        """Return every atom of the class on X (n, T, d), at tiny sizes, as a dictionary.

        The atoms are the patterns of :func:`recurrent_patterns`. If the final R is diagonal, the
        last layer has one neuron.

        Raises
        ------
        ValueError
            If X has another shape, or float64 cannot hold a network that fires an atom.
        BudgetExceeded
            As :func:`recurrent_patterns`.
        """
        grid = self.input_grid(X)
        sequences = self.on_grid(X, grid)
        powers = column_powers(sequences, grid)
        last = 1 if self.gauge == "subnetwork" else self.hidden[-1]
        found = recurrent_patterns(sequences / powers, (*self.hidden[:-1], last), budget)
        every = self.readout == "every"
        atoms = found.trajectories if every else found.patterns
        first = found.input_weights[0] / powers[:, None]
        weights = (first, *found.input_weights[1:])
        subnetworks = [
            [
                Layer.build(W[k], 0.0, 0.0, 0.0, recurrent=R[k])
                for W, R in zip(weights, found.recurrent_weights, strict=True)
            ]
            for k in (range(atoms.shape[1]) if every else found.origin)
        ]
        record = self.record(complete=True)
        bank = GivenWitnesses(subnetworks)
        return dictionary_of(sequences, atoms, bank, self.readout, record, grid)

    def network(self, dictionary: SpikeDictionary, solution: Any) -> RecurrentNetwork:
        """Rebuild the K-parallel network that computes D W + b of a solution.

        Raises
        ------
        ValueError
            If the dictionary belongs to another class, or the solution to another dictionary.
        """
        return RecurrentNetwork.rebuild(*self._rebuilt(dictionary, solution))


def _hearing_themselves(layers: list[Layer]) -> list[Layer]:
    """Return layers whose last R keeps only its diagonal."""
    *below, final = layers
    own = None if final.recurrent is None else np.diag(final.recurrent.diagonal())
    return [*below, replace(final, recurrent=own)]
