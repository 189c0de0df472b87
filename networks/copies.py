"""Copies of final neurons: a rebuilt network fires each atom by m copies of one neuron."""

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..dictionaries import Layer, SpikeDictionary


def subnetworks_of_atoms(
    dictionary: SpikeDictionary, weights: NDArray[np.float64]
) -> tuple[list[list[Layer]], NDArray[np.float64]]:
    """Return a subnetwork for each atom whose weights are not all 0, and the readout weights.

    The final layer is m copies of the neuron that fires the atom, with its weights / m on each.
    A neuron with recurrent input from itself alone is copied too: each copy receives its own
    spikes. A neuron that hears others needs them. Its layer stays whole.
    """
    active = np.flatnonzero(weights.any(axis=1))
    dictionary = dictionary.for_network(active)
    copies = dictionary.witnesses.hidden[-1]
    subnetworks = []
    readout_weights = np.zeros((active.size, copies, weights.shape[1]))
    for k, atom in enumerate(active):
        subnetwork, neuron = (int(index) for index in dictionary.origin[atom])
        *below, final = dictionary.witnesses.layers(subnetwork)
        if hears_others(final):
            subnetworks.append([*below, final])
            readout_weights[k, neuron] = weights[atom]
        else:
            subnetworks.append([*below, _copied(final, neuron, copies)])
            readout_weights[k] = weights[atom] / copies
    return subnetworks, readout_weights


def hears_others(layer: Layer) -> bool:
    """Tell whether a neuron has recurrent input from another, so that it cannot be copied."""
    if layer.recurrent is None:
        return False
    return bool((layer.recurrent != np.diag(layer.recurrent.diagonal())).any())


def _copied(layer: Layer, neuron: int, copies: int) -> Layer:
    """Return a layer of copies of a neuron that does not hear others."""
    layer_of_copies = replace(layer, recurrent=None).take(np.full(copies, neuron))
    if layer.recurrent is None:
        return layer_of_copies
    on_itself = np.diag(np.full(copies, layer.recurrent[neuron, neuron]))
    return replace(layer_of_copies, recurrent=on_itself)
