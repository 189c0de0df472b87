"""Pricing of threshold units by a mixed-integer program in HiGHS, with a floating-point bound.

    maximise |sum_i v_i z_i|  over  z binary, |h|_inf = 1,
    x_i . h >= -M_i (1 - z_i) where v_i > 0,   x_i . h <= M_i z_i where v_i < 0,   M_i = |x_i|_1,

for each sign of v. The code prices h = 0 separately; it fires every row. Each z_i has only the
constraint that keeps it from the better value. If x_i . h = 0 and v_i < 0, z_i is free, so the
bound holds for every h; it may be loose if such ties cannot be broken independently. Binaries
also choose a facet of the cube, h_k = 1 or -1; otherwise h = 0 would leave every z_i free. The
bound is HiGHS's, in floating point and within its tolerances. This is weaker than a bound in
integer arithmetic.

Dividing a column by a positive number, or with a bias subtracting one from it, changes no pattern
of the class. The program does so where columns differ much in size or lie far from 0: HiGHS's
tolerances are absolute.
"""

from dataclasses import dataclass
from math import inf

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, linprog, milp

from ....dictionaries.class_record import ClassRecord
from ....dictionaries.input_grid import far_offsets
from ....dictionaries.spike_dictionary import Readout
from ....dictionaries.validation import Array
from ...clock import now
from .one_neuron import OneNeuron
from .oracle import Grounds, Priced, Pricing, Question, Witness, new_atoms

_GRIDS = range(10, 25, 2)  # numbers of bits to try for the weights, the smallest first
_UNLIKE = 64  # columns are scaled if one is this many times larger than another
_LONGEST = 1e9  # seconds, for an infinite limit


