"""Complete dictionary of one LIF layer: every trajectory that one neuron can produce.

A neuron with weights p in R^d and threshold theta > 0 reads a sequence x[0], ..., x[T-1]:

    u[t] = leak * u[t-1] + x[t] . p - r * theta * s[t-1],   s[t] = [u[t] >= theta],

from u = 0 and s = 0, where r is 1 (delayed reset) or leak (immediate). On n sequences, its
trajectory is the 0/1 vector of all n * T spikes.
Given the neuron's own spikes before t, s[t] = 1 is a linear inequality in (p, theta). So the
(p, theta) of one trajectory form a convex cone. The listing finds the cones by splitting the
half-space theta > 0 once for each distinct input prefix, in exact rational arithmetic
(``prefix_trie.py`` computes the rows, ``kernels/trajectories.py`` splits).

Only open cones are listed; ties add no trajectories. Every inequality reads
c . p >= w * theta with w = 1 + r * sum_s leak**(t-s) s[s-1] > 0. Take (p, theta) on some
boundaries, where it counts as firing. At ((1 + e) p, theta) with a small e > 0 each tie
c . p = w * theta > 0 becomes c . p > w * theta, and every strict inequality still holds. So
the trajectory is the same, including the neuron's own history, and the point is inside an
open cone.

The listing does not cover membranes as a readout, biases, and more than one layer.
"""

from collections.abc import Callable
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...kernels.trajectories import list_cells as list_compiled_cells
from ...kernels.trajectories import replay, spread
from ..files.packed_head import words_for
from ..matrix.binary_matrix import BinaryMatrix
from .budget import Budget, Estimate, check_budget
from .prefix_trie import Integers, PrefixTrie, Refinement, SoftReset, check_neuron
from .trajectory_cells import inner_point, list_cells
from .trajectory_counting import LIMIT, count_cells, most_cells

_COUNT_SHARE = 0.1  # share of the budget's seconds for the count
_SECONDS_PER_STEP = 3.5e-8  # to split a cell at one node
_SECONDS_PER_SPIKE = 3e-9  # to pack and replay one spike
_PYTHON_SECONDS_PER_STEP = 1e-5  # to split one of the 2**d cones of a cell in Python


@dataclass(frozen=True)
class CompleteTrajectories:
    """All trajectories of one LIF neuron on n sequences of T steps.

    Attributes
    ----------
    trajectories : BinaryMatrix
        (n * T, N), each trajectory once, including the all-zero one. Row t * n + i is sample i
        at step t.
    witnesses : (N, d + 1) int array
        Weights and threshold (p, theta) of a neuron for each trajectory, with theta > 0 and no
        membrane equal to theta; int64, or Python ints if a number does not fit.
    samples : int
        Number n of sequences.
    """

    trajectories: BinaryMatrix
    witnesses: Integers
    samples: int

    def final(self) -> tuple[BinaryMatrix, Integers]:
        """Return the distinct patterns at the last step, including the all-zero pattern.

        Returns
        -------
        patterns : BinaryMatrix
            (n, N'), in order of first appearance.
        witnesses : (N', d + 1) int array
            One (p, theta) for each.
        """
        n_rows, count = self.trajectories.shape
        packed = []
        for start in range(0, count, 4096):  # dense blocks of some megabytes
            block = self.trajectories.take(np.arange(start, min(start + 4096, count)))
            packed.append(np.packbits(block.to_dense(np.uint8)[n_rows - self.samples :].T, axis=1))
        rows = np.concatenate(packed)
        _, first = np.unique(rows, axis=0, return_index=True)
        first.sort()
        patterns = np.unpackbits(rows[first], axis=1, count=self.samples).T
        return BinaryMatrix.from_dense(patterns), self.witnesses[first]


