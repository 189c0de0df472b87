"""lasso: built-in block coordinate descent on working sets, for smooth losses.

A round certifies the current answer, prices every column at the certified dual point V, and
removes the columns that screening excludes. It then runs coordinate descent on a working set: the
active columns and those closest to their constraints (Massias, Gramfort and Salmon 2018). The
round ends when the gap of the working set's program is a share of the total gap. The solver
extrapolates sweeps at intervals (Bertrand and Massias 2021).

Gap-safe screening (Ndiaye, Fercoq, Gramfort and Salmon 2017) excludes columns as follows. A loss
with second derivative at most L has a conjugate with second derivative at least 1/L. So the dual
objective falls from its maximiser V* at least by the left-hand side of

    sum_ic (V_ic - V*_ic)^2 / (2 L a_i) <= dual(V*) - dual(V) <= gap.

By Cauchy-Schwarz the prices d_j'V (C,) of column j are within sqrt(2 gap kappa_j) of those at V*,
where kappa_j = L sum_{i in d_j} a_i. If ||d_j'V|| + sqrt(2 gap kappa_j) < strength, the constraint
of the column is slack at V*, and W_j = 0 in every solution. With an intercept, V - V* sums to 0,
and centring d_j gives kappa_j (1 - kappa_j / kappa), kappa = L sum_i a_i.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...certificates.certificate import ROUNDING, Certificate
from ...certificates.certify import certify_quickly
from ...dictionaries import DenseMatrix
from ...dictionaries.norms import row_norms
from ...dictionaries.validation import Array
from ...formulations import ConvexProgram
from ...kernels import descent
from ..anderson import Anderson
from ..backend import Backend
from ..monitor import Monitor
from ..turns import LATE, STUCK, Turn, take_turns

_FIRST = 10  # columns of the first working set
_SHARE = 0.1  # gap of a working set's program, as a share of the total gap
_SWEEPS = 10  # sweeps per extrapolation
_LONGEST = 20  # extrapolations per round, after which all columns are screened again
_PATIENCE = 10  # extrapolations without progress, after which a working set is stalled


@dataclass(frozen=True)
class DescentModel:
    """Program, and the curvatures (P + 1,) of its columns and, last, of the intercept."""

    program: ConvexProgram
    curvatures: Array


class Lasso(Backend):
    """Built-in coordinate descent; it has no options."""

    name = "lasso"

    def accepts(self, program: ConvexProgram) -> str | None:
        """See :class:`Backend`."""
        if isinstance(program.design, DenseMatrix):
            return "takes 0/1 designs only, and this design is dense"
        if program.loss.code is None:
            return (
                f"has kernels for built-in losses only, and the {program.loss.name} loss sets no "
                f"code"
            )
        if program.penalty.norm is None:
            return f"takes norms only, and the {program.penalty.name} penalty sets no norm"
        if not np.isfinite(program.loss.curvature):
            return f"takes smooth losses only, and the {program.loss.name} loss has a kink"
        if not program.loss.separable:
            return f"takes separable losses only, and the {program.loss.name} loss couples outputs"
        if program.strength == 0:
            return "needs a strength above 0, because no gap to stop at can be certified at 0"
        return None

    def compile(self, program: ConvexProgram) -> DescentModel:
        """See :class:`Backend`; one pass over the packed columns."""
        held = np.append(program.design.rmatvec(program.row_weights), program.row_weights.sum())
        return DescentModel(program, program.loss.curvature * held)

    def update(self, model: DescentModel, program: ConvexProgram) -> DescentModel:
        """See :class:`Backend`."""
        return replace(model, program=program)

    def solve(self, model: DescentModel, monitor: Monitor, options: dict[str, Any]) -> str:
        """See :class:`Backend`; an iteration is a round."""
        if options:
            raise ValueError(f"options: lasso takes none, got {sorted(options)}; remove them")
        words: dict[int, str] = {}

        def step(k: int, turn: Turn) -> bool:
            words[k] = _solve_block(model, k, monitor, turn)
            return words[k] == LATE

        take_turns(monitor, range(len(model.program.blocks)), step)
        return ", ".join(sorted(set(words.values())))


def _solve_block(model: DescentModel, k: int, monitor: Monitor, turn: Turn) -> str:
    """Solve block k from the monitor's answer; return why it ended."""
    block = model.program.blocks[k]
    program = model.program.select(block)
    weights, intercept = monitor.weights[:, block], monitor.intercept[list(block)]
    curvatures = model.curvatures[:-1]
    if program.intercept:
        curvatures = curvatures * np.maximum(1.0 - curvatures / model.curvatures[-1], 0.0)
    # columns of zeros have no effect, nor have columns of ones with an intercept
    free = curvatures > 1e-12 * model.curvatures[:-1]
    working, size, stalled = np.zeros(0, dtype=np.intp), _FIRST, False
    dual_point = monitor.dual_point[:, block]  # zeros, which prove nothing, in a cold start
    certificate = monitor.offer(weights, intercept, dual_point if dual_point.any() else None, block)
    while certificate is not None:
        if monitor.absolute_gaps[k] <= monitor.block_gap:
            return "gap reached"
        if turn.late:
            return LATE
        lengths = row_norms(program.design.rmatvec(certificate.dual_point))
        free &= _may_matter(program, certificate, lengths, curvatures)
        weights[~free] = 0.0
        if not free.any():
            monitor.offer(weights, program.null_intercept, outputs=block)
            return "gap reached" if monitor.absolute_gaps[k] <= monitor.block_gap else STUCK
        in_use = np.flatnonzero(weights.any(axis=1))
        left = int(free.sum())
        size = max(size, 2 * in_use.size)
        distances = np.full(lengths.size, np.inf)
        distances[free] = (program.strength - lengths[free]) / np.sqrt(curvatures[free])
        distances[in_use] = -np.inf
        before, working = working, _smallest(distances, min(size, left))
        if stalled and np.isin(working, before).all():
            return STUCK
        # screened columns contribute no gap
        goal = monitor.block_gap if working.size == left else _SHARE * certificate.absolute_gap
        alone = program.take(working)
        W, b, stalled = _descend(
            alone,
            model.curvatures[np.append(working, -1)],
            weights[working],
            intercept,
            goal,
            lambda: turn.late,
        )
        weights[working], intercept = W, b
        monitor.iterations += 1
        certificate = monitor.offer(weights, intercept, outputs=block)
    return "overflow in float64"


