"""Sampled witnesses: random hidden weights that generate atoms, determined by (seed, index).

Sampled weights are the same on every machine and library version. Subnetwork k of
seed s reads the raw words of a Philox stream with key (s, k); NumPy guarantees these
words, but not its normal variates. A word becomes a number by

    p = (top 24 bits + 1/2) / 2**24,   w = round(2**14 * Phi^-1(p)) / 2**14.

None of the 2**24 values lies within 1e-13 of a rounding boundary (a test checks
all of them), so the last bits of an implementation of Phi^-1 can't change a weight.
Later steps use +, -, *, / and square roots in a fixed order, which IEEE arithmetic
rounds the same everywhere. Their results are rounded to the grid again.

A layer reads its words in this order, and skips what it does not have: weights,
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
from ..validation import check_flag, check_whole

WEIGHT_GRID = 2.0**-14

Law = Literal["gaussian", "fan-in", "orthogonal"]


class Witnesses(Protocol):
    """Interface of a bank of K subnetworks of the same shape, as dictionaries use it."""

    @property
    def inputs(self) -> int:
        """Number d of inputs of the first layer."""

    @property
    def hidden(self) -> Sequence[int]:
        """Width of each layer; the last is the final width m."""

    @property
    def subnetworks(self) -> int:
        """Number K of subnetworks."""

    def layers(self, index: int) -> list[Layer]:
        """Return the layers of subnetwork ``index``; raise IndexError unless 0 <= index < K."""


def normal_weights(words: NDArray[np.uint64]) -> NDArray[np.float64]:
    """Convert raw 64-bit words to N(0, 1) weights on the grid; |w| < 5.5."""
    weights: NDArray[np.float64] = np.rint(ndtri(_probabilities(words)) / WEIGHT_GRID) * WEIGHT_GRID
    return weights


def uniform_constants(words: NDArray[np.uint64], between: Range) -> NDArray[np.float64]:
    """Convert raw 64-bit words to numbers in a range, on the grid except at the range's ends."""
    low, high = between if isinstance(between, tuple) else (between, between)
    drawn = low + _probabilities(words) * (high - low)
    return np.clip(np.rint(drawn / WEIGHT_GRID) * WEIGHT_GRID, low, high)


def _probabilities(words: NDArray[np.uint64]) -> NDArray[np.float64]:
    probabilities: NDArray[np.float64] = (
        (words >> np.uint64(40)).astype(np.float64) + 0.5
    ) * 2.0**-24
    return probabilities


def check_widths(hidden: Sequence[int]) -> tuple[int, ...]:
    """Return layer widths as ints; raise ValueError unless all are whole and at least 1."""
    try:
        widths = tuple(hidden)
    except TypeError:
        widths = ()
    if not widths:
        raise ValueError(f"hidden: expected at least one width, whole and >= 1, got {hidden!r}")
    try:
        for width in widths:
            check_whole("hidden", width, 1)
    except ValueError as error:
        raise ValueError(f"{error}, in {hidden!r}") from error
    return tuple(map(int, widths))


@dataclass(frozen=True)
class SampledWitnesses:
    """Bank of K subnetworks with fully connected random layers.

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
        Constants of the neurons; a range of leaks or thresholds is sampled uniformly,
        per neuron.
    law : {"gaussian", "fan-in", "orthogonal"}
        Initialisation of the weights. "gaussian": N(0, 1), unscaled, as in Udupi, Yang
        and Zhai (2026). "fan-in": N(0, 1) divided by sqrt(fan-in). "orthogonal": N(0, 1)
        with columns made orthonormal (rows, in a layer wider than its fan-in).
    recurrent : bool
        Whether layers have recurrent weights, of the same law.
    bias : bool
        Whether currents have N(0, 1) biases; this equals a column of ones in the inputs
        of threshold networks.

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
        for name in ("recurrent", "bias"):
            object.__setattr__(self, name, check_flag(name, getattr(self, name)))

    def layers(self, index: int) -> list[Layer]:
        """Sample the layers of subnetwork ``index``; raise IndexError unless 0 <= index < K."""
        check_whole("index", index, -(2**64))  # other whole numbers are an IndexError below
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
    """Transform N(0, 1) weights (fan-in, width) to another law, on the grid."""
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
