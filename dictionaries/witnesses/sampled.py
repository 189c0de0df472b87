"""Sampled witnesses: the hidden parameters that generate atoms, from (seed, index) alone.

Weights are drawn so that they are the same on every machine and library version.
Subnetwork k of seed s reads the raw words of one Philox stream with key (s, k);
NumPy promises those, not its normals. A word becomes a number by

    p = (top 24 bits + 1/2) / 2**24,   w = round(2**14 * Phi^-1(p)) / 2**14.

None of the 2**24 values lies within 1e-13 of a rounding boundary (a test looks
at all of them), so the last bits of anyone's Phi^-1 can't change a weight. What
is made of them further uses +, -, *, / and square roots in a stated order, which
IEEE arithmetic rounds the same everywhere, and is rounded to the grid again.

A layer reads its words in this order, each only where it is asked for: weights,
recurrent weights, biases, leaks, thresholds; arrays row by row.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, get_args

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from ...kernels.orthogonal import orthonormalise
from ..neuron import Layer, Neuron, Range
from ..validation import check_whole

WEIGHT_GRID = 2.0**-14

Law = Literal["gaussian", "fan-in", "orthogonal"]


class Witnesses(Protocol):
    """A bank of K subnetworks of the same shape; all that a dictionary asks of one."""

    @property
    def inputs(self) -> int:
        """Inputs d of the first layer."""

    @property
    def hidden(self) -> Sequence[int]:
        """Width of each layer; the last is the final width m."""

    @property
    def subnetworks(self) -> int:
        """K."""

    def layers(self, index: int) -> list[Layer]:
        """Layers of subnetwork ``index``; IndexError unless it is 0 to K - 1."""


def normal_weights(words: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Turn raw 64-bit words into N(0, 1) weights on the grid; |w| < 5.5."""
    weights: NDArray[np.float64] = np.rint(ndtri(_probabilities(words)) / WEIGHT_GRID) * WEIGHT_GRID
    return weights


def uniform_constants(words: NDArray[np.uint64], between: Range) -> NDArray[np.float64]:
    """Turn raw 64-bit words into numbers of a range, on the grid but for its ends."""
    low, high = between if isinstance(between, tuple) else (between, between)
    drawn = low + _probabilities(words) * (high - low)
    return np.clip(np.rint(drawn / WEIGHT_GRID) * WEIGHT_GRID, low, high)


def _probabilities(words: NDArray[np.uint64]) -> NDArray[np.float64]:
    probabilities: NDArray[np.float64] = (
        (words >> np.uint64(40)).astype(np.float64) + 0.5
    ) * 2.0**-24
    return probabilities


def check_widths(hidden: Sequence[int]) -> tuple[int, ...]:
    """Return layer widths as ints; ValueError unless there are some, all whole and at least 1."""
    try:
        widths = tuple(hidden)
        for width in widths:
            check_whole("hidden", width, 1)
    except (TypeError, ValueError):
        widths = ()
    if not widths:
        raise ValueError(f"hidden: expected whole widths of at least 1, got {hidden!r}")
    return tuple(map(int, widths))


@dataclass(frozen=True)
class SampledWitnesses:
    """A bank of K subnetworks with fully connected random layers.

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
    neuron : Neuron
        Its constants; a range of leaks or thresholds is sampled uniformly, per neuron.
    law : {"gaussian", "fan-in", "orthogonal"}
        Weights N(0, 1), unscaled, as in Udupi, Yang and Zhai (2026); the same
        divided by sqrt(fan-in); or the same with columns made orthonormal
        (rows, in a layer wider than its fan-in).
    recurrent : bool
        Whether the spikes of a layer feed back into it, by weights of the same law.
    bias : bool
        Whether currents have N(0, 1) biases: the column of ones of threshold networks.

    Raises
    ------
    ValueError
        If a number is out of its range.

    Examples
    --------
    >>> import bidual as bd
    >>> neuron = bd.Neuron(leak=(0.8, 0.99), threshold=1.0)
    >>> bank = bd.SampledWitnesses(inputs=3, hidden=(4, 2), subnetworks=5, seed=0, neuron=neuron)
    >>> [layer.weights.shape for layer in bank.layers(4)]
    [(3, 4), (4, 2)]
    """

    inputs: int
    hidden: Sequence[int]
    subnetworks: int
    seed: int
    neuron: Neuron
    law: Law = "gaussian"
    recurrent: bool = False
    bias: bool = False

    def __post_init__(self) -> None:
        object.__setattr__(self, "hidden", check_widths(self.hidden))
        for name, low, high in (
            ("inputs", 1, None),
            ("subnetworks", 1, 2**64),
            ("seed", 0, 2**64 - 1),
        ):
            check_whole(name, getattr(self, name), low, high)
            object.__setattr__(self, name, int(getattr(self, name)))
        if not isinstance(self.neuron, Neuron):
            raise ValueError(f"neuron: expected a Neuron, got {self.neuron!r}")
        if self.law not in get_args(Law):
            raise ValueError(f"law: expected one of {get_args(Law)}, got {self.law!r}")

    def layers(self, index: int) -> list[Layer]:
        """Layers of subnetwork ``index``, from its own stream; IndexError past the last."""
        check_whole("index", index, -(2**64))  # an IndexError beyond the bank
        if not 0 <= index < self.subnetworks:
            raise IndexError(f"index: expected 0 to {self.subnetworks - 1}, got {index}")
        stream = np.random.Philox(key=np.array([index, self.seed], dtype=np.uint64))
        fan_ins = (self.inputs, *self.hidden[:-1])
        return [
            self._layer(stream, fan_in, width)
            for fan_in, width in zip(fan_ins, self.hidden, strict=True)
        ]

    def _layer(self, stream: np.random.Philox, fan_in: int, width: int) -> Layer:
        def weights(rows: int) -> NDArray[np.float64]:
            drawn = normal_weights(stream.random_raw(rows * width)).reshape(rows, width)
            return _scaled(drawn, self.law)

        def constants(between: Range) -> Range | NDArray[np.float64]:
            if not isinstance(between, tuple):
                return between
            return uniform_constants(stream.random_raw(width), between)

        return Layer.build(
            weights(fan_in),
            recurrent=weights(width) if self.recurrent else None,
            bias=normal_weights(stream.random_raw(width)) if self.bias else 0.0,
            leak=constants(self.neuron.leak),
            threshold=constants(self.neuron.threshold),
            reset=self.neuron.reset,
            strict=self.neuron.strict,
        )


def _scaled(drawn: NDArray[np.float64], law: Law) -> NDArray[np.float64]:
    """Bring N(0, 1) weights (fan-in, width) to a law, on the grid."""
    if law == "gaussian":
        return drawn
    fan_in, width = drawn.shape
    if law == "fan-in":
        scaled = drawn / np.sqrt(float(fan_in))
    else:
        vectors = np.array(drawn.T if width <= fan_in else drawn, order="C")
        orthonormalise(vectors)
        scaled = vectors.T if width <= fan_in else vectors
    rounded: NDArray[np.float64] = np.rint(scaled / WEIGHT_GRID) * WEIGHT_GRID
    return rounded
