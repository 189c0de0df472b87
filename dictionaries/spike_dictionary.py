"""SpikeDictionary: distinct atoms with the witness of each."""

from dataclasses import dataclass
from typing import Literal, Self, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .binary_matrix import BinaryMatrix
from .rollout import Neuron, check_sequences, roll
from .witnesses import GaussianWitnesses

Readout = Literal["last", "every"]

_SAMPLES_PER_BLOCK = 4096  # bounds the float currents of a rollout


@dataclass(frozen=True, eq=False)
class SpikeDictionary:
    """Atoms D, and for each the neuron that fires it.

    Attributes
    ----------
    atoms : BinaryMatrix
        D, shape (N, P): distinct columns, none all zero.
    witnesses : GaussianWitnesses
        The bank that the atoms come from.
    origin : (P, 2) int array
        Subnetwork and final-layer neuron that generate each atom.
    neuron : Neuron
        Leak, threshold and reset of the rollout.
    readout : {"last", "every"}
        Whether rows are samples at the last step or at every step.
    samples, steps : int
        n and T of the sequences.
    """

    atoms: BinaryMatrix
    witnesses: GaussianWitnesses
    origin: NDArray[np.intp]
    neuron: Neuron
    readout: Readout
    samples: int
    steps: int

    @classmethod
    def sample(
        cls, X: ArrayLike, witnesses: GaussianWitnesses, neuron: Neuron, readout: Readout
    ) -> Self:
        """Roll every subnetwork of a bank out over ``X`` (n, T, d) and keep distinct atoms.

        Raises
        ------
        ValueError
            If X is not what :func:`check_sequences` takes, the readout is neither
            of the two, or no neuron ever fires.
        """
        if readout not in get_args(Readout):
            raise ValueError(f"readout: expected 'last' or 'every', got {readout!r}")
        sequences = check_sequences(X, witnesses.inputs)
        n, steps, _ = sequences.shape
        width = witnesses.hidden[-1]
        matrices = [
            BinaryMatrix.from_dense(_final_spikes(sequences, witnesses.weights(k), neuron, readout))
            for k in range(witnesses.subnetworks)
        ]
        atoms, columns = BinaryMatrix.hstack(matrices).unique()
        if columns.size == 0:
            raise ValueError(
                "X: no final-layer neuron fires on any sequence, so the dictionary is empty; "
                "raise the inputs or the number of subnetworks, or lower the threshold"
            )
        origin = np.stack(np.divmod(columns, width), axis=1)
        return cls(atoms, witnesses, origin, neuron, readout, n, steps)

    def __repr__(self) -> str:
        rows, columns = self.atoms.shape
        return (
            f"SpikeDictionary({columns} atoms on {rows} rows, density {self.atoms.density:.3f}, "
            f"from {self.witnesses.subnetworks} subnetworks {self.witnesses.hidden})"
        )


def _final_spikes(
    sequences: NDArray[np.float64],
    weights: list[NDArray[np.float64]],
    neuron: Neuron,
    readout: Readout,
) -> NDArray[np.bool_]:
    """Final-layer spikes of one subnetwork as rows of D: (n, m), or (T * n, m) step by step."""
    n, steps, _ = sequences.shape
    wanted = slice(steps - 1, steps) if readout == "last" else slice(None)
    blocks = [
        roll(sequences[start : start + _SAMPLES_PER_BLOCK], weights, neuron)[-1][:, wanted] != 0
        for start in range(0, n, _SAMPLES_PER_BLOCK)
    ]
    spikes = np.concatenate(blocks).transpose(1, 0, 2)
    return spikes.reshape(-1, spikes.shape[2])
