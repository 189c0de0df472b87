"""LIF: K parallel networks of leaky integrate-and-fire layers (Udupi, Yang and Zhai 2026).

Over the columns D of final spikes, training is the program of ``network_class.py`` (their
Theorems 3.4 and 3.6). A final neuron receives no spikes of other final neurons, so that m copies
of one neuron are a layer. With ``readout="every"`` the loss is summed over all steps, and atoms
are whole trajectories. Over a sampled dictionary the optimum is that of the sampled atoms.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from numpy.typing import ArrayLike

from ...dictionaries import (
    Budget,
    Neuron,
    Readout,
    SampledWitnesses,
    SpikeDictionary,
)
from ...dictionaries.class_record import Gauge, Kind
from ...dictionaries.complete.dictionary import lif_of_sequences
from ...dictionaries.complete.prefix_trie import plain_fraction
from ...dictionaries.neuron import Range, Reset
from ...networks import SpikingNetwork
from .network_class import NetworkClass


@dataclass(frozen=True)
class LIF(NetworkClass):
    """A class of spiking networks, and the convex program of training them.

    Parameters
    ----------
    hidden : sequence of int
        Width of each hidden layer of one subnetwork; the last is m.
    leak : float or (low, high)
        Share of the membrane that remains from step to step, in [0, 1]. A pair is a range
        from which each neuron's leak is sampled.
    threshold : float or (low, high)
        Membrane at which a neuron fires (>=), above 0; a number or a range.
    reset : {"delayed", "immediate", "hard"} or float
        The amount that a spike subtracts from the membrane at the next step. "delayed" is the
        threshold, as in snnTorch. "immediate" is leak * threshold, a soft reset within the
        step. "hard" is the whole membrane. A number must be at least 0.
    readout : {"last", "every"}
        Whether the loss counts the last step or every step.
    p : float
        Norm of the weight decay, in [1, inf]; 2 is ordinary weight decay.
    gauge : {"subnetwork", "neuron"}
        One output scale (amplitude) per subnetwork or per final neuron. The strength is
        beta / m**(1/q) for "subnetwork", beta for "neuron".

    Raises
    ------
    ValueError
        If an argument is out of range.

    Examples
    --------
    >>> import bidual as bd
    >>> X, y = bd.tasks.digits()
    >>> lif = bd.LIF(hidden=(64, 32), leak=0.99, threshold=1.0)
    >>> atoms = lif.sample(X[:50], subnetworks=2, seed=0)
    >>> program = lif.program(atoms, y[:50], loss="squared", beta=0.1)
    >>> round(program.strength, 6), program.penalty.name
    (0.017678, 'group')
    """

    kind: ClassVar[Kind] = "LIF"
    hidden: Sequence[int]
    leak: Range = 0.99
    threshold: Range = 1.0
    reset: Reset = "delayed"
    readout: Readout = "last"
    p: float = 2.0
    gauge: Gauge = "subnetwork"
    neuron: Neuron = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self._check()
        object.__setattr__(self, "neuron", Neuron(self.leak, self.threshold, self.reset))

    def witnesses(self, inputs: int, subnetworks: int = 64, seed: int = 0) -> SampledWitnesses:
        """Draw Gaussian subnetworks, with leaks and thresholds from the ranges of the class."""
        return SampledWitnesses(inputs, self.hidden, subnetworks, seed, self.neuron)

    def complete(self, X: ArrayLike, budget: Budget | None = None) -> SpikeDictionary:
        """Return every atom of networks of one layer on X (n, T, d), as ``complete_lif`` does.

        The method turns the leak into a fraction that float64 rounds to the leak: one with a
        denominator up to 1,000 (0.9 is nine tenths, 1 / 3 a third), or else its decimal. The
        dictionary's record keeps the fraction. All thresholds have the same atoms (Lemma 3.5).

        Raises
        ------
        ValueError
            If the class has several layers, a range of leaks, or a reset other than "delayed"
            and "immediate"; or as :func:`complete_lif`.
        BudgetExceeded
            As :func:`lif_trajectories`.
        """
        if len(self.hidden) > 1:
            raise ValueError(
                f"hidden: expected one layer for a complete dictionary, got {self.hidden}"
            )
        leak, reset = self.neuron.leak, self.neuron.reset
        if isinstance(leak, tuple):
            raise ValueError(f"leak: expected a number for a complete dictionary, got {leak}")
        if reset not in ("delayed", "immediate"):
            raise ValueError(
                f"reset: expected 'delayed' or 'immediate' for a complete dictionary, got {reset!r}"
            )
        share = plain_fraction(leak)
        grid = self.input_grid(X)
        found = lif_of_sequences(self.on_grid(X, grid), grid, share, reset, self.readout, budget)
        record = self.record(complete=True, exact_leak=share.as_integer_ratio())
        return replace(found, record=record)

    def network(self, dictionary: SpikeDictionary, solution: Any) -> SpikingNetwork:
        """Rebuild the K-parallel network that computes D W + b of a solution.

        Raises
        ------
        ValueError
            If the dictionary belongs to another class, or the solution to another dictionary.
        """
        return SpikingNetwork.rebuild(*self._rebuilt(dictionary, solution))