@dataclass(frozen=True, eq=False)
class ThresholdMILPPricing:
    """Pricing of the patterns 1[X h >= 0], by ``search`` first and by HiGHS if it finds nothing.

    Attributes
    ----------
    rows : (N, d) array
        X; the last column is 1 if the class has a bias.
    """

    neuron: OneNeuron
    sequences: Array
    rows: Array
    readout: Readout
    search: Pricing | None = None
    grounds: Grounds | None = "milp"

    @classmethod
    def of(
        cls, sequences: Array, record: ClassRecord | None, search: Pricing | None = None
    ) -> "ThresholdMILPPricing":
        """Build the pricing of a class; raise ValueError unless it is of threshold units."""
        neuron = OneNeuron.of(record)
        if neuron.record.kind != "Feedforward":
            raise ValueError(
                "pricing: expected 'auto', 'exact' or 'search' for this class, got 'milp'; 'milp' "
                "covers threshold units only"
            )
        return cls(neuron, sequences, sequences[:, 0], neuron.readout, search)

    def price(self, question: Question) -> Priced:
        """Solve two programs per output; see :class:`Pricing`."""
        if question.width > 1:
            raise ValueError(
                "penalty: expected 'l1' for pricing by a mixed-integer program, got a norm of "
                f"{question.width} outputs"
            )
        if self.search is not None:
            found = self.search.price(question)
            if found.witnesses:
                return found
        deadline = now() + question.seconds
        outputs = question.V.shape[1]
        largest = np.zeros(outputs)
        witnesses: list[Witness] = []
        for k in range(2 * outputs):
            c, sign = k // 2, 1.0 - 2.0 * (k % 2)
            left = (deadline - now()) / (2 * outputs - k)
            bound, weights = self.largest_price(sign * question.V[:, c], left)
            largest[c] = max(largest[c], bound)
            if weights is not None:
                witnesses.append(self.neuron.witness(weights))
        return new_atoms(witnesses, question, self.sequences, self.readout, largest)

    def largest_price(self, v: Array, seconds: float = inf) -> tuple[float, Array | None]:
        """Return a bound on d'v over all patterns d, and the weights (d,) of the best one found.

        The program merges equal rows and drops rows without a price. After ``seconds`` it
        returns the bound reached so far. The weights are None if no pattern was found.
        """
        zero = float(v.sum())  # h = 0
        conditioned, offsets, powers = _conditioned(self.rows)
        rows, where = np.unique(conditioned, axis=0, return_inverse=True)
        sums = np.bincount(where.ravel(), weights=v, minlength=len(rows))
        silent = ~rows.any(axis=1)
        constant = float(sums[silent].sum())  # these always fire
        told = (sums != 0) & ~silent
        rows, sums = rows[told], sums[told]
        if not len(rows):
            return max(zero, constant), None
        unit = float(np.abs(sums).max())
        sums = sums / unit
        scale = np.abs(rows).sum(axis=1)
        rows = rows / scale[:, None]  # M_i = 1
        n, inputs = rows.shape
        # columns: h, z, f, g with h_k >= -1 + 2 f_k and h_k <= 1 - 2 g_k, one of f, g being 1
        eye, none = np.eye(inputs), np.zeros((inputs, n))
        up, down = sums > 0, sums < 0
        pad = np.zeros((n, 2 * inputs))
        above = np.hstack([rows, -np.eye(n), pad])[up]  # x . h - z >= -1
        below = np.hstack([rows, -np.eye(n), pad])[down]  # x . h - z <= 0
        constraints = [
            LinearConstraint(np.hstack([eye, none, -2 * eye, 0 * eye]), -1.0, np.inf),
            LinearConstraint(np.hstack([eye, none, 0 * eye, 2 * eye]), -np.inf, 1.0),
            LinearConstraint(np.concatenate([np.zeros(inputs + n), np.ones(2 * inputs)]), 1.0, 1.0),
        ]
        constraints += [LinearConstraint(above, -1.0, np.inf)] if up.any() else []
        constraints += [LinearConstraint(below, -np.inf, 0.0)] if down.any() else []
        integer = np.concatenate([np.zeros(inputs), np.ones(n + 2 * inputs)])
        found = milp(
            -np.concatenate([np.zeros(inputs), sums, np.zeros(2 * inputs)]),
            integrality=integer,
            bounds=Bounds(
                np.concatenate([-np.ones(inputs), np.zeros(n + 2 * inputs)]), np.ones(len(integer))
            ),
            constraints=constraints,
            options={"time_limit": min(max(seconds, 0.01), _LONGEST), "mip_rel_gap": 0.0},
        )
        highest = float(sums[up].sum())
        told_bound = found.mip_dual_bound
        bound = highest if told_bound is None else min(highest, -float(told_bound))
        largest_price = max(zero, bound * unit + constant)
        if found.x is None:
            return largest_price, None
        fires = found.x[inputs : inputs + n] > 0.5
        h = self._polished(rows, fires, found.x[:inputs]) / powers
        h[-1] -= h @ offsets / self.rows[0, -1] if offsets.any() else 0.0
        return largest_price, h

    def _polished(self, rows: Array, fires: NDArray[np.bool_], h: Array) -> Array:
        """Return weights of largest margin and few bits that fire this pattern, else HiGHS's.

        HiGHS may return an h on a tie, wrong by its tolerance.
        """
        signed = np.where(fires, -1.0, 1.0)[:, None] * rows
        inputs = rows.shape[1]
        margin = linprog(
            np.append(np.zeros(inputs), -1.0),
            A_ub=np.column_stack([signed, np.ones(len(rows))]),
            b_ub=np.zeros(len(rows)),
            bounds=[(-1.0, 1.0)] * inputs + [(None, 1.0)],
        )
        best = margin.x[:inputs] if margin.status == 0 and margin.x[-1] > 0.0 else h
        for bits in _GRIDS:
            whole: Array = np.rint(best * 2.0**bits)
            if np.array_equal(rows @ whole >= 0.0, fires):
                return whole
        return np.rint(best * 2.0 ** _GRIDS[-1])


def _conditioned(rows: Array) -> tuple[Array, Array, Array]:
    """Return rows of like columns, with the offsets (d,) and powers of two (d,) that made them."""
    low, high = rows.min(axis=0), rows.max(axis=0)
    offsets = np.zeros(len(low))
    if low[-1] == high[-1] != 0:  # a bias
        offsets[:-1] = far_offsets(low, high)[:-1]
    sizes = np.abs(rows - offsets).max(axis=0)
    there = sizes > 0
    powers = np.ones_like(sizes)
    if there.any() and sizes[there].max() > _UNLIKE * sizes[there].min():
        powers[there] = np.ldexp(1.0, np.frexp(sizes[there])[1])
    return (rows - offsets) / powers, offsets, powers
