"""Rolling spiking layers out over sequences: what fires, when, in every layer.

    u[t] = leak * u[t-1] + current[t] - reset * s[t-1],   s[t] = [u[t] >= threshold]

with u[0] = s[0] = 0, the soft reset of the LIF neuron. ``reset`` equal
to the threshold is snnTorch's convention, whose reset acts one step later;
``leak * threshold`` is a soft reset within the step.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..kernels.rollout import lif_scan

INPUT_GRID = 2.0**-20


@dataclass(frozen=True)
class Neuron:
    """The constants of a leaky integrate-and-fire neuron.

    Parameters
    ----------
    leak : float
        Share of the membrane that stays from step to step, in [0, 1].
    threshold : float
        Membrane at which it fires (>=), above 0.
    reset : float, optional
        What a spike takes from the membrane at the next step; the threshold
        unless given.

    Raises
    ------
    ValueError
        If a constant is out of its range.
    """

    leak: float
    threshold: float
    reset: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.leak <= 1:
            raise ValueError(f"leak: expected a number in [0, 1], got {self.leak}")
        if not 0 < self.threshold < np.inf:
            raise ValueError(f"threshold: expected a finite number > 0, got {self.threshold}")
        if self.reset is None:
            object.__setattr__(self, "reset", self.threshold)
        elif not 0 <= self.reset < np.inf:
            raise ValueError(f"reset: expected a finite number >= 0, got {self.reset}")


def check_sequences(X: ArrayLike, inputs: int | None = None) -> NDArray[np.float64]:
    """Return ``X`` as float64 on the grid of 2**-20 on which currents are exact sums.

    Parameters
    ----------
    X : (n, T, d) array
        Sequences; scaled so that d * max|X| <= 2**16.
    inputs : int, optional
        The d that is expected.

    Raises
    ------
    ValueError
        If X has another shape, no entries, NaN or infinite ones, or too large ones.
    """
    try:
        sequences = np.asarray(X, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"X: expected numbers of shape (n, T, d): {error}") from error
    if sequences.ndim != 3:
        raise ValueError(f"X: expected sequences of shape (n, T, d), got {sequences.shape}")
    if sequences.size == 0:
        raise ValueError(f"X: expected at least one entry, got shape {sequences.shape}")
    if inputs is not None and sequences.shape[2] != inputs:
        raise ValueError(f"X: expected {inputs} inputs a step, got {sequences.shape[2]}")
    if not np.isfinite(sequences).all():
        raise ValueError("X: expected finite numbers, got NaN or infinity")
    with np.errstate(over="ignore"):  # infinity is refused below
        rounded = np.rint(sequences / INPUT_GRID) * INPUT_GRID
        largest = float(np.abs(rounded).max()) * sequences.shape[2]
    if largest > 2**16:
        raise ValueError(f"X: expected d * max|X| <= 65536, got {largest:.9g}; scale it down")
    return rounded


def roll(
    sequences: NDArray[np.float64], weights: Sequence[NDArray[np.float64]], neuron: Neuron
) -> list[NDArray[np.float64]]:
    """Roll one subnetwork out; spikes of every layer, each (n, T, width) of 0.0 and 1.0.

    ``sequences`` as :func:`check_sequences` returns them; ``weights`` one
    (fan-in, width) array a layer. Samples are independent: blocks of them give
    the same spikes.
    """
    spikes = []
    signal = sequences
    for layer in weights:
        signal = np.ascontiguousarray(signal @ layer)
        lif_scan(signal, neuron.leak, neuron.threshold, neuron.reset)
        spikes.append(signal)
    return spikes
