"""Pricing of threshold units by a mixed-integer program in HiGHS, whose bound is floating.

    maximise |sum_i v_i z_i|  over  z binary, |h|_inf = 1,
    x_i . h >= -M_i (1 - z_i) where v_i > 0,   x_i . h <= M_i z_i where v_i < 0,   M_i = |x_i|_1,

for each sign of v, and h = 0 beside it, which fires every row. Rows are needed only where z
could cheat; those with x_i . h = 0 and v_i < 0 may choose, so that the bound holds for every h,
and where such ties can't be broken freely it may be loose. A facet of the cube, h_k = 1 or -1, is
chosen by binaries too: without it h = 0 would choose everything. The bound is HiGHS's, in floats
and to its tolerances: a weaker statement than a count in whole numbers.
"""

import time
from dataclasses import dataclass
from math import inf

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import Bounds, LinearConstraint, linprog, milp

from ....dictionaries.class_record import ClassRecord
from ....dictionaries.spike_dictionary import Readout
from ....dictionaries.validation import Array
from .one_neuron import OneNeuron
from .oracle import Grounds, Priced, Pricing, Question, Witness, new_atoms

_GRIDS = range(10, 25, 2)  # bits of the weights that are tried, the fewest first
_LONGEST = 1e9  # seconds, where there is no limit


@dataclass(frozen=True, eq=False)
class ThresholdMILPPricing:
    """Prices the patterns 1[X h >= 0]; ``search`` is asked first, and HiGHS where it finds nothing.

    Attributes
    ----------
    rows : (N, d) array
        X, whose last column is of ones where the class has a bias.
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
        """Take a class; ValueError unless it is of threshold units."""
        neuron = OneNeuron.of(record)
        if neuron.record.kind != "Feedforward":
            raise ValueError("pricing: expected another than 'milp', which is for threshold units")
        return cls(neuron, sequences, sequences[:, 0], neuron.readout, search)

    def price(self, question: Question) -> Priced:
        """Solve two programs for each output; see :class:`Pricing`."""
        if question.width > 1:
            raise ValueError("penalty: expected 'l1' for pricing by a mixed-integer program")
        if self.search is not None:
            found = self.search.price(question)
            if found.witnesses:
                return found
        deadline = time.perf_counter() + question.seconds
        outputs = question.V.shape[1]
        largest = np.zeros(outputs)
        witnesses: list[Witness] = []
        for k in range(2 * outputs):
            c, sign = k // 2, 1.0 - 2.0 * (k % 2)
            left = (deadline - time.perf_counter()) / (2 * outputs - k)
            bound, weights = self.largest_price(sign * question.V[:, c], left)
            largest[c] = max(largest[c], bound)
            if weights is not None:
                witnesses.append(self.neuron.witness(weights))
        return new_atoms(witnesses, question, self.sequences, self.readout, largest)

    def largest_price(self, v: Array, seconds: float = inf) -> tuple[float, Array | None]:
        """Bound d'v over all patterns d, and the weights (d,) of a steep one, if any was found.

        Equal rows are one; rows without a price play no part. ``seconds`` is when to stop, with
        the bound reached by then.
        """
        zero = float(v.sum())  # h = 0
        rows, where = np.unique(self.rows, axis=0, return_inverse=True)
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
        return largest_price, self._polished(rows, fires, found.x[:inputs])

    def _polished(self, rows: Array, fires: NDArray[np.bool_], h: Array) -> Array:
        """Weights of the largest margin that fire so, in few bits; HiGHS's own where none do.

        HiGHS may answer with an h on a tie, off by its tolerance.
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
