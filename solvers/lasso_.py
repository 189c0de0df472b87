"""lasso: cyclic coordinate descent, our own, for the smooth losses under the l1 norm.

Full sweeps alternate with sweeps over the atoms in use, as glmnet does
(Friedman, Hastie and Tibshirani 2010); it stops on the certified gap.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..formulations import ConvexProgram
from ..kernels import descent
from .backend import Array, Backend
from .monitor import Monitor

_SWEEPS = 50  # over the atoms in use between full sweeps and looks at the clock
_STALLED = 1e-24  # share of the reference that a sweep must take off: the square of a tiny step


@dataclass(frozen=True)
class DescentModel:
    """The program, its columns as row indices, and the curvature of every coordinate."""

    program: ConvexProgram
    pointers: NDArray[np.int32]
    rows: NDArray[np.int32]
    curvatures: Array


class Lasso(Backend):
    """Own coordinate descent; takes no options."""

    name = "lasso"

    def accepts(self, program: ConvexProgram) -> str | None:
        """See :class:`Backend`."""
        if not np.isfinite(program.loss.curvature):
            return f"takes smooth losses only, and the {program.loss.name} loss has a kink"
        if program.strength == 0:
            return "takes no strength of 0, at which no gap that it could stop on is certified"
        return None

    def compile(self, program: ConvexProgram) -> DescentModel:
        """See :class:`Backend`."""
        columns = program.design.to_csc()
        held = np.append(program.design.rmatvec(program.row_weights), program.row_weights.sum())
        curvatures = program.loss.curvature * held
        return DescentModel(program, columns.indptr, columns.indices, curvatures)

    def solve(self, model: DescentModel, monitor: Monitor, options: dict[str, Any]) -> str:
        """See :class:`Backend`."""
        if options:
            raise ValueError(f"options: lasso takes none, got {sorted(options)}")
        words = {self._solve_output(model, c, monitor) for c in range(model.program.outputs)}
        return ", ".join(sorted(words))

    def _solve_output(self, model: DescentModel, output: int, monitor: Monitor) -> str:
        program = model.program
        atoms = program.design.shape[1]
        target = program.target[:, output].copy()  # writable: else Numba compiles once more
        weights, fit = np.zeros(atoms), np.full(target.size, program.null_intercept[output])
        intercept, slope = program.null_intercept[[output]], np.empty(target.size)
        descent.set_slope(program.loss.code, target, program.row_weights, fit, slope)
        everything = np.arange(atoms)
        # a fair share of the time left, so that each output gets an answer
        deadline = monitor.seconds + monitor.remaining / (program.outputs - output)
        stalled = _STALLED * float(program.references[output])
        if program.loss.labels:
            # margins are of size 1, and of one class alone they grow without end
            stalled += 1e-32 * model.curvatures[-1]

        def sweep(columns: NDArray[np.intp], epochs: int, tolerance: float) -> float:
            return float(
                descent.descend(
                    program.loss.code,
                    model.pointers,
                    model.rows,
                    columns,
                    model.curvatures,
                    target,
                    program.row_weights,
                    program.strength,
                    program.intercept,
                    epochs,
                    tolerance,
                    weights,
                    intercept,
                    fit,
                    slope,
                )
            )

        while True:
            # a sweep over atoms in use is stopped well below the gap that counts
            sweep(np.flatnonzero(weights), _SWEEPS, 1e-3 * monitor.share)
            lowered = sweep(everything, 1, 0.0)
            late = monitor.seconds >= deadline
            if lowered > monitor.share and not late:
                continue  # a certificate costs a sweep or two, and could not be good enough yet
            point = weights[:, None], intercept, slope[:, None]
            monitor.offer(*self.recover(model, point), outputs=[output])
            if monitor.gaps[output] <= monitor.share:
                return "gap reached"
            if late:
                return "time limit"
            if lowered <= stalled:
                return "no further progress in float64"

    def recover(self, model: DescentModel, raw: Any) -> tuple[Array, Array, Array | None]:
        """See :class:`Backend`; the slope is the dual point."""
        weights, intercept, slope = raw
        return weights, intercept, slope
