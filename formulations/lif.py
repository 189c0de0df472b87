"""LIF: K parallel networks of leaky integrate-and-fire layers (Udupi, Yang and Zhai 2026).

Under weight decay (beta / 2) (sum over nodes of squared incoming blocks and
amplitudes), one amplitude a subnetwork, training a network of final width m is

    min_W  sum_i a_i loss((D W + b)_i, y_i) + beta / m**(1/q) ||W||_1,   1/p + 1/q = 1,

over the columns D of final spikes (their Theorems 3.4 and 3.6). With
``readout="every"`` the loss is read at each step, over whole trajectories.
Over a sampled dictionary the optimum is that of the sampled atoms.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, get_args

import numpy as np
from numpy.typing import ArrayLike

from ..dictionaries import Neuron, Readout, SampledWitnesses, SpikeDictionary
from ..dictionaries.neuron import Range, Reset
from ..dictionaries.witnesses import check_widths
from ..networks import SpikingNetwork
from .losses import Loss, find_loss
from .penalties import Penalty, find_penalty
from .program import ConvexProgram
from .targets import encode


@dataclass(frozen=True)
class LIF:
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
    >>> round(program.strength, 6)
    0.017678
    """

    hidden: Sequence[int]
    leak: Range = 0.99
    threshold: Range = 1.0
    reset: Reset = "delayed"
    readout: Readout = "last"
    p: float = 2.0
    neuron: Neuron = field(init=False, repr=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "hidden", check_widths(self.hidden))
        object.__setattr__(self, "neuron", Neuron(self.leak, self.threshold, self.reset))
        if not np.min(self.threshold) > 0:
            raise ValueError(f"threshold: expected numbers above 0, got {self.threshold}")
        if self.readout not in get_args(Readout):
            raise ValueError(f"readout: expected 'last' or 'every', got {self.readout!r}")
        if not self.p >= 1:
            raise ValueError(f"p: expected a number in [1, inf], got {self.p}")

    def sample(self, X: ArrayLike, subnetworks: int = 64, seed: int = 0) -> SpikeDictionary:
        """Sample Gaussian subnetworks and roll them out over X (n, T, d) into a dictionary.

        Raises
        ------
        ValueError
            If X is not finite or not three-dimensional, or if nothing fires.
        """
        inputs = np.shape(X)[2] if np.ndim(X) == 3 else 1
        witnesses = SampledWitnesses(max(inputs, 1), self.hidden, subnetworks, seed, self.neuron)
        return SpikeDictionary.sample(X, witnesses, self.readout)

    def strength(self, beta: float) -> float:
        """The program's strength beta / m**(1/q) for weight decay ``beta``."""
        return float(beta / self.hidden[-1] ** (1.0 - 1.0 / self.p))

    def program(
        self,
        dictionary: SpikeDictionary,
        y: ArrayLike,
        loss: str | Loss = "squared",
        *,
        beta: float | None = None,
        strength: float | None = None,
        row_weights: ArrayLike | None = None,
        step_weights: ArrayLike | None = None,
        intercept: bool = False,
        penalty: str | Penalty = "l1",
    ) -> ConvexProgram:
        """State the program of training this class on targets ``y``.

        Parameters
        ----------
        dictionary : SpikeDictionary
            Rolled out for this readout.
        y : (n,) or (n, C) array; for every step (n,), (n, T) or (n, T, C)
            Integers or strings are class labels, coded -1 and +1, one output
            against the rest, or one-hot for softmax; floats are targets as they
            stand. With every step, one entry a sequence holds at all its steps.
        loss : str or Loss
            One of ``bidual.LOSSES``.
        beta, strength : float
            Exactly one of them: weight decay, or lambda itself.
        row_weights : (N,) array, optional
            Weights of the rows of D; a mean unless given.
        step_weights : (T,) array, optional
            alpha_t of every step's loss, used as alpha_t / (n sum alpha).
        intercept : bool
            Whether outputs have an intercept, which is not penalised.
        penalty : {"l1", "group"} or Penalty
            A subnetwork for each weight, or one that serves all outputs, which
            p = 2 gives.

        Raises
        ------
        ValueError
            If y or a weight does not fit, if beta or strength is negative or NaN,
            or if the group norm is asked for another p than 2.
        """
        if dictionary.readout != self.readout:
            raise ValueError(
                f"dictionary: expected one rolled out for readout {self.readout!r}, "
                f"got {dictionary.readout!r}"
            )
        if (beta is None) == (strength is None):
            raise ValueError("beta, strength: expected exactly one of the two")
        if beta is not None and not 0 <= beta < np.inf:
            raise ValueError(f"beta: expected a finite number >= 0, got {beta}")
        norm = find_penalty(penalty)
        if not norm.separable and self.p != 2:
            raise ValueError(f"penalty: expected 'l1' for p = {self.p:g}, 'group' is that of p = 2")
        found = find_loss(loss)
        targets, classes = encode(self._rows(dictionary, y), dictionary.atoms.shape[0], found)
        return ConvexProgram(
            dictionary.atoms,
            targets,
            found,
            self.strength(beta) if beta is not None else float(strength or 0.0),
            self._weights(dictionary, row_weights, step_weights),
            intercept,
            classes,
            norm,
        )

    def network(self, dictionary: SpikeDictionary, solution: Any) -> SpikingNetwork:
        """Rebuild the K-parallel network that computes D W + b of a solution.

        Raises
        ------
        ValueError
            If the solution is one over another dictionary.
        """
        if solution.program.design is not dictionary.atoms:
            raise ValueError("solution: expected one of a program over this very dictionary")
        return SpikingNetwork.rebuild(
            dictionary, solution.weights, solution.intercept, solution.program.classes
        )

    def _rows(self, dictionary: SpikeDictionary, y: ArrayLike) -> Any:
        """Put y in the order of D's rows."""
        labels = np.asarray(y)
        n, steps = dictionary.samples, dictionary.steps
        if labels.ndim == 0 or labels.shape[0] != n:
            raise ValueError(f"y: expected one entry for each of {n} sequences, got {labels.shape}")
        if self.readout == "last":
            return labels
        if labels.ndim == 1:
            return np.tile(labels, steps)
        if labels.ndim > 3 or labels.shape[1] != steps:
            raise ValueError(
                f"y: expected shape ({n},), ({n}, {steps}) or ({n}, {steps}, C) for a loss at "
                f"every step, got {labels.shape}"
            )
        return np.swapaxes(labels, 0, 1).reshape(n * steps, *labels.shape[2:])

    def _weights(
        self,
        dictionary: SpikeDictionary,
        row_weights: ArrayLike | None,
        step_weights: ArrayLike | None,
    ) -> ArrayLike | None:
        if step_weights is None:
            return row_weights
        if self.readout != "every" or row_weights is not None:
            raise ValueError(
                "step_weights: expected readout 'every' and no row_weights beside them"
            )
        alpha = np.asarray(step_weights, dtype=np.float64)
        inside = (alpha >= 0) & (alpha < np.inf)
        if alpha.shape != (dictionary.steps,) or not inside.all() or not alpha.any():
            raise ValueError(
                f"step_weights: expected {dictionary.steps} finite numbers >= 0, not all 0, "
                f"got {alpha}"
            )
        return np.repeat(alpha / (dictionary.samples * alpha.sum()), dictionary.samples)
