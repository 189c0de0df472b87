"""Synaptic operations of a network: what its spikes and inputs make its synapses do."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..dictionaries import Layer, roll


@dataclass(frozen=True)
class SynapticOperations:
    """Synaptic operations, summed over samples, steps and subnetworks.

    As in NeuroBench (Yik et al. 2025) they are effective ones: a synapse whose
    weight is 0, or that nothing arrives at, does none. Not counted are biases,
    the intercept, and what neurons do by themselves: leak, reset and comparison.

    Attributes
    ----------
    multiply_accumulates : int
        Of the real inputs: each one that is not 0, times its non-zero weights in
        the first layer.
    accumulates : tuple of int
        For each layer, its spikes times their fan-out: the non-zero weights from the
        neuron into the next layer, back into its own by recurrence, or, in the last
        layer, into the readout. Spikes of the last step reach no recurrent weight,
        and where outputs are read at the last step no other reaches the readout.
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
    """Count over blocks (b, T, d) of samples."""
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
    """Non-zero weights that leave each row of ``weights`` (fan-in, m)."""
    leaving: NDArray[np.intp] = np.count_nonzero(weights, axis=1)
    return leaving
