"""LIF: K parallel networks of leaky integrate-and-fire layers (Udupi, Yang and Zhai 2026).

Over the columns D of final spikes, training is the program of ``network_class.py`` (their
Theorems 3.4 and 3.6): a neuron hears itself alone, by its leak and reset, so that m copies of
one are a layer. With ``readout="every"`` the loss is read at each step, over whole
trajectories. Over a sampled dictionary the optimum is that of the sampled atoms.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

from numpy.typing import ArrayLike

from ..dictionaries import (
    Budget,
    Neuron,
    Readout,
    SampledWitnesses,
    SpikeDictionary,
    complete_lif,
)
from ..dictionaries.class_record import Gauge, Kind
from ..dictionaries.complete.prefix_trie import plain_fraction
from ..dictionaries.neuron import Range, Reset
from ..networks import SpikingNetwork
from .network_class import NetworkClass


@dataclass(frozen=True)
class LIF(NetworkClass):
    """A class of spiking networks, and the convex program of training one.

    Parameters
    ----------
    hidden : sequence of int
        Width of each hidden layer of one subnetwork; the last is m.
    leak : float or (low, high)
        Share of the membrane that stays from step to step, in [0, 1]; a pair is
        a range from which each neuron's is sampled.
    threshold : float or (low, high)
        Membrane at which a neuron fires (>=), above 0; a number or a range.
    reset : {"delayed", "immediate", "hard"} or float
        What a spike takes from the membrane at the next step: the threshold, as
        in snnTorch; leak * threshold, a soft reset within the step; all of it; or
        a number of at least 0.
    readout : {"last", "every"}
        Whether the loss is read at the last step or at every step.
    p : float
        Norm of the weight decay, in [1, inf]; 2 is the ordinary one.
    gauge : {"subnetwork", "neuron"}
        Which has a last amplitude of its own: strength is beta / m**(1/q), or beta.

    Raises
    ------
    ValueError
        If a part is out of its range.

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
        """Draw Gaussian subnetworks, whose constants lie within the ranges of the class."""
        return SampledWitnesses(inputs, self.hidden, subnetworks, seed, self.neuron)

    def complete(self, X: ArrayLike, budget: Budget | None = None) -> SpikeDictionary:
        """Return every atom of networks of one layer on X (n, T, d), as ``complete_lif`` does.

        The leak is taken as the fraction that it is meant as, one that float64 rounds to it: of
        a denominator up to 1,000 (0.9 is nine tenths, 1 / 3 a third) or else the decimal that it
        is written as; the dictionary's record keeps it. Atoms are those of all thresholds, which
        are the same as those of one (Lemma 3.5).

        Raises
        ------
        ValueError
            If there are more layers, a range of leaks or another reset than the two soft
            ones; or as :func:`complete_lif`.
        BudgetExceeded
            As :func:`lif_trajectories`.
        """
        if len(self.hidden) > 1:
            raise ValueError(f"hidden: expected one layer to list its atoms, got {self.hidden}")
        leak, reset = self.neuron.leak, self.neuron.reset
        if isinstance(leak, tuple):
            raise ValueError(f"leak: expected a number to list atoms of, got {leak}")
        if reset not in ("delayed", "immediate"):
            raise ValueError(
                f"reset: expected 'delayed' or 'immediate' to list atoms of, got {reset!r}"
            )
        share = plain_fraction(leak)
        found = complete_lif(X, share, reset, self.readout, budget)
        record = self.record(complete=True, exact_leak=share.as_integer_ratio())
        return replace(found, record=record)

    def network(self, dictionary: SpikeDictionary, solution: Any) -> SpikingNetwork:
        """Rebuild the K-parallel network that computes D W + b of a solution.

        Raises
        ------
        ValueError
            If the dictionary is one of another class, or the solution over another dictionary.
        """
        return SpikingNetwork.rebuild(*self._rebuilt(dictionary, solution))
