"""LIF: K parallel networks of leaky integrate-and-fire layers (Udupi, Yang and Zhai 2026).

Over the columns D of final spikes, training is the program of ``network_class.py`` (their
Theorems 3.4 and 3.6): a neuron hears itself alone, by its leak and reset, so that m copies of
one are a layer. With ``readout="every"`` the loss is read at each step, over whole
trajectories. Over a sampled dictionary the optimum is that of the sampled atoms.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ..dictionaries import (
    Budget,
    Layer,
    Neuron,
    Readout,
    SampledWitnesses,
    SpikeDictionary,
    complete_lif,
)
from ..dictionaries.complete.prefix_trie import plain_fraction
from ..dictionaries.neuron import Range, Reset
from ..networks import SpikingNetwork
from .network_class import Gauge, NetworkClass

_FLOAT32 = 2.0**-22  # relative room for constants of networks that were trained in float32


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
        if not np.min(self.threshold) > 0:
            raise ValueError(f"threshold: expected numbers above 0, got {self.threshold}")

    def sample(self, X: ArrayLike, subnetworks: int = 64, seed: int = 0) -> SpikeDictionary:
        """Sample Gaussian subnetworks and roll them out over X (n, T, d) into a dictionary.

        Raises
        ------
        ValueError
            If X is not finite or not three-dimensional, or if nothing fires.
        """
        sequences = self.sequences(X)
        witnesses = SampledWitnesses(
            sequences.shape[2], self.hidden, subnetworks, seed, self.neuron
        )
        return SpikeDictionary.sample(sequences, witnesses, self.readout)

    def complete(self, X: ArrayLike, budget: Budget | None = None) -> SpikeDictionary:
        """Return every atom of networks of one layer on X (n, T, d), as ``complete_lif`` does.

        The leak is taken as the fraction that it is meant as, one that float64 rounds to it: of
        a denominator up to 1,000 (0.9 is nine tenths, 1 / 3 a third) or else the decimal that it
        is written as. ``completeness`` takes the same fraction, ``leak="1/3"``. Atoms are those
        of all thresholds, which are the same as those of one (Lemma 3.5).

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
        return complete_lif(X, plain_fraction(leak), reset, self.readout, budget)

    def network(self, dictionary: SpikeDictionary, solution: Any) -> SpikingNetwork:
        """Rebuild the K-parallel network that computes D W + b of a solution.

        Raises
        ------
        ValueError
            If the dictionary is one of another class, or the solution over another dictionary.
        """
        return SpikingNetwork.rebuild(*self._rebuilt(dictionary, solution))

    def refuses(self, layer: Layer) -> str:
        """As :meth:`NetworkClass.refuses`; LIF layers may be recurrent, as trained ones are."""
        leaks, thresholds = np.resize(self.neuron.leak, 2), np.resize(self.neuron.threshold, 2)
        low, high = leaks * (1.0 + np.array([-_FLOAT32, _FLOAT32]))
        if not ((layer.leak >= low) & (layer.leak <= high)).all():
            return f"neurons of leak {_shown(self.neuron.leak)}"
        if not (layer.threshold > 0).all():
            return "neurons of thresholds above 0"
        taken = self.neuron.reset
        if taken == "hard" or layer.hard:
            return "" if layer.hard and taken == "hard" else f"neurons of reset {taken!r}"
        # as a share of the threshold, which alone is free of the membrane's scale
        shares: Any = {"delayed": 1.0, "immediate": layer.leak}
        least, most = (shares[taken],) * 2 if isinstance(taken, str) else taken / thresholds[::-1]
        share = layer.reset / layer.threshold
        if not ((share >= least * (1.0 - _FLOAT32)) & (share <= most * (1.0 + _FLOAT32))).all():
            return f"neurons of threshold {_shown(self.neuron.threshold)} and reset {taken!r}"
        return ""


def _shown(between: Range) -> str:
    return " to ".join(f"{end:g}" for end in np.atleast_1d(between))
