"""Complete dictionaries of deep and recurrent threshold networks, at tiny sizes.

The listing follows a network layer by layer, and a recurrent layer step by step, through
every joint state of its neurons. All neurons of a layer read the same spikes, so their
patterns are listed together, for one state of the layers below at a time. Let A(Z) be the
patterns 1[Z h >= 0] (``threshold_patterns``).

- Deep networks: the spikes of the first layer are any m_1 columns of A(X), those of layer l
  are any m_l columns of A(spikes of the layer below), and a last neuron adds A(spikes).
- Recurrent networks: given the spikes H_s, s < t, of the m neurons of a layer, a neuron with
  weights (w, r), the same at all steps, has one of the patterns A(Z) that continue its own
  history. Z stacks the rows [X_s, H_(s-1)] of all steps s <= t, and H before step 1 is 0.

Only the first layer can have a bias, as a column of ones in X.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from math import comb, prod

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..matrix.binary_matrix import BinaryMatrix
from ..validation import number_array
from ..witnesses.sampled import check_widths
from .arrangement import threshold_patterns
from .budget import MANY, Budget, Estimate, check_budget, in_digits
from .cell_counting import most_patterns
from .integer_rows import Row, integer_rows

Spikes = tuple[int, ...]  # the columns of a layer, as integers in which row i counts 2**i
Fired = dict[int, Row]  # patterns, as integers of the same kind, and a witness of each
Weights = tuple[Sequence[Row], ...]  # weights of each layer so far, by columns

# measured, on one core
_SECONDS_PER_STATE = 2e-3
_SECONDS_PER_PATTERN = 5e-6
_BYTES_PER_STATE = 1000


@dataclass(frozen=True, eq=False)
class DeepPatterns:
    """All last-layer patterns of threshold networks of given widths.

    Attributes
    ----------
    patterns : BinaryMatrix
        (n, N), distinct columns, the all-zero one among them where it is realised; in
        increasing order as binary numbers in which row i counts 2**i.
    weights : tuple of (N, fan-in, width) arrays
        Integer weights of every layer, the last of width 1, for each pattern: a network
        whose layers are 1[spikes W >= 0] reproduces the pattern.
    """

    patterns: BinaryMatrix
    weights: tuple[NDArray[np.object_], ...]


@dataclass(frozen=True, eq=False)
class RecurrentPatterns:
    """All trajectories of a last-layer neuron in recurrent networks of given widths.

    Attributes
    ----------
    trajectories : BinaryMatrix
        (n * T, N), distinct columns; row t * n + i is sample i at step t. In increasing
        order as binary numbers in which row j counts 2**j.
    patterns : BinaryMatrix
        (n, P): the distinct last steps of the trajectories, in the same order.
    origin : (P,) int array
        For each of these patterns, the number of a trajectory that ends with it.
    input_weights, recurrent_weights : tuples of (N, fan-in, m) and (N, m, m) arrays
        Integer weights of every layer for each trajectory, the same at all steps: in the
        network that they define, neuron 0 of the last layer has that trajectory.
    """

    trajectories: BinaryMatrix
    patterns: BinaryMatrix
    origin: NDArray[np.intp]
    input_weights: tuple[NDArray[np.object_], ...]
    recurrent_weights: tuple[NDArray[np.object_], ...]


def deep_patterns(
    X: ArrayLike,
    hidden: Sequence[int],
    budget: Budget | None = None,
    report: Callable[[Estimate], None] | None = None,
) -> DeepPatterns:
    """List the patterns of a neuron above the hidden layers of a threshold network on X (n, d).

    This is the dictionary recursion (13) of Ergen, Gulluk, Lacotte and Pilanci (ICLR 2023)
    within networks of the widths ``hidden``. With two or more hidden layers, (13) as printed
    combines columns that no single layer below can realise together. The listing excludes
    these combinations.

    Parameters
    ----------
    X : (n, d) array
        Whole numbers or floats.
    hidden : sequence of int
        Widths of the hidden layers, from first to last.
    budget : Budget, optional
        Limits of each layer, ``Budget()`` by default. ``patterns`` bounds the joint states
        of the layer, and the patterns of the neurons above each state.
    report : callable, optional
        Function to call with the Estimate of each layer, which counts joint states, before
        the layer is listed.

    Raises
    ------
    ValueError
        If X is not two-dimensional, is empty or holds an entry that is not a finite
        number, a width is not whole and at least 1, or ``budget`` is not a Budget.
    BudgetExceeded
        If a layer would exceed the budget. The budget is checked before each layer, after
        the layers below have been listed.

    Examples
    --------
    >>> from bidual.dictionaries.complete.deep_patterns import deep_patterns
    >>> deep_patterns([[-1, 1], [0, 1], [1, 1]], hidden=(2,)).patterns.shape
    (3, 8)
    """
    widths = check_widths(hidden)
    arrangements = _Arrangements(check_budget(budget), report)
    rows = integer_rows(X)
    n, inputs = len(rows), len(rows[0])
    states: dict[Spikes, Weights] = {}
    fired = [arrangements.fired(rows)]
    below: list[Weights] = [()]
    for width in widths:
        # silent neurons add no information, and fewer columns than the width add no patterns
        spiking = [sorted(pattern for pattern in each if pattern) for each in fired]
        states_above = sum(comb(len(each), min(width, len(each))) for each in spiking)
        arrangements.check(states_above, min(n, 2**width), width)
        states = {}
        for weights, each, columns in zip(below, fired, spiking, strict=True):
            for spikes in combinations(columns, min(width, len(columns))):
                if spikes not in states:
                    states[spikes] = (*weights, [each[pattern] for pattern in spikes])
        fired = [arrangements.fired(_rows(spikes, range(n))) for spikes in states]
        below = list(states.values())
    found: dict[int, Weights] = {}
    for weights, each in zip(below, fired, strict=True):
        for pattern, witness in each.items():
            found.setdefault(pattern, (*weights, [witness]))
    order = sorted(found)
    sizes = zip((inputs, *widths), (*widths, 1), strict=True)
    return DeepPatterns(
        _packed(order, n),
        tuple(
            np.stack([_matrix(found[pattern][layer], *size) for pattern in order])
            for layer, size in enumerate(sizes)
        ),
    )


def recurrent_patterns(
    X: ArrayLike,
    hidden: Sequence[int],
    budget: Budget | None = None,
    report: Callable[[Estimate], None] | None = None,
) -> RecurrentPatterns:
    """List the trajectories of a last-layer neuron of a recurrent threshold network.

    Spikes are H_t = 1[X_t W + H_(t-1) R >= 0] with H_0 = 0, for X (n, T, d). A later layer
    takes the spikes of the layer below as its X. Weights are the same at all steps.

    Parameters
    ----------
    X : (n, T, d) array
        Whole numbers or floats.
    hidden : sequence of int
        Widths of the layers, from first to last.
    budget : Budget, optional
        Limits of each step of a layer, ``Budget()`` by default. ``patterns`` bounds the
        joint states so far, and the patterns of a neuron after each state.
    report : callable, optional
        Function to call with the Estimates of each step, which count joint states, before
        the step is listed.

    Raises
    ------
    ValueError
        If X is not three-dimensional, is empty or holds an entry that is not a finite
        number, a width is not whole and at least 1, or ``budget`` is not a Budget.
    BudgetExceeded
        If a step would exceed the budget. The budget is checked before each step, after the
        steps before it and the layers below have been listed.

    Examples
    --------
    >>> from bidual.dictionaries.complete.deep_patterns import recurrent_patterns
    >>> found = recurrent_patterns([[[1, 0], [0, 1]], [[0, 1], [0, 1]]], hidden=(1,))
    >>> found.trajectories.shape, found.patterns.shape
    ((4, 7), (2, 3))
    """
    widths = check_widths(hidden)
    array = number_array("X", X)
    if array.ndim != 3 or array.size == 0:
        raise ValueError(
            f"X: expected numbers of shape (n, T, d), no axis empty, got shape {array.shape}"
        )
    n, steps, inputs = array.shape
    # scale all rows by the factor of the 1 at the end, which is then the size of a spike
    *flat, one = integer_rows(np.append(array.transpose(1, 0, 2), 1)[None])[0]
    rows = [tuple(flat[at : at + inputs]) for at in range(0, len(flat), inputs)]
    arrangements = _Arrangements(check_budget(budget), report)
    states: dict[Spikes, Weights] = {(): ()}
    for layer, width in enumerate(widths):
        above: dict[Spikes, Weights] = {}
        for below, weights in states.items():
            seen = rows if layer == 0 else _rows(below, range(n * steps))
            scale = one if layer == 0 else 1
            last = layer == len(widths) - 1
            for spikes, witnesses in _runs(arrangements, seen, scale, n, width, last).items():
                above.setdefault(spikes, (*weights, witnesses))
            arrangements.check(len(above))
        states = above
    order = sorted(states)
    _, origin = np.unique([spikes[0] >> n * (steps - 1) for spikes in order], return_index=True)
    parts: list[list[NDArray[np.object_]]] = [[], []]
    for layer, (fan_in, width) in enumerate(zip((inputs, *widths), widths, strict=False)):
        matrices = np.stack(
            [_matrix(states[spikes][layer], fan_in + width, width) for spikes in order]
        )
        parts[0].append(matrices[:, :fan_in])
        parts[1].append(matrices[:, fan_in:])
    return RecurrentPatterns(
        _packed([spikes[0] for spikes in order], n * steps),
        _packed([order[j][0] >> n * (steps - 1) for j in origin], n),
        origin,
        tuple(parts[0]),
        tuple(parts[1]),
    )


def _runs(
    arrangements: "_Arrangements", rows: list[Row], scale: int, n: int, width: int, last: bool
) -> dict[Spikes, Sequence[Row]]:
    """List all joint trajectories of a recurrent layer, and the weights (w, r) of its neurons.

    ``rows`` (step by step) are ``scale`` times the inputs of the layer. For the ``last``
    layer, the function instead lists one group of neurons for each trajectory of a single
    neuron; this neuron comes first in the group, and its trajectory is the key.
    """
    steps = len(rows) // n
    histories: set[Spikes] = {(0,) * width}
    for t in range(steps):
        arrangements.check(len(histories), n * (t + 1), len(rows[0]) + width)
        choices = []
        for spikes in sorted(histories):
            # bit j of the history is row j; no neuron has spiked before the first step
            before = _rows([column << n for column in spikes], range(n * (t + 1)))
            stacked = [
                (*x, *(scale * spike for spike in h)) for x, h in zip(rows, before, strict=False)
            ]
            fired = arrangements.fired(stacked)
            past = (1 << n * t) - 1
            own: dict[int, Fired] = {column: {} for column in spikes}
            for pattern, witness in fired.items():
                if pattern & past in own:
                    own[pattern & past][pattern] = witness
            choices.append([own[column] for column in spikes])
        if t < steps - 1 or not last:
            arrangements.check(sum(prod(map(len, each)) for each in choices))
        if t < steps - 1:
            histories = {tuple(sorted(spikes)) for each in choices for spikes in product(*each)}
    found: dict[Spikes, Sequence[Row]] = {}
    for each in choices:
        groups: Iterable[tuple[list[int], tuple[int, ...]]]
        if last:  # each pattern of each neuron, which comes first, with one choice of the others
            any_of = [next(iter(fired)) for fired in each]
            groups = (
                (
                    [j, *(i for i in range(width) if i != j)],
                    (*any_of[:j], pattern, *any_of[j + 1 :]),
                )
                for j, fired in enumerate(each)
                for pattern in fired
            )
        else:
            groups = ((_ascending(chosen), chosen) for chosen in product(*each))
        for order, chosen in groups:
            key = tuple(chosen[i] for i in order[: 1 if last else width])
            if key not in found:
                found[key] = _reordered(each, chosen, order)
    return found


def _ascending(chosen: Sequence[int]) -> list[int]:
    return sorted(range(len(chosen)), key=chosen.__getitem__)


def _reordered(
    choices: Sequence[Fired], chosen: Sequence[int], order: Sequence[int]
) -> Sequence[Row]:
    """Return the witnesses of the chosen patterns, with all neurons renumbered."""
    out = []
    for i in order:
        witness = choices[i][chosen[i]]
        inputs = len(witness) - len(order)
        out.append((*witness[:inputs], *(witness[inputs + j] for j in order)))
    return out


class _Arrangements:
    """Patterns of integer rows, listed once for each set of rows."""

    def __init__(self, budget: Budget, report: Callable[[Estimate], None] | None) -> None:
        self._budget = budget
        self._report = report
        self._known: dict[tuple[Row, ...], list[tuple[list[int], Row]]] = {}

    def check(self, states: int, rows: int = 0, inputs: int = 0) -> None:
        """Raise BudgetExceeded if the joint states, each with an arrangement, are too many."""
        patterns = most_patterns(rows, inputs)
        each = f", each with up to {in_digits(patterns)} patterns" if rows else ""
        # at most a number that floats hold
        many, on_each = min(states, MANY), min(patterns, MANY)
        estimate = Estimate(
            patterns=states,
            seconds=many * (_SECONDS_PER_STATE + on_each * _SECONDS_PER_PATTERN),
            nbytes=(many + on_each) * _BYTES_PER_STATE,
            exact=False,  # some of the states may coincide
            counts=f"joint states of neurons{each}",
        )
        if self._report is not None:
            self._report(estimate)
        self._budget.check(estimate)

    def fired(self, rows: Sequence[Row]) -> Fired:
        """Return all patterns of these rows."""
        places: dict[Row, int] = {}
        for i, row in enumerate(rows):
            places[row] = places.get(row, 0) | 1 << i
        distinct = tuple(sorted(places))
        if distinct not in self._known:
            complete = threshold_patterns(np.array(distinct, dtype=object), self._budget)
            on = [np.flatnonzero(column).tolist() for column in complete.patterns.to_dense(bool).T]
            witnesses = [tuple(witness) for witness in complete.witnesses.tolist()]
            self._known[distinct] = list(zip(on, witnesses, strict=True))
        masks = [places[row] for row in distinct]
        return {sum(masks[i] for i in on): witness for on, witness in self._known[distinct]}


def _rows(columns: Sequence[int], places: Iterable[int]) -> list[Row]:
    """Return rows of a 0/1 matrix whose columns are given as integers."""
    return [tuple(column >> i & 1 for column in columns) for i in places]


def _matrix(columns: Sequence[Row], fan_in: int, width: int) -> NDArray[np.object_]:
    """Return a weight matrix with these columns, padded with zeros."""
    out = np.zeros((fan_in, width), dtype=object)
    for j, column in enumerate(columns):
        out[: len(column), j] = column
    return out


def _packed(columns: Sequence[int], n: int) -> BinaryMatrix:
    return BinaryMatrix.from_dense(np.array(_rows(columns, range(n)), dtype=np.uint8))
