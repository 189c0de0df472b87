"""SpikeDictionary: distinct atoms with the witness of each."""

from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Literal, Self, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .binary_matrix import BinaryMatrix
from .rollout import check_sequences, roll_columns
from .witnesses import Witnesses

Readout = Literal["last", "every"]


@dataclass(frozen=True, eq=False)
class SpikeDictionary:
    """Atoms D, and for each the neuron that fires it.

    Attributes
    ----------
    atoms : BinaryMatrix
        D, shape (N, P): distinct columns, none all zero.
    witnesses : Witnesses
        The bank that the atoms come from.
    origin : (P, 2) int array
        Subnetwork and final-layer neuron that generate each atom.
    readout : {"last", "every"}
        Whether rows are samples at the last step or at every step.
    samples, steps : int
        n and T of the sequences.
    """

    atoms: BinaryMatrix
    witnesses: Witnesses
    origin: NDArray[np.int64]
    readout: Readout
    samples: int
    steps: int

    @classmethod
    def sample(cls, X: ArrayLike, witnesses: Witnesses, readout: Readout = "last") -> Self:
        """Roll every subnetwork of a bank out over ``X`` (n, T, d) and keep distinct atoms.

        An atom that several neurons fire is kept once, for the first of them.
        Takes the packed atoms and one subnetwork's spikes of memory.

        Raises
        ------
        ValueError
            If X is not what :func:`check_sequences` takes, the readout is neither
            of the two, or no neuron ever fires.
        """
        sequences = check_readout(X, witnesses, readout)
        n, steps, _ = sequences.shape
        found = list(distinct_atoms(sequences, witnesses, readout, DistinctColumns()))
        rows = n * steps if readout == "every" else n
        atoms = BinaryMatrix(np.concatenate([words for words, _ in found]), rows)
        if atoms.shape[1] == 0:
            raise ValueError(NOTHING_FIRES)
        origin = np.concatenate([origins for _, origins in found])
        return cls(atoms, witnesses, origin, readout, n, steps)

    def __repr__(self) -> str:
        rows, columns = self.atoms.shape
        return (
            f"SpikeDictionary({columns} atoms on {rows} rows, density {self.atoms.density:.3f}, "
            f"from {self.witnesses.subnetworks} subnetworks {self.witnesses.hidden})"
        )


NOTHING_FIRES = (
    "X: no final-layer neuron fires on any sequence, so the dictionary is empty; "
    "raise the inputs or the number of subnetworks, or lower the threshold; "
    "bidual.health(X, witnesses) tells in which layer they fall silent"
)


class DistinctColumns:
    """Tells new non-zero columns from repeats, by 128-bit digests of those already seen."""

    def __init__(self) -> None:
        self._seen: set[bytes] = set()

    def keep(self, words: NDArray[np.uint64]) -> NDArray[np.intp]:
        """Indices of the packed columns (P, n_words) not seen before, in order."""
        kept = []
        for j in np.flatnonzero(words.any(axis=1)):
            digest = blake2b(words[j].tobytes(), digest_size=16).digest()
            if digest not in self._seen:
                self._seen.add(digest)
                kept.append(j)
        return np.array(kept, dtype=np.intp)


def check_readout(X: ArrayLike, witnesses: Witnesses, readout: Readout) -> NDArray[np.float64]:
    """Return X as :func:`check_sequences` does; ValueError for a readout that is none."""
    if readout not in get_args(Readout):
        raise ValueError(f"readout: expected 'last' or 'every', got {readout!r}")
    return check_sequences(X, witnesses.inputs)


def distinct_atoms(
    sequences: NDArray[np.float64],
    witnesses: Witnesses,
    readout: Readout,
    distinct: DistinctColumns,
    start: int = 0,
) -> Iterator[tuple[NDArray[np.uint64], NDArray[np.int64]]]:
    """New atoms of each subnetwork from ``start`` on: packed columns, and their origins."""
    for k in range(start, witnesses.subnetworks):
        words = roll_columns(sequences, witnesses.layers(k), readout == "every")
        kept = distinct.keep(words)
        origins = np.stack([np.full(kept.size, k), kept], axis=1).astype(np.int64)
        yield words[kept], origins
