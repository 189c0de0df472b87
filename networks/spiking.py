"""SpikingNetwork: K parallel LIF subnetworks with a linear readout of their final spikes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..dictionaries import Neuron, Readout, SpikeDictionary, check_sequences, roll

_SAMPLES_PER_BLOCK = 4096  # bounds the float spikes of a simulation


@dataclass(frozen=True, eq=False)
class SpikingNetwork:
    """f(X) = sum_k s_k(X) R_k + b, with s_k the final spikes of subnetwork k.

    Attributes
    ----------
    layers : sequence of (K, fan-in, width) arrays
        Hidden weights of all K subnetworks, layer by layer; the last width is m.
    readout_weights : (K, m, C) array
        R_k for each subnetwork.
    intercept : (C,) array
    neuron : Neuron
    readout : {"last", "every"}
        Whether outputs are read at the last step or at every step.
    classes : array or None
        Labels: two for one output, else one an output; None for regression.
    """

    layers: Sequence[NDArray[np.float64]]
    readout_weights: NDArray[np.float64]
    intercept: NDArray[np.float64]
    neuron: Neuron
    readout: Readout
    classes: NDArray[np.generic] | None

    @classmethod
    def rebuild(
        cls,
        dictionary: SpikeDictionary,
        weights: NDArray[np.float64],
        intercept: NDArray[np.float64],
        classes: NDArray[np.generic] | None = None,
    ) -> "SpikingNetwork":
        """Build the network that computes D W + b.

        Each active atom becomes one subnetwork: its witness, whose final layer
        is m copies of the neuron that fires the atom, with c / m on each copy.
        The readout then has the norm |c| / m**(1/q) that the program charges
        (Udupi, Yang and Zhai 2026, section 3.4).

        Parameters
        ----------
        dictionary : SpikeDictionary
            P atoms with their witnesses.
        weights : (P, C) array
        intercept : (C,) array
        classes : array, optional

        Raises
        ------
        ValueError
            If ``weights`` has another number of rows than the dictionary has
            atoms, or intercept or classes do not fit its outputs.
        """
        atoms = dictionary.atoms.shape[1]
        if weights.ndim != 2 or weights.shape[0] != atoms:
            raise ValueError(f"weights: expected shape ({atoms}, C), got {weights.shape}")
        outputs = weights.shape[1]
        if np.shape(intercept) != (outputs,):
            raise ValueError(f"intercept: expected shape ({outputs},), got {np.shape(intercept)}")
        labels = max(outputs, 2)
        if classes is not None and np.shape(classes) != (labels,):
            raise ValueError(f"classes: expected shape ({labels},), got {np.shape(classes)}")
        witnesses = dictionary.witnesses
        active = np.flatnonzero(weights.any(axis=1))
        copies = witnesses.hidden[-1]
        banks: list[list[NDArray[np.float64]]] = []
        for subnetwork, neuron_index in dictionary.origin[active]:
            *below, final = witnesses.weights(int(subnetwork))
            column = final[:, [int(neuron_index)]]
            banks.append([*below, np.repeat(column, copies, axis=1)])
        fan_in = (witnesses.inputs, *witnesses.hidden[:-1])
        layers = [
            np.array([bank[depth] for bank in banks]).reshape(active.size, inputs, width)
            for depth, (inputs, width) in enumerate(zip(fan_in, witnesses.hidden, strict=True))
        ]
        return cls(
            layers=layers,
            readout_weights=np.repeat(weights[active, None, :] / copies, copies, axis=1),
            intercept=np.array(intercept),
            neuron=dictionary.neuron,
            readout=dictionary.readout,
            classes=classes,
        )

    def __repr__(self) -> str:
        widths = tuple(layer.shape[2] for layer in self.layers)
        return (
            f"SpikingNetwork({self.readout_weights.shape[0]} subnetworks {widths}, "
            f"{self.intercept.size} outputs, read at the {self.readout} step)"
        )

    def simulate(self, X: ArrayLike) -> Iterator[list[NDArray[np.float64]]]:
        """Spikes of every subnetwork in turn: for each layer an (n, T, width) array of 0.0 and 1.0.

        An iterator, since all subnetworks at once would take K times the memory.
        """
        sequences = check_sequences(X, self.layers[0].shape[1])
        return (
            roll(sequences, [layer[k] for layer in self.layers], self.neuron)
            for k in range(self.readout_weights.shape[0])
        )

    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:
        """Outputs for sequences X (n, T, d): (n, C), or (n, T, C) when read at every step.

        Raises
        ------
        ValueError
            If X is not finite, three-dimensional and of the network's number of inputs.
        """
        sequences = check_sequences(X, self.layers[0].shape[1])
        blocks = [
            self._outputs(sequences[start : start + _SAMPLES_PER_BLOCK])
            for start in range(0, sequences.shape[0], _SAMPLES_PER_BLOCK)
        ]
        outputs = np.concatenate(blocks)
        return outputs[:, -1] if self.readout == "last" else outputs

    def predict(self, X: ArrayLike) -> NDArray[np.generic]:
        """Labels of sequences X, one each, or one a step.

        In regression the outputs themselves, without the last axis where there is one.
        """
        outputs = self.decision_function(X)
        if self.classes is None:
            return outputs[..., 0] if self.intercept.size == 1 else outputs
        if self.classes.size == 2:
            chosen = (outputs[..., 0] >= 0).astype(np.intp)
        else:
            chosen = outputs.argmax(axis=-1)
        labels: NDArray[np.generic] = self.classes[chosen]
        return labels

    def _outputs(self, sequences: NDArray[np.float64]) -> NDArray[np.float64]:
        first = -1 if self.readout == "last" else 0
        steps = sequences.shape[1] if self.readout == "every" else 1
        total = np.zeros((sequences.shape[0], steps, self.intercept.size))
        for spikes, weights in zip(self.simulate(sequences), self.readout_weights, strict=True):
            total += spikes[-1][:, first:] @ weights
        return total + self.intercept
