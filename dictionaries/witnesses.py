"""Gaussian witnesses: the hidden weights that generate atoms, from (seed, index) alone.

Weights are N(0, 1), unscaled, as in Udupi, Yang and Zhai (2026), drawn so that
they are the same on every machine and library version. Subnetwork k of seed s
reads the raw words of one Philox stream with key (s, k); NumPy promises those,
not its normals. A word becomes a weight by

    p = (top 24 bits + 1/2) / 2**24,   w = round(2**14 * Phi^-1(p)) / 2**14.

None of the 2**24 values lies within 1e-13 of a rounding boundary (a test looks
at all of them), so the last bits of anyone's Phi^-1 can't change a weight.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

WEIGHT_GRID = 2.0**-14


def normal_weights(words: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Turn raw 64-bit words into N(0, 1) weights on the grid; |w| < 5.5."""
    probability = ((words >> np.uint64(40)).astype(np.float64) + 0.5) * 2.0**-24
    weights: NDArray[np.float64] = np.rint(ndtri(probability) / WEIGHT_GRID) * WEIGHT_GRID
    return weights


def check_widths(hidden: Sequence[int]) -> tuple[int, ...]:
    """Return layer widths as ints; ValueError unless there are some, all whole and at least 1."""
    widths = tuple(hidden)
    if not widths or any(width != int(width) or width < 1 for width in widths):
        raise ValueError(f"hidden: expected whole widths of at least 1, got {hidden!r}")
    return tuple(int(width) for width in widths)


@dataclass(frozen=True)
class GaussianWitnesses:
    """A bank of K subnetworks with fully connected Gaussian layers.

    Parameters
    ----------
    inputs : int
        Inputs d of the first layer.
    hidden : sequence of int
        Width of each hidden layer, at least one; the last is the final width m.
    subnetworks : int
        K, at least 1.
    seed : int
        Between 0 and 2**64 - 1.

    Raises
    ------
    ValueError
        If a number is out of its range.

    Examples
    --------
    >>> import bidual as bd
    >>> bank = bd.GaussianWitnesses(inputs=3, hidden=(4, 2), subnetworks=5, seed=0)
    >>> [layer.shape for layer in bank.weights(4)]
    [(3, 4), (4, 2)]
    """

    inputs: int
    hidden: Sequence[int]
    subnetworks: int
    seed: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "hidden", check_widths(self.hidden))
        for name in ("inputs", "subnetworks", "seed"):
            value = getattr(self, name)
            if value != int(value):
                raise ValueError(f"{name}: expected a whole number, got {value!r}")
            object.__setattr__(self, name, int(value))
        if self.inputs < 1:
            raise ValueError(f"inputs: expected at least 1, got {self.inputs}")
        if self.subnetworks < 1:
            raise ValueError(f"subnetworks: expected at least 1, got {self.subnetworks}")
        if not 0 <= self.seed < 2**64:
            raise ValueError(f"seed: expected 0 <= seed < 2**64, got {self.seed}")

    def weights(self, index: int) -> list[NDArray[np.float64]]:
        """Weights of subnetwork ``index``: one (fan-in, width) array a layer, row by row."""
        if not 0 <= index < self.subnetworks:
            raise IndexError(f"index: expected 0 to {self.subnetworks - 1}, got {index}")
        stream = np.random.Philox(key=np.array([index, self.seed], dtype=np.uint64))
        shapes = list(zip((self.inputs, *self.hidden[:-1]), self.hidden, strict=True))
        return [
            normal_weights(stream.random_raw(fan_in * width)).reshape(fan_in, width)
            for fan_in, width in shapes
        ]
