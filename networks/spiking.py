"""SpikingNetwork: K parallel LIF subnetworks with a linear readout of their final spikes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..dictionaries import Layer, Readout, SpikeDictionary, check_sequences, roll

_SAMPLES_PER_BLOCK = 4096  # bounds the float spikes of a simulation


@dataclass(frozen=True, eq=False)
class SpikingNetwork:
    """f(X) = sum_k s_k(X) R_k + b, with s_k the final spikes of subnetwork k.

    Attributes
    ----------
    subnetworks : sequence of K lists of Layer
        Hidden layers of each subnetwork; the last is of width m.
    inputs : int
        Inputs d of a step.
    hidden : tuple of int
        Width of each hidden layer of a subnetwork.
    readout_weights : (K, m, C) array
        R_k for each subnetwork.
    intercept : (C,) array
    readout : {"last", "every"}
        Whether outputs are read at the last step or at every step.
    classes : array or None
        Labels: two for one output, else one an output; None for regression.
    """

    subnetworks: Sequence[Sequence[Layer]]
    inputs: int
    hidden: tuple[int, ...]
    readout_weights: NDArray[np.float64]
    intercept: NDArray[np.float64]
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
        (Udupi, Yang and Zhai 2026, section 3.4). Neurons of a recurrent layer need
        each other: such a final layer stays whole, with c on the one neuron.

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
        active = np.flatnonzero(weights.any(axis=1))
        copies = dictionary.witnesses.hidden[-1]
        subnetworks = []
        readout_weights = np.zeros((active.size, copies, outputs))
        for k, atom in enumerate(active):
            subnetwork, neuron = (int(index) for index in dictionary.origin[atom])
            *below, final = dictionary.witnesses.layers(subnetwork)
            if final.recurrent is None:
                subnetworks.append([*below, final.take(np.full(copies, neuron))])
                readout_weights[k] = weights[atom] / copies
            else:
                subnetworks.append([*below, final])
                readout_weights[k, neuron] = weights[atom]
        return cls(
            subnetworks=subnetworks,
            inputs=dictionary.witnesses.inputs,
            hidden=tuple(dictionary.witnesses.hidden),
            readout_weights=readout_weights,
            intercept=np.array(intercept),
            readout=dictionary.readout,
            classes=classes,
        )

    def __repr__(self) -> str:
        return (
            f"SpikingNetwork({len(self.subnetworks)} subnetworks {self.hidden}, "
            f"{self.intercept.size} outputs, read at the {self.readout} step)"
        )

    def simulate(self, X: ArrayLike) -> Iterator[list[NDArray[np.uint8]]]:
        """Spikes of every subnetwork in turn: for each layer an (n, T, width) array of 0 and 1.

        An iterator, since all subnetworks at once would take K times the memory.
        """
        sequences = check_sequences(X, self.inputs)
        return (roll(sequences, layers) for layers in self.subnetworks)

    def decision_function(self, X: ArrayLike) -> NDArray[np.float64]:
        """Outputs for sequences X (n, T, d): (n, C), or (n, T, C) when read at every step.

        Raises
        ------
        ValueError
            If X is not finite, three-dimensional and of the network's number of inputs.
        """
        sequences = check_sequences(X, self.inputs)
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
        if outputs.shape[-1] == 1:
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
            total += spikes[-1][:, first:].astype(np.float64) @ weights
        return total + self.intercept
