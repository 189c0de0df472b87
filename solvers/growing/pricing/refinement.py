"""RefinementPricing: exact pricing of a LIF neuron by branch and bound on the refinement tree.

Each node of the prefix trie splits the cone of (p, theta) by whether the neuron fires there
(``complete/prefix_trie.py``). So a trajectory is a path down this tree, and its price is the sum
of V over the rows of the firing nodes. Node weights are integers. The price of a path is at most
its price so far plus all positive weights below, and at least its price so far plus all negative
ones. The walk skips a subtree that cannot exceed the best known path of either sign. Cells are
exact. Nodes are ordered by the sum of |V| below them, largest first, parents before children.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from math import frexp, inf, ldexp

import numpy as np
from numpy.typing import NDArray

from ....dictionaries.class_record import ClassRecord
from ....dictionaries.complete.prefix_trie import PrefixTrie, Refinement
from ....dictionaries.complete.trajectory_cells import Cone, Ray, inner_point, orthants, split
from ....dictionaries.spike_dictionary import Readout
from ....dictionaries.validation import Array
from ...clock import now
from .one_neuron import OneNeuron
from .oracle import Grounds, Priced, Pricing, Question, Witness, new_atoms

_BITS = 40  # bits of the largest node weight
_MOST_INPUTS = 2  # with more inputs, cells have too many rays
_LOOK = 256  # nodes of the tree between checks of the clock


@dataclass(frozen=True)
class Path:
    """Path to the end of the tree: its price in node weights, and its (p, theta)."""

    pays: int
    point: tuple[int, ...]


@dataclass(frozen=True, eq=False)
class RefinementPricing:
    """Pricing of a LIF neuron with one or two inputs whose enumeration is too large.

    ``search`` runs first. The tree is walked only if the search finds no atom.
    """

    neuron: OneNeuron
    sequences: Array
    trie: PrefixTrie
    refinement: Refinement
    rows: NDArray[np.int64]  # node of each row of D
    readout: Readout
    search: Pricing | None = None
    grounds: Grounds | None = "exact"

    @classmethod
    def of(
        cls, sequences: Array, record: ClassRecord | None, search: Pricing | None = None
    ) -> "RefinementPricing":
        """Build the pricing of a class; raise ValueError if the tree does not cover it."""
        neuron = OneNeuron.of(record)
        inputs = sequences.shape[2]
        if neuron.record.kind != "LIF" or inputs > _MOST_INPUTS:
            raise ValueError(
                f"pricing: expected LIF neurons with at most {_MOST_INPUTS} inputs, got "
                f"{neuron.record.kind} with {inputs}"
            )
        trie = PrefixTrie.of(sequences)
        reset = neuron.leak if neuron.record.reset == "immediate" else 1 + 0 * neuron.leak
        rows = trie.rows
        if neuron.readout == "last":
            rows = rows[-len(sequences) :]
        refinement = trie.refinement(neuron.leak, reset)
        return cls(neuron, sequences, trie, refinement, rows, neuron.readout, search)

    def price(self, question: Question) -> Priced:
        """Walk the tree once per output; see :class:`Pricing`."""
        if question.width > 1:
            raise ValueError(
                "penalty: expected 'l1' for exact pricing by branch and bound, got a norm of "
                f"{question.width} outputs"
            )
        if self.search is not None:
            found = self.search.price(question)
            if found.witnesses:
                return found
        outputs = question.V.shape[1]
        deadline = now() + question.seconds
        largest = np.empty(outputs)
        witnesses: list[Witness] = []
        for c in range(outputs):
            left = (deadline - now()) / (outputs - c)
            largest[c], paths = self.largest_price(question.V[:, c], question.strength, left)
            witnesses += [self._witness(path.point) for path in reversed(paths)]
        return new_atoms(witnesses, question, self.sequences, self.readout, largest)

    def largest_price(
        self, v: Array, floor: float = 0.0, seconds: float = inf
    ) -> tuple[float, list[Path]]:
        """Return a bound on |d'v| over all trajectories d, and improving paths, the best last.

        Parameters
        ----------
        v : (N,) array
        floor : float
            Paths up to this price are not returned; the bound is at least ``floor``.
        seconds : float
            Time limit. After it, the bound holds but may exceed the price of every path.
        """
        sums = np.zeros(len(self.trie.parent))
        np.add.at(sums, self.rows, v)
        # weights are whole multiples of a unit; the error also covers the rounding of sums of v
        unit = ldexp(1.0, frexp(float(np.abs(sums).max()) or 1.0)[1] - _BITS)
        weights = [int(weight) for weight in np.rint(sums / unit)]
        error = 0.5 * unit * len(sums) + len(v) * 2.0**-52 * float(np.abs(v).sum())
        order = _heaviest_first(self.refinement.parent, weights)
        walk = _Walk(_reordered(self.refinement, order), [weights[k] for k in order])
        deadline = now() + seconds
        best, paths = int(floor / unit), []
        for path in walk.paths(best, deadline):
            paths.append(path)
            best = abs(path.pays)
        return max(best, walk.open) * unit + unit + error, paths

    def _witness(self, point: tuple[int, ...]) -> Witness:
        *p, theta = (int(entry) for entry in point)
        weights = np.array(p[: self.sequences.shape[2]], dtype=np.float64) * self.trie.bottom
        return self.neuron.witness(weights, float(theta * self.trie.top))


def _heaviest_first(parent: NDArray[np.int64], weights: list[int]) -> list[int]:
    """Return nodes in depth-first order, larger sums of |weight| below first."""
    total = [abs(weight) for weight in weights]
    children: dict[int, list[int]] = {}
    for k in range(len(weights) - 1, -1, -1):
        above = int(parent[k])
        if above >= 0:
            total[above] += total[k]
        children.setdefault(above, []).append(k)
    order: list[int] = []
    waiting = sorted(children[-1], key=lambda k: total[k])
    while waiting:
        k = waiting.pop()
        if total[k]:  # a subtree of weight 0 does not change the price
            order.append(k)
            waiting += sorted(children.get(k, []), key=lambda k: total[k])
    return order


def _reordered(refinement: Refinement, order: list[int]) -> Refinement:
    number = {k: i for i, k in enumerate(order)}
    above = [int(refinement.parent[k]) for k in order]
    return Refinement(
        parent=np.array([number[k] if k >= 0 else -1 for k in above], dtype=np.int64),
        normals=refinement.normals[order],
        base=refinement.base[order],
        unit=refinement.unit[order],
        scale=refinement.scale[order],
        carry=refinement.carry,
        fixed=refinement.fixed[order],
    )


class _Walk:
    """Walk down the tree; ``open`` bounds the price of every path not yet visited."""

    def __init__(self, refinement: Refinement, weights: list[int]) -> None:
        self.refinement = refinement
        self.weights = weights
        self.open = 0

    def paths(self, best: int, deadline: float) -> Iterator[Path]:
        """Yield paths of increasing price above ``best`` until the deadline."""
        tree, weights = self.refinement, self.weights
        count = len(weights)
        rises, falls = [0] * (count + 1), [0] * (count + 1)  # sums over all nodes from k on
        for k in range(count - 1, -1, -1):
            rises[k] = rises[k + 1] + max(weights[k], 0)
            falls[k] = falls[k + 1] + min(weights[k], 0)
        parent, unit = tree.parent.tolist(), [int(u) for u in tree.unit]
        normals = [tuple(int(entry) for entry in normal) for normal in tree.normals]
        base, scale = [int(b) for b in tree.base], [int(s) for s in tree.scale]
        resets = [0] * count
        waiting: list[tuple[int, int, int, list[Cone]]] = [(0, 0, 0, orthants(tree.inputs))]
        steps = 0

        def reach(k: int, paid: int) -> int:
            return max(paid + rises[k], -(paid + falls[k]))

        while waiting:
            k, key, paid, cones = waiting.pop()
            while k < count and reach(k, paid) > best:
                steps += 1
                if steps % _LOOK == 0 and now() > deadline:
                    waiting.append((k, key, paid, cones))
                    self.open = max(reach(j, sum_) for j, _, sum_, _ in waiting)
                    return
                before = parent[k]
                resets[k] = 0
                if before >= 0:
                    resets[k] = tree.carry * resets[before] + unit[k] * (key >> before & 1)
                row = (*normals[k], -(base[k] + scale[k] * resets[k]))
                zero = 1 << (tree.inputs + 1 + k)
                parts = [split(cone, row, zero) for cone in cones]
                high = [above for above, _ in parts if above]
                low = [below for _, below in parts if below]
                fired = bool(high)
                if high and low:
                    # the side of the larger bound first, to raise ``best`` early
                    fired = (weights[k] > 0) == (paid + rises[k] >= -(paid + falls[k]))
                    other = (k + 1, key, paid, low) if fired else (
                        k + 1, key | 1 << k, paid + weights[k], high
                    )  # fmt: skip
                    waiting.append(other)
                if fired:
                    key |= 1 << k
                    paid += weights[k]
                cones = high if fired else low
                k += 1
            if k == count and abs(paid) > best:
                best = abs(paid)
                yield Path(paid, self._point(key, cones))

    def _point(self, key: int, cones: list[Cone]) -> tuple[int, ...]:
        """Return integers (p, theta) inside a cell; its rows follow from its own history."""
        tree = self.refinement
        rows: list[Ray] = []
        resets: list[int] = []
        for k, before in enumerate(tree.parent.tolist()):
            reset = 0
            if before >= 0:
                reset = tree.carry * resets[before] + int(tree.unit[k]) * (key >> before & 1)
            resets.append(reset)
            normal, weight = tree.row(k, reset)
            rows.append((*normal, -weight))
        return inner_point(tree.inputs, cones, rows)
