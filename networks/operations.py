"""Synaptic operations of a network: counts of multiplications and additions in its synapses."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..dictionaries import Layer, roll


@dataclass(frozen=True)
class SynapticOperations:
    """Synaptic operations, summed over samples, steps and subnetworks.

    They are effective operations, as in NeuroBench (Yik et al. 2025): a synapse
    with weight 0 or without an incoming signal does none. The counts exclude biases,
    the intercept, and the operations inside neurons: leak, reset and comparison.

    Attributes
    ----------
    multiply_accumulates : int
        Operations of the real inputs: for each non-zero input, the number of its
        non-zero weights in the first layer.
    accumulates : tuple of int
        For each layer, the sum over its spikes of their fan-out. The fan-out counts the
        neuron's non-zero weights into the next layer (in the last layer, into the
        readout) and its non-zero recurrent weights. Spikes of the last step do not pass
        recurrent weights. If outputs are read at the last step, only spikes of that
        step reach the readout.
    """

    multiply_accumulates: int
    accumulates: tuple[int, ...]


def count_operations(
    blocks: Iterable[NDArray[np.float64]],
    subnetworks: Sequence[Sequence[Layer]],
    hidden: Sequence[int],
    readout_weights: NDArray[np.float64],
    every_step: bool,
) -> SynapticOperations:
    """Count the synaptic operations over blocks (b, T, d) of samples."""
    multiplied = 0
    added = np.zeros(len(hidden), dtype=np.int64)
    for block in blocks:
        arriving = np.count_nonzero(block, axis=(0, 1))
        for layers, readout in zip(subnetworks, readout_weights, strict=True):
            multiplied += int(arriving @ _fan_out(layers[0].weights))
            for depth, spikes in enumerate(roll(block, layers)):
                at_every = spikes.sum(axis=(0, 1), dtype=np.int64)
                at_last = spikes[:, -1].sum(axis=0, dtype=np.int64)
                if depth + 1 < len(layers):
                    added[depth] += at_every @ _fan_out(layers[depth + 1].weights)
                else:
                    added[depth] += (at_every if every_step else at_last) @ _fan_out(readout)
                recurrent = layers[depth].recurrent
                if recurrent is not None:
                    added[depth] += (at_every - at_last) @ _fan_out(recurrent)
    return SynapticOperations(multiplied, tuple(added.tolist()))


def _fan_out(weights: NDArray[np.float64]) -> NDArray[np.intp]:
    """Count the non-zero weights in each row of ``weights`` (fan-in, m)."""
    leaving: NDArray[np.intp] = np.count_nonzero(weights, axis=1)
    return leaving
