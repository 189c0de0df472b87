"""admm: the alternating direction method of multipliers, our own, for every loss.

The constraints z = D w + b and kappa u = kappa w split the loss (in z) from
the penalty (in u); Boyd et al. 2011. Every step solves with the one matrix
D~'D~ + kappa^2 I, D~ = [D 1], which is factored once: rho, balanced between the
two residuals as it goes, does not enter it. All outputs move together. Memory:
two (P, P) float64 arrays.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from ..formulations import ConvexProgram
from ..kernels import proximal
from .backend import Array, Backend
from .monitor import Monitor

_RELAXATION = 1.6
_STEPS = 25  # between certificates, and until the first balancing of rho
_MOST_STEPS = 200_000
_PATIENCE = 40  # certificates without a better gap before it gives up


@dataclass(frozen=True)
class SplittingModel:
    """The program, kappa squared and the Cholesky factor."""

    program: ConvexProgram
    ridge: float
    factor: Any


class ADMM(Backend):
    """Own ADMM; takes no options."""

    name = "admm"

    def accepts(self, program: ConvexProgram) -> str | None:
        """See :class:`Backend`."""
        return None

    def compile(self, program: ConvexProgram) -> SplittingModel:
        """See :class:`Backend`; counts D'D in integers and factors once."""
        n, atoms = program.design.shape
        size = atoms + int(program.intercept)
        system = np.empty((size, size))
        system[:atoms, :atoms] = program.design.gram()
        ridge = float(np.median(system.diagonal()[:atoms])) or 1.0
        system[range(atoms), range(atoms)] += ridge
        if program.intercept:
            system[atoms, :atoms] = system[:atoms, atoms] = program.design.column_sums()
            system[atoms, atoms] = n
        return SplittingModel(program, ridge, cho_factor(system, overwrite_a=True))

    def solve(self, model: SplittingModel, monitor: Monitor, options: dict[str, Any]) -> str:
        """See :class:`Backend`."""
        if options:
            raise ValueError(f"options: admm takes none, got {sorted(options)}")
        program = model.program
        n, atoms = program.design.shape
        outputs = program.outputs
        kappa = np.sqrt(model.ridge)
        rho = float(program.row_weights.mean())
        fit_copy = np.tile(program.null_intercept, (n, 1))
        weight_copy = np.zeros((atoms, outputs))
        fit_dual, weight_dual = np.zeros((n, outputs)), np.zeros((atoms, outputs))
        norms = np.empty(4)
        best, waited = np.inf, 0
        next_balance = _STEPS  # rarer and rarer: convergence is proven for a rho that settles
        for step in range(1, _MOST_STEPS + 1):
            pulled = program.design.rmatvec(fit_copy - fit_dual)
            right = pulled + kappa * (weight_copy - weight_dual)
            if program.intercept:
                right = np.vstack([right, (fit_copy - fit_dual).sum(axis=0)])
            linear = cho_solve(model.factor, right)
            weights = np.ascontiguousarray(linear[:atoms])
            intercept = linear[atoms] if program.intercept else np.zeros(outputs)
            # the constraint is on kappa w, so its copy pays strength / kappa
            proximal.split_step(
                program.loss.code,
                program.target,
                program.row_weights,
                program.strength / kappa,
                rho,
                _RELAXATION,
                program.affine(weights, intercept),
                kappa * weights,
                fit_copy,
                weight_copy,
                fit_dual,
                weight_dual,
                norms,
            )
            if step % _STEPS:
                continue
            monitor.offer(*self.recover(model, (weight_copy / kappa, intercept, -rho * fit_dual)))
            if monitor.done:
                return f"gap reached after {step} steps"
            if monitor.out_of_time:
                return f"time limit after {step} steps"
            gap = float(monitor.gaps.sum())
            waited = 0 if gap < best else waited + 1
            best = min(best, gap)
            if waited == _PATIENCE:
                return f"no better gap in {_PATIENCE * _STEPS} steps, after {step}"
            if step == next_balance:
                next_balance *= 2
                balance = _balance(norms)
                rho *= balance
                fit_dual /= balance
                weight_dual /= balance
        return f"{_MOST_STEPS} steps"

    def recover(self, model: SplittingModel, raw: Any) -> tuple[Array, Array, Array | None]:
        """See :class:`Backend`; u for W (it has zeros), minus rho times z's multiplier for V."""
        weights, intercept, dual_point = raw
        return weights, intercept, dual_point


def _balance(norms: Array) -> float:
    """Factor on rho that would even the relative residuals out, at most 10 either way."""
    primal, change, size, multiplier = norms
    if min(primal, change, size, multiplier) <= 0:
        return 1.0
    return float(np.clip(np.sqrt((primal / size) / (change / multiplier)), 0.1, 10.0))
