"""Dictionaries of enumerated patterns, each with a network that fires it."""

import numpy as np

from ...dictionaries import (
    BinaryMatrix,
    ClassRecord,
    InputGrid,
    Readout,
    SpikeDictionary,
    Witnesses,
    roll_columns,
)
from ...dictionaries.spike_dictionary import NOTHING_FIRES
from ...dictionaries.validation import Array


def dictionary_of(
    sequences: Array,
    patterns: BinaryMatrix,
    witnesses: Witnesses,
    readout: Readout,
    record: ClassRecord | None,
    grid: InputGrid | None = None,
) -> SpikeDictionary:
    """Make a dictionary of patterns; the first neuron of subnetwork k fires pattern k.

    The all-zero pattern is not an atom and is left out.

    Raises
    ------
    ValueError
        If no neuron fires, or a subnetwork fires another pattern in float64.
    """
    kept = np.flatnonzero(patterns.column_sums())
    if not kept.size:
        raise ValueError(NOTHING_FIRES)
    atoms = patterns.take(kept)
    for k, subnetwork in enumerate(kept):
        fired = roll_columns(sequences, witnesses.layers(int(subnetwork)), readout == "every")
        if not np.array_equal(fired[0], atoms.words[k]):
            raise ValueError(
                "X: expected patterns whose whole-number networks float64 can hold, got one whose "
                "network fires another pattern; round X to fewer bits"
            )
    origin = np.stack([kept, np.zeros_like(kept)], axis=1).astype(np.int64)
    n, steps, _ = sequences.shape
    return SpikeDictionary(
        atoms, witnesses, origin, readout, n, steps, record, sequences, grid=grid
    )
