"""Complete dictionaries: all atoms that one neuron can fire, each with such a neuron.

The convex program over a complete dictionary trains a network of one hidden layer to
its global optimum, not only to the optimum over sampled atoms (Ergen et al. 2023,
Theorem 2.2; Udupi, Yang and Zhai 2026, Theorem 3.4).
"""

from collections.abc import Callable
from typing import Any, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..class_record import ClassRecord
from ..input_grid import InputGrid
from ..matrix.binary_matrix import BinaryMatrix
from ..neuron import Layer
from ..rollout import roll_columns
from ..spike_dictionary import NOTHING_FIRES, Readout, SpikeDictionary
from ..validation import number_array, real_array
from ..witnesses.neuron_witnesses import NeuronWitnesses
from .arrangement import threshold_patterns
from .budget import Budget, Estimate
from .prefix_trie import SoftReset, check_neuron
from .trajectories import lif_trajectories

_NEURONS_PER_BLOCK = 4096


def complete_thresholds(
    X: ArrayLike,
    budget: Budget | None = None,
    report: Callable[[Estimate], None] | None = None,
) -> SpikeDictionary:
    """Return every pattern 1[X h >= 0] of the rows of X (n, d) as a dictionary.

    The function first rounds X to a grid (``InputGrid.fit``). Append a column of ones for
    neurons with a bias. The dictionary excludes the all-zero pattern, which is not an atom.

    Raises
    ------
    ValueError
        If X has another shape or an entry that is not a finite number, or the integer
        weights of a pattern do not fit in float64.
    BudgetExceeded
        If :func:`threshold_patterns` would exceed the budget.

    Examples
    --------
    >>> from itertools import product
    >>> import bidual as bd
    >>> X = [(*bits, 1) for bits in product((0, 1), repeat=3)]
    >>> bd.complete_thresholds(X).atoms.shape  # all 104 threshold functions but the zero
    (8, 103)
    """
    array = number_array("X", X)
    if array.ndim != 2:
        raise ValueError(f"X: expected shape (n, d), got {array.shape}")
    rows = array[:, None]
    grid = InputGrid.fit(rows)
    sequences = grid.take(rows, fitted=True)
    return thresholds_of_sequences(sequences, grid, budget, report)


def thresholds_of_sequences(
    sequences: NDArray[np.float64],
    grid: InputGrid | None,
    budget: Budget | None = None,
    report: Callable[[Estimate], None] | None = None,
) -> SpikeDictionary:
    """Run :func:`complete_thresholds` on rows (n, 1, d) as neurons take them, from a grid."""
    powers = column_powers(sequences, grid)
    found = threshold_patterns(sequences[:, 0] / powers, budget, report)
    weights = real_array("witnesses", found.witnesses).T / powers[:, None]
    record = ClassRecord("Feedforward", (1,), complete=True)
    constants = {"leak": 0.0, "threshold": 0.0, "reset": 0.0}
    return _dictionary(sequences, grid, found.patterns, weights, record, **constants)


def complete_lif(
    X: ArrayLike,
    leak: Any,
    reset: SoftReset = "delayed",
    readout: Readout = "last",
    budget: Budget | None = None,
    report: Callable[[Estimate], None] | None = None,
) -> SpikeDictionary:
    """Return every pattern that one LIF neuron can fire on X (n, T, d) as a dictionary.

    With ``readout="every"`` the patterns are the trajectories, else their last steps.
    The function first rounds X to a grid (``InputGrid.fit``).

    Raises
    ------
    ValueError
        If an argument is out of its range, no neuron fires, or the integer weights of a
        pattern do not fit in float64.
    BudgetExceeded
        If :func:`lif_trajectories` would exceed the budget.

    Examples
    --------
    >>> import bidual as bd
    >>> bd.complete_lif([[[1], [1], [0]], [[0], [1], [1]]], leak="1/2").atoms.to_dense(int)
    array([[0, 1],
           [1, 1]])
    """
    if readout not in get_args(Readout):
        raise ValueError(f"readout: expected 'last' or 'every', got {readout!r}")
    grid = InputGrid.fit(X)
    sequences = grid.take(X, fitted=True)
    return lif_of_sequences(sequences, grid, leak, reset, readout, budget, report)


def lif_of_sequences(
    sequences: NDArray[np.float64],
    grid: InputGrid | None,
    leak: Any,
    reset: SoftReset,
    readout: Readout,
    budget: Budget | None = None,
    report: Callable[[Estimate], None] | None = None,
) -> SpikeDictionary:
    """Run :func:`complete_lif` on sequences as neurons take them, from a grid."""
    powers = column_powers(sequences, grid)
    found = lif_trajectories(sequences / powers, leak, reset, budget, report)
    patterns, witnesses = found.trajectories, found.witnesses
    if readout == "last":
        patterns, witnesses = found.final()
    parameters = real_array("witnesses", witnesses)
    share = check_neuron(leak, reset)[0]
    record = ClassRecord(
        "LIF",
        (1,),
        leak=float(share),
        threshold=1.0,
        reset=reset,
        readout=readout,
        complete=True,
        exact_leak=share.as_integer_ratio(),
    )
    constants = {"leak": float(share), "threshold": parameters[:, -1], "reset": reset}
    weights = parameters[:, :-1].T / powers[:, None]
    return _dictionary(sequences, grid, patterns, weights, record, **constants)


def column_powers(sequences: NDArray[np.float64], grid: InputGrid | None) -> NDArray[np.float64]:
    """Return the power of two (d,) by which an enumeration divides each column of sequences.

    All weights are enumerated, so dividing a column by a positive number and its weights by the
    inverse changes no pattern, and powers of two change no bit. Columns of like sizes have
    shorter integers. On the default grid, whose witnesses others have seen, the power is 1.
    """
    sizes = np.abs(sequences).max(axis=(0, 1))
    if grid is not None and grid.is_default:
        return np.ones_like(sizes)
    powers: NDArray[np.float64] = np.where(sizes > 0, 2.0 ** np.frexp(sizes)[1].astype(float), 1.0)
    return powers


def _dictionary(
    sequences: NDArray[np.float64],
    grid: InputGrid | None,
    patterns: BinaryMatrix,
    weights: NDArray[np.float64],
    record: ClassRecord,
    **constants: Any,
) -> SpikeDictionary:
    """Drop the all-zero pattern, and check that each neuron fires its atom in float64 too."""
    kept = np.flatnonzero(patterns.column_sums())
    if not kept.size:
        raise ValueError(NOTHING_FIRES)
    atoms = patterns.take(kept)
    layer = Layer.build(weights, **constants).take(kept)
    for start in range(0, layer.width, _NEURONS_PER_BLOCK):
        block = np.arange(start, min(start + _NEURONS_PER_BLOCK, layer.width))
        fired = roll_columns(sequences, [layer.take(block)], record.readout == "every")
        wrong = np.count_nonzero((fired != atoms.words[block]).any(axis=1))
        if wrong:
            raise ValueError(
                f"X: expected patterns whose integer weights fit in float64, got {wrong} of "
                f"{block.size} that fire otherwise in float64; round X to fewer bits"
            )
    origin = np.stack([np.arange(kept.size), np.zeros(kept.size, dtype=np.int64)], axis=1)
    n, steps, _ = sequences.shape
    witnesses = NeuronWitnesses(layer)
    return SpikeDictionary(
        atoms, witnesses, origin, record.readout, n, steps, record, sequences, grid=grid
    )