def lif_trajectories(
    X: ArrayLike,
    leak: Any,
    reset: SoftReset = "delayed",
    budget: Budget | None = None,
    report: Callable[[Estimate], object] | None = None,
) -> CompleteTrajectories:
    """List every trajectory of one LIF neuron on X exactly, each with a witness.

    The function first counts the trajectories (``trajectory_counting.py``) to estimate the
    listing. At the end it checks the list against the count and replays every witness in
    integers. The number of trajectories grows as (n * 2**T)**d: all binary strings of length 7,
    one-hot, have 248,905 with leak 9/10. Compiled code handles one and two inputs; Python code
    handles more inputs, a thousand times slower.

    Parameters
    ----------
    X : (n, T, d) array
        Sequences of ints or floats, which are read exactly.
    leak : Fraction, int, str, pair of ints or float
        In [0, 1]; "9/10", "0.9" and (9, 10) are nine tenths. A float is read exactly, as a
        dyadic fraction: 0.9 has the denominator 2**53, so integers grow by 53 bits per step and
        exceed the 57 bits of the compiled code for T >= 3.
    reset : {"delayed", "immediate"}
        Amount that a spike subtracts from the next membrane: theta, as in snnTorch, or
        leak * theta, which equals theta within the step.
    budget : Budget, optional
        Limits on trajectories, seconds and bytes; ``Budget()`` by default.
    report : callable, optional
        Function to call with the Estimate before the budget is checked.

    Returns
    -------
    CompleteTrajectories
        In lexicographic order of the spikes at the nodes of the prefix trie.

    Raises
    ------
    ValueError
        If X is not finite numbers of shape (n, T, d), ``leak`` is not a rational number in
        [0, 1], ``reset`` is another word, or ``budget`` is not a Budget.
    BudgetExceeded
        If the estimate exceeds the budget. The count stops at the budget's patterns or at a tenth
        of its seconds; the estimate is then a bound, from hyperplanes in general position.
    RuntimeError
        If the list fails its check, which is a bug of bidual.

    Examples
    --------
    >>> from bidual.dictionaries.complete.trajectories import lif_trajectories
    >>> found = lif_trajectories([[[1], [1], [0]], [[0], [1], [1]]], leak="1/2")
    >>> found.trajectories.shape
    (6, 5)
    >>> found.trajectories.to_dense(int)[:, 1]
    array([0, 0, 1, 0, 0, 1])
    >>> found.witnesses[1]  # p = 3, theta = 4: fires at the second 1 in a row, 3 / 2 + 3 >= 4
    array([3, 4])
    >>> patterns, witnesses = found.final()
    >>> patterns.shape, witnesses.shape
    ((2, 3), (3, 2))
    """
    budget = check_budget(budget)
    trie = PrefixTrie.of(X)
    neuron = check_neuron(leak, reset)
    refinement = trie.refinement(*neuron)
    estimate = _estimate(trie, refinement, budget)
    if report is not None:
        report(estimate)
    budget.check(estimate)
    keys, points = _listed(refinement, estimate.patterns)
    if estimate.exact and len(keys) != estimate.patterns:
        raise RuntimeError(
            f"expected {estimate.patterns} trajectories by the count, listed {len(keys)}: "
            "a bug of bidual, please report it"
        )
    _check_order(keys)
    words = np.zeros((len(keys), words_for(len(trie.rows))), dtype=np.uint64)
    spread(keys, trie.rows, words)
    witnesses = points[:, [*range(trie.inputs.shape[1]), -1]]
    _check_replay(trie, *neuron, witnesses, words)
    words.flags.writeable = False  # so that the matrix does not copy it
    if (trie.top, trie.bottom) != (1, 1):  # convert x . p >= theta to the units of X
        scales = [trie.bottom] * trie.inputs.shape[1] + [trie.top]
        witnesses = _smallest(witnesses.astype(object) * np.array(scales, dtype=object))
    return CompleteTrajectories(
        BinaryMatrix(words, len(trie.rows)), witnesses, trie.sequences.shape[0]
    )


