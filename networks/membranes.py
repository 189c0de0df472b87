"""Membranes of spiking layers, recomputed from their spikes exactly as in the rollout."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ..dictionaries import Layer

_SAMPLES_PER_BLOCK = 256  # bounds the memory of work arrays


def roll_membranes(
    sequences: NDArray[np.float64], layers: Sequence[Layer], spikes: Sequence[NDArray[np.uint8]]
) -> list[NDArray[np.float64]]:
    """Return the membranes before reset of every layer, each (n, T, width), given its spikes.

    Sums run in the order of ``kernels/rollout.py``: bias, inputs and recurrent spikes,
    each by rising index. So the membranes equal the rollout's bit by bit, whatever the
    weights.
    """
    membranes = []
    signal: NDArray[np.float64] | NDArray[np.uint8] = sequences
    for layer, fired in zip(layers, spikes, strict=True):
        u = np.empty(fired.shape)
        for start in range(0, len(u), _SAMPLES_PER_BLOCK):
            block = slice(start, start + _SAMPLES_PER_BLOCK)
            _roll_layer(signal[block].astype(np.float64), layer, fired[block], u[block])
        membranes.append(u)
        signal = fired
    return membranes


def _roll_layer(
    signal: NDArray[np.float64], layer: Layer, fired: NDArray[np.uint8], u: NDArray[np.float64]
) -> None:
    """Write the membranes to ``u`` (b, T, m): first the input currents, then step by step."""
    u[:] = layer.bias
    for k, weights in enumerate(layer.weights):
        u += signal[:, :, k, None] * weights
    kept = np.zeros((u.shape[0], u.shape[2]))
    spike = np.zeros_like(kept)
    for t in range(u.shape[1]):
        if layer.recurrent is not None and t > 0:
            for k, weights in enumerate(layer.recurrent):
                u[:, t] += spike[:, k, None] * weights
        u[:, t] = layer.leak * kept + u[:, t] - layer.reset * spike
        spike = fired[:, t].astype(np.float64)
        kept = np.where(spike > 0, 0.0, u[:, t]) if layer.hard else u[:, t]
