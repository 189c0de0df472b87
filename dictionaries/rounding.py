"""Count the spikes that rounding may change.

A rollout computes in float64. If all sums are exact, its spikes are those of rational arithmetic.
If sums round, a membrane u differs from the exact one by at most

    e[t] = leak * e[t-1] + (2 K + 12) * (2**-53 * a[t] + 2**-1074),
    a[t] = leak |u[t-1]| + |bias| + sum |x||W| + sum s[t-1] |R| + reset * s[t-1],

where K counts the inputs and recurrent inputs of the neuron, and e is 0 after a hard reset.
The neuron decides *within rounding* at a step if |u - threshold| <= e: exact arithmetic may then
decide otherwise. If no neuron does so for a sample, all spikes of this sample are those of
rational arithmetic.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from .neuron import Layer
from .rollout import roll, smallest_margins

_ENTRIES = 2**22  # membranes computed at once

Array = NDArray[np.float64]


def spikes_within_rounding(
    sequences: Array, layers: Sequence[Layer], lowest: Array | None = None
) -> NDArray[np.int64]:
    """Count the steps at which neurons of each layer (L,) decide within rounding.

    Parameters
    ----------
    sequences : (n, T, d) array
        As for :func:`roll`.
    layers : sequence of Layer
    lowest : (d,) array, optional
        ``lowest_bits(sequences)``, which many subnetworks share.

    Examples
    --------
    >>> from bidual.dictionaries import Layer, as_sequences, spikes_within_rounding
    >>> layer = Layer.build([[0.1], [0.2]], leak=0.0, threshold=[0.3], reset=0.0)
    >>> X = as_sequences([[[1.0, 1.0]], [[1.0, 0.0]]])  # 0.1 + 0.2 is a bit above 0.3 in float64
    >>> spikes_within_rounding(X, [layer])
    array([1])
    """
    n, steps, _ = sequences.shape
    low = lowest_bits(sequences) if lowest is None else lowest
    largest = np.abs(sequences).max(axis=(0, 1))
    exact, errors = [], []
    for layer in layers:
        size = np.abs(layer.bias) + largest @ np.abs(layer.weights) + np.abs(layer.reset)
        if layer.recurrent is not None:
            size = size + np.abs(layer.recurrent).sum(axis=0)
        with np.errstate(divide="ignore"):
            lasting = np.minimum(1.0 / (1.0 - layer.leak), steps)  # sum of leak**t
        size = 2.0 * lasting * size  # an upper bound on the sum of all parts of u
        errors.append(float((lasting * _unit_error(layer) * (size + 2.0**-1000)).max()))
        exact.append(size <= 2.0**53 * 2.0 ** _lattice(layer, low, steps))
        low, largest = np.zeros(layer.width), np.ones(layer.width)
    counts = np.zeros(len(layers), dtype=np.int64)
    if all(part.all() for part in exact):
        return counts
    margins = smallest_margins(sequences, layers)
    near = [m <= 2.0 * e and not x.all() for m, e, x in zip(margins, errors, exact, strict=True)]
    if not any(near):
        return counts
    widest = max(layer.width for layer in layers)
    block = max(1, _ENTRIES // (steps * widest))
    for start in range(0, n, block):
        signal: NDArray[np.generic] = sequences[start : start + block]
        for depth, fired in enumerate(roll(sequences[start : start + block], layers)):
            if near[depth]:
                free = ~exact[depth]
                counts[depth] += _count(signal.astype(np.float64), layers[depth], fired, free)
            signal = fired
    return counts


def lowest_bits(sequences: Array) -> Array:
    """Return p (d,); the inputs of each column are multiples of 2**p. It is inf for zeros."""
    low = np.full(sequences.shape[2], np.inf)
    for start in range(0, len(sequences), 256):
        low = np.minimum(low, _lowest(sequences[start : start + 256]).min(axis=(0, 1)))
    return low


def _lowest(array: Array) -> Array:
    """Return the exponent of the lowest bit of each number; infinity for 0."""
    fraction, exponent = np.frexp(array)
    whole = (fraction * 2.0**53).astype(np.int64)
    bit = np.frexp((whole & -whole).astype(np.float64))[1] - 1
    return np.where(whole == 0, np.inf, bit + exponent - 53.0)


def _lattice(layer: Layer, low: Array, steps: int) -> Array:
    """Return p (m,); in exact arithmetic all parts of u are multiples of 2**p."""
    found = (_lowest(layer.weights) + low[:, None]).min(axis=0)
    found = np.minimum(found, np.minimum(_lowest(layer.bias), _lowest(layer.reset)))
    if layer.recurrent is not None:
        found = np.minimum(found, _lowest(layer.recurrent).min(axis=0))
    bits = np.where(layer.leak == 0, 0.0, np.minimum(_lowest(layer.leak), 0.0))
    lowest: Array = np.where(np.isinf(found), 0.0, found) + bits * (steps - 1)
    # products below the smallest float64 are not exact
    return np.where(lowest < -1074, -np.inf, lowest)


def _unit_error(layer: Layer) -> float:
    inputs = layer.fan_in + (0 if layer.recurrent is None else layer.width)
    return (2 * inputs + 12) * 2.0**-53


def _count(signal: Array, layer: Layer, fired: NDArray[np.uint8], free: NDArray[np.bool_]) -> int:
    """Count the steps at which neurons of the mask ``free`` decide within rounding.

    ``fired`` (b, T, m) are all spikes of the layer.
    """
    shape = fired.shape[0], layer.width
    u, error, spike = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    size = np.abs(layer.weights)
    unit, smallest = _unit_error(layer), _unit_error(layer) * 2.0**53 * 2.0**-1074
    count = 0
    for t in range(fired.shape[1]):
        kept = np.where(spike > 0, 0.0, u) if layer.hard else u
        carried = np.where(spike > 0, 0.0, error) if layer.hard else error
        x = signal[:, t]
        parts = layer.leak * np.abs(kept) + np.abs(layer.bias) + np.abs(x) @ size
        parts += layer.reset * spike
        u = layer.leak * kept + (layer.bias + x @ layer.weights) - layer.reset * spike
        if layer.recurrent is not None:
            u = u + spike @ layer.recurrent
            parts += spike @ np.abs(layer.recurrent)
        error = layer.leak * carried + unit * parts + smallest
        count += int(((np.abs(u - layer.threshold) <= error) & free).sum())
        spike = fired[:, t].astype(np.float64)
    return count
