"""Count of the trajectories of one LIF layer, one dimension below and without listing them.

Node k of a refinement adds one cell for every cell that its row cuts in two. For each
history h of spikes, node k has one row and so one hyperplane. The cells with history h
that the hyperplane cuts are the cells of the same process *on* it:

    N = 1 + sum over (k, h) of N(nodes before k, spikes of k's ancestors fixed to h, on its plane).

A cell on which a row before k vanishes is dropped: there the plane bounds cells of that
history and cuts none. With two inputs the planes are lines, and the cells intervals. The
count uses no result of the listing in the same dimension, so that agreement of the two
numbers is evidence for both.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from math import comb, inf
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from ...kernels.trajectories import count_cut_cells
from ...kernels.trajectories import list_cells as list_compiled_cells
from .budget import Budget, BudgetExceeded, check_budget, in_digits
from .prefix_trie import PrefixTrie, Refinement, SoftReset, check_neuron
from .trajectory_cells import list_cells

SECONDS_PER_STEP = 1.2e-8  # compiled, to split an interval or a cell at one node
_STEPS_OF_PYTHON = 1000  # compiled steps in the time of one step in Python
LIMIT = 2**62  # int64 holds it, and what is added to it


class _Stopped(Exception):
    """Signal that the count exceeded a limit."""


@dataclass
class _Counter:
    """Count in progress: its limits and the number of its steps."""

    most: int
    most_steps: int
    steps: int = 0

    def spend(self, steps: int, found: int = 0) -> int:
        """Add ``steps``, and return ``found``; raise _Stopped if a limit is exceeded."""
        self.steps += steps
        if self.steps > self.most_steps or found > self.most:
            raise _Stopped
        return found

    def left(self) -> int:
        """Number of remaining steps."""
        return self.most_steps - self.steps

    def cells(self, refinement: Refinement) -> int:
        """Count the cells of a refinement, which may have fixed spikes."""
        compiled = refinement.compiled()
        if compiled is not None:
            c = compiled
            keys, points = np.empty((0, 0), np.uint64), np.empty((0, 3), np.int64)
            found, steps = list_compiled_cells(
                c.parent, c.normals, c.base, c.unit, c.scale, c.carry, c.fixed,
                self.most, self.left(), keys, points,
            )  # fmt: skip
            return self.spend(steps, int(found))
        if refinement.inputs == 1:
            return self.listed(refinement)
        return self.listed(refinement.before(0, (), ())) + sum(self.added(refinement))

    def listed(self, refinement: Refinement) -> int:
        """Count cells one by one, in Python."""
        found = 0
        for _ in list_cells(refinement):
            found = self.spend(_STEPS_OF_PYTHON * (1 + len(refinement.parent)), found + 1)
        return found

    def added(self, refinement: Refinement) -> Iterator[int]:
        """Yield for each node in turn the number of cells that it adds."""
        for k in range(len(refinement.parent)):
            if refinement.fixed[k] >= 0:
                yield 0
                continue
            path = refinement.ancestors(k)
            choices = [(0, 1) if refinement.fixed[a] < 0 else (refinement.fixed[a],) for a in path]
            total = 0
            for history in product(*choices):
                self.spend(_STEPS_OF_PYTHON * (1 + k))
                normal, weight = refinement.row(k, refinement.reset(path, history, k))
                before = refinement.before(k, path, history)
                if any(normal):
                    total += self.cells(before.on_plane(normal, weight))
                elif not weight:  # the row vanishes everywhere: all these cells are dropped
                    total -= self.cells(before)
            yield total

    def added_on_lines(self, compiled: Refinement) -> Iterator[int]:
        """Do as :meth:`added` for two inputs and no fixed spikes: by intervals, compiled."""
        c = compiled
        for k in range(len(c.parent)):
            found, steps = count_cut_cells(
                k, c.parent, c.normals, c.base, c.unit, c.scale, c.carry, self.most, self.left()
            )
            yield self.spend(steps, int(found))


def count_cells(
    refinement: Refinement, most: int, most_steps: float, seconds: float
) -> tuple[int, int] | None:
    """Count the cells of a refinement, and the steps of listing them.

    Return None if there are more than ``most`` cells, if listing them takes more than
    ``most_steps``, or if the count takes more than about ``seconds``.

    Returns
    -------
    cells : int
    steps : int
        Pairs of a cell and a node that refines it.
    """
    counter = _Counter(min(most, LIMIT), int(min(seconds / SECONDS_PER_STEP, LIMIT)))
    compiled = refinement.compiled()
    cells, steps = 1, 0
    try:
        added = counter.added(refinement)
        if compiled is not None:
            added = counter.added_on_lines(compiled)
        for new in added:
            steps += cells
            cells += new
            if cells > most or steps > most_steps:
                return None
    except _Stopped:
        return None
    return cells, steps


def most_cells(refinement: Refinement) -> int:
    """Bound the cells by those of M hyperplanes in general position, sum over k <= d of C(M, k).

    Nodes of one depth with the same c = normals[k] share their 2**depth hyperplanes, and nodes
    with c = 0 have no hyperplane. d is the number of inputs that are not always 0.
    """
    depth = np.zeros(len(refinement.parent), dtype=int)
    planes = set()
    for k, parent in enumerate(refinement.parent.tolist()):
        depth[k] = depth[parent] + 1 if parent >= 0 else 0
        if any(refinement.normals[k]):
            planes.add((int(depth[k]), *refinement.normals[k]))
    hyperplanes = sum(2 ** plane[0] for plane in planes)
    inputs = sum(map(bool, np.any(refinement.normals != 0, axis=0)))
    return sum(comb(hyperplanes, k) for k in range(inputs + 1))


def count_lif_trajectories(
    X: ArrayLike, leak: Any, reset: SoftReset = "delayed", budget: Budget | None = None
) -> int:
    """Count the trajectories of one LIF neuron on X exactly, without listing them.

    Parameters are those of :func:`lif_trajectories`, which lists the trajectories. With d = 2,
    250,000 trajectories take 0.3 s. With more inputs the count visits the planes one by one.

    Returns
    -------
    int
        The number of trajectories, including the all-zero one.

    Raises
    ------
    ValueError
        If :func:`lif_trajectories` would refuse an argument.
    BudgetExceeded
        If the count exceeds ``budget.patterns`` or takes about ``budget.seconds``.

    Examples
    --------
    >>> from bidual.dictionaries.complete.trajectory_counting import count_lif_trajectories
    >>> X = [[[1], [1], [0]], [[0], [1], [1]]]
    >>> count_lif_trajectories(X, leak="1/2")
    5
    """
    budget = check_budget(budget)
    refinement = PrefixTrie.of(X).refinement(*check_neuron(leak, reset))
    counted = count_cells(refinement, budget.patterns, inf, budget.seconds)
    if counted is None:
        raise BudgetExceeded(
            f"budget: the count stopped at {in_digits(budget.patterns)} patterns or about "
            f"{budget.seconds:g} s; raise the budget, or take fewer rows, inputs or steps"
        )
    return counted[0]