def _estimate(trie: PrefixTrie, refinement: Refinement, budget: Budget) -> Estimate:
    """Count the trajectories, or bound them if the count is too long, and estimate the listing."""
    per_step = _SECONDS_PER_STEP
    if refinement.compiled() is None:
        per_step = _PYTHON_SECONDS_PER_STEP * 2**refinement.inputs
    counted = count_cells(
        refinement, budget.patterns, budget.seconds / per_step, _COUNT_SHARE * budget.seconds
    )
    n_nodes, n_rows = len(trie.parent), len(trie.rows)
    patterns = counted[0] if counted else most_cells(refinement)
    steps = counted[1] if counted else patterns * n_nodes
    # spikes at the nodes and the differences of neighbours; the matrix; points and witnesses
    nbytes = (
        patterns * 8 * (3 * -(-n_nodes // 64) + words_for(n_rows) + 3 * (refinement.inputs + 1))
    )
    if refinement.compiled() is None:
        nbytes += patterns * 100 * (refinement.inputs + 2)
    seconds = per_step * min(steps, LIMIT) + _SECONDS_PER_SPIKE * min(patterns * n_rows, LIMIT)
    return Estimate(patterns, seconds, min(nbytes, LIMIT), exact=counted is not None)


def _listed(refinement: Refinement, most: int) -> tuple[NDArray[np.uint64], Integers]:
    """List the cells: packed spikes at the nodes (N, ceil(K / 64)), points inside (N, m + 1)."""
    n_words = -(-len(refinement.parent) // 64)
    compiled = refinement.compiled()
    if compiled is None:
        found, inside = [], []
        for key, cones, rows in list_cells(refinement):
            found.append(key.to_bytes(8 * n_words, "little"))
            inside.append(inner_point(refinement.inputs, cones, rows))
        keys = np.frombuffer(b"".join(found), dtype="<u8").astype(np.uint64)
        return keys.reshape(-1, n_words), _smallest(np.array(inside, dtype=object))
    c = compiled
    keys = np.zeros((most, n_words), dtype=np.uint64)
    points: Integers = np.zeros((most, 3), dtype=np.int64)
    count, _ = list_compiled_cells(
        c.parent, c.normals, c.base, c.unit, c.scale, c.carry, c.fixed,
        most, np.iinfo(np.int64).max, keys, points,
    )  # fmt: skip
    if count > most:
        raise RuntimeError(
            f"expected {most} trajectories by the count, listed more: a bug of bidual, please "
            "report it"
        )
    keys, points = keys[:count], points[:count]
    missing = np.flatnonzero(points[:, 2] == 0)  # cells too thin for floats
    if missing.size:
        points = points.astype(object)
    for j in missing:
        points[j] = _exact_point(refinement, keys[j])
    return keys, _smallest(points)


def _exact_point(refinement: Refinement, key: NDArray[np.uint64]) -> tuple[int, ...]:
    """Compute a point inside the cell with these spikes, in Python ints."""
    n_nodes = len(refinement.parent)
    spikes = np.unpackbits(key.astype("<u8").view(np.uint8), count=n_nodes, bitorder="little")
    only = refinement.before(n_nodes, range(n_nodes), spikes)
    for _, cones, rows in list_cells(only):
        return inner_point(refinement.inputs, cones, rows)
    raise RuntimeError(
        "expected weights for each listed trajectory, found none for one: a bug of bidual, "
        "please report it"
    )


def _smallest(integers: Integers) -> Integers:
    """Return Python ints as int64 if all of them fit."""
    try:
        return integers.astype(np.int64)
    except OverflowError:
        return integers


def _check_order(keys: NDArray[np.uint64]) -> None:
    """Raise RuntimeError unless the rows of bits ascend, lowest bit first; so they are distinct."""
    different = keys[1:] ^ keys[:-1]
    at = (different != 0).argmax(axis=1)
    rows = np.arange(len(at))
    first = different[rows, at]
    lowest = first & (~first + np.uint64(1))
    if not (keys[1:][rows, at] & lowest).all():
        raise RuntimeError(
            "expected distinct trajectories in order, listed others: a bug of bidual, please "
            "report it"
        )


def _check_replay(
    trie: PrefixTrie,
    leak: Fraction,
    reset: Fraction,
    witnesses: Integers,
    words: NDArray[np.uint64],
) -> None:
    """Raise RuntimeError unless each witness, rolled out in integers, fires as listed."""
    (carry, den), (share, gain) = leak.as_integer_ratio(), reset.as_integer_ratio()
    n, steps, inputs = trie.sequences.shape
    powers = [den**t for t in range(steps)]
    # |membrane| + |bar| <= bound * max|witness| at every step
    largest = int(np.abs(trie.sequences).max())
    bound = 0
    for power in powers:
        bound = carry * bound + power * (gain * inputs * largest + share)
    bound += powers[-1] * gain
    # A step in floats rounds by less than (inputs + 10) * 2**-53 of the bound so far: a product
    # has at most 7 roundings, and a step has inputs + 1 sums. Four times that is safe.
    slack = Fraction(4 * steps * (inputs + 10) * bound, 2**53)
    sizes = np.abs(witnesses).max(axis=1)
    small = sizes <= min(int(2**61 / slack), 2**62)
    if max(powers[-1], gain, largest) >= 2**62:
        small[:] = False
    if small.any():
        chosen = slice(None) if small.all() else small  # a slice copies nothing
        sequences = np.ascontiguousarray(trie.sequences.transpose(1, 2, 0), dtype=np.int64)
        wrong = replay(
            sequences, np.array(powers), carry, gain, share,
            witnesses[chosen].astype(np.int64), float(slack), words[chosen],
        )  # fmt: skip
        if wrong >= 0:
            raise RuntimeError(f"witness {np.flatnonzero(small)[wrong]} does not fire as listed")
    for j in np.flatnonzero(~small):
        p, theta = witnesses[j, :-1].astype(object), int(witnesses[j, -1])
        currents = gain * (trie.sequences @ p)
        membrane = spikes = np.zeros(n, dtype=object)
        fired = []
        for t, power in enumerate(powers):
            membrane = carry * membrane + power * (currents[:, t] - share * theta * spikes)
            spikes = (membrane >= power * gain * theta).astype(object)
            fired.append(spikes.astype(np.uint8))
        packed = np.packbits(np.concatenate(fired), bitorder="little")
        if words[j].astype("<u8").tobytes()[: packed.size] != packed.tobytes():
            raise RuntimeError(f"witness {j} does not fire as listed")
