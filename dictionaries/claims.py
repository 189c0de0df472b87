"""Claims of a dictionary: what its parts say of each other, and which neuron fires each atom.

A file may come from another program. Its parts are checked when it is loaded; which neuron fires
an atom shows only in a rollout over the sequences X.
"""

from collections.abc import Iterator
from typing import Any, get_args

import numpy as np
from numpy.typing import NDArray

from .class_record import Readout
from .matrix.binary_matrix import BinaryMatrix
from .matrix.distinct_columns import DistinctColumns
from .rollout import roll_columns
from .validation import check_whole
from .witnesses.neuron_witnesses import NeuronWitnesses
from .witnesses.sampled import SampledWitnesses, Witnesses

_MOST = 2**40  # rows of a packed file
_NEURONS_PER_BLOCK = 4096
_MOST_WEIGHTS = 2**24  # of a sampled subnetwork: 128 MiB


def check_parts(
    atoms: BinaryMatrix,
    witnesses: Witnesses,
    origin: NDArray[np.int64],
    readout: Readout,
    samples: int,
    steps: int,
) -> None:
    """Raise ValueError, by the name of the part, unless the parts of a dictionary fit each other.

    This is all that the class promises without a rollout. It also bounds the layers that a
    record of sampled witnesses makes its reader draw.
    """
    if readout not in get_args(Readout):
        raise ValueError(f"readout: expected 'last' or 'every', got {readout!r:.80}")
    check_whole("samples", samples, 1, _MOST)
    check_whole("steps", steps, 1, _MOST)
    rows = samples * steps if readout == "every" else samples
    if atoms.shape[0] != rows:
        raise ValueError(f"atoms: expected {rows} rows by the samples, got {atoms.shape[0]}")
    _check_origin(origin, atoms.shape[1], witnesses)
    kept = DistinctColumns().keep(atoms.words)
    if kept.size != atoms.shape[1]:
        first = int(np.setdiff1d(np.arange(atoms.shape[1]), kept)[0])
        what = "repeats an earlier one" if atoms.words[first].any() else "is all zero"
        raise ValueError(
            f"atoms: expected distinct columns, none all zero, got column {first}, which {what}"
        )
    if isinstance(witnesses, SampledWitnesses):
        count, fan_in = 0, witnesses.inputs
        for width in witnesses.hidden:
            count += (fan_in + witnesses.recurrent * width) * width
            fan_in = width
        most = max(_MOST_WEIGHTS, atoms.nbytes)
        if count > most:
            raise ValueError(
                f"witnesses: expected at most {most} weights in a sampled subnetwork of this many "
                f"atoms, got {count} in layers of {tuple(witnesses.hidden)!r:.80} neurons"
            )


def _check_origin(origin: NDArray[np.int64], atoms: int, witnesses: Witnesses) -> None:
    """Raise ValueError unless each atom has a neuron of the bank of its own."""
    if origin.shape != (atoms, 2) or origin.dtype.kind not in "iu":
        raise ValueError(
            f"origin: expected whole numbers of shape ({atoms}, 2), got {origin.dtype} of shape "
            f"{origin.shape}"
        )
    for column, name, count in (
        (0, "subnetworks", witnesses.subnetworks),
        (1, "final neurons", witnesses.hidden[-1]),
    ):
        lowest, highest = (int(end(origin[:, column], initial=0)) for end in (np.min, np.max))
        if lowest < 0 or highest >= count:
            raise ValueError(
                f"origin: expected {name} 0 to {count - 1}, got {lowest if lowest < 0 else highest}"
            )
    if len(np.unique(origin, axis=0)) != atoms:
        raise ValueError("origin: expected one neuron per atom, got a neuron of two atoms")


def first_wrong_atom(
    sequences: NDArray[np.float64],
    atoms: BinaryMatrix,
    witnesses: Witnesses,
    origin: NDArray[np.int64],
    every_step: bool,
    columns: NDArray[np.intp] | None = None,
) -> int | None:
    """Return the first atom that its witness does not fire on ``sequences``, or None.

    ``columns`` are the atoms to check, by default all. The memory holds one subnetwork's spikes.
    """
    chosen = np.arange(atoms.shape[1]) if columns is None else columns
    wrong: list[int] = []
    for some, fired in _fired(sequences, witnesses, origin, every_step, chosen):
        differs = (fired != atoms.words[some]).any(axis=1)
        wrong += some[differs].tolist()
    return min(wrong, default=None)


def _fired(
    sequences: NDArray[np.float64],
    witnesses: Witnesses,
    origin: NDArray[np.int64],
    every_step: bool,
    columns: NDArray[np.intp],
) -> Iterator[tuple[Any, NDArray[np.uint64]]]:
    """Yield some of the atoms at a time, with the columns that their witnesses fire."""
    if isinstance(witnesses, NeuronWitnesses):
        for start in range(0, len(columns), _NEURONS_PER_BLOCK):
            some = columns[start : start + _NEURONS_PER_BLOCK]
            layer = witnesses.layer.take(origin[some, 0])
            yield some, roll_columns(sequences, [layer], every_step)
        return
    for k in np.unique(origin[columns, 0]):
        some = columns[origin[columns, 0] == k]
        fired = roll_columns(sequences, witnesses.layers(int(k)), every_step)
        yield some, fired[origin[some, 1]]