def _may_matter(
    program: ConvexProgram, certificate: Certificate, lengths: Array, curvatures: Array
) -> NDArray[np.bool_]:
    """Return which columns (P,) screening keeps, by the rule of this module.

    ``lengths`` (P,) are the norms of the prices at the certificate's dual point.
    ``curvatures`` (P,) are kappa_j, centred if the program has an intercept.
    """
    gap = certificate.absolute_gap + ROUNDING * program.reference
    may: NDArray[np.bool_] = lengths + np.sqrt(2.0 * gap * curvatures) >= program.strength
    return may


def _smallest(values: Array, count: int) -> NDArray[np.intp]:
    """Return the indices of the ``count`` smallest values, in increasing order."""
    return np.sort(np.argpartition(values, count - 1)[:count])


def _descend(
    program: ConvexProgram,
    curvatures: Array,
    weights: Array,
    intercept: Array,
    goal: float,
    late: Callable[[], bool],
) -> tuple[Array, Array, bool]:
    """Sweep over all columns until the gap ``goal`` is certified, time is up, or the round ends.

    ``curvatures`` (P + 1,) are those of the columns and of the intercept. Return W, b, and
    whether float64 makes no further progress.
    """
    loss, outputs = program.loss, program.outputs
    columns = program.design.to_csc()
    pointers, rows = columns.indptr.astype(np.int64), columns.indices.astype(np.uint32)
    target = np.array(program.target.T, order="C")
    state = np.append(weights, intercept)  # one array, for the extrapolation
    W, b = state[:-outputs].reshape(-1, outputs), state[-outputs:]
    fit = np.array(program.affine(W, b).T, order="C")
    lowest, least, vain = np.inf, np.inf, 0
    anderson = Anderson(_SWEEPS)
    for _ in range(_LONGEST):
        for _ in range(_SWEEPS):
            start = state.copy()
            lowered = descent.sweep(
                loss.code,
                loss.delta,
                pointers,
                rows,
                curvatures,
                target,
                program.row_weights,
                program.strength,
                program.intercept,
                W,
                b,
                fit,
            )
            if lowered == 0.0 or late():
                return W, b, lowered == 0.0
            anderson.add([start], [state])
        certificate = certify_quickly(program, W, b)
        anderson.mix([state])
        there = certify_quickly(program, W, b)
        # if both primals are equal in float64, the gap decides
        if (
            there.absolute_gap < certificate.absolute_gap
            and there.primal <= (1.0 + 1e-15) * certificate.primal
        ):
            certificate = there
        else:
            anderson.restore([state])
        if certificate.absolute_gap <= goal:
            break
        vain = 0 if certificate.primal < lowest or certificate.absolute_gap < least else vain + 1
        if vain == _PATIENCE:
            return W, b, True
        lowest, least = min(certificate.primal, lowest), min(certificate.absolute_gap, least)
        fit = np.array(program.affine(W, b).T, order="C")  # recomputed against rounding
    return W, b, False
