"""ConicBackend: what the adapters that read a ConicForm have in common.

They compile once, solve output by output on the one model, and are re-run
tighter, a bounded number of times, until the gap is certified in the original
program. An adapter supplies ``build`` and ``run``.
"""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from ..formulations import ConicForm, ConvexProgram
from .backend import Array, Backend
from .monitor import Monitor

_TIGHTENINGS = (1e-1, 1e-3, 1e-5)  # solver tolerances tried, in units of the asked gap
_NEGLIGIBLE = 1e-7  # weights below this share of the largest are left over by an interior point


@dataclass(frozen=True)
class ConicModel:
    """A lowered program, what the adapter built of it, and the unit it is lowered in.

    Row weights and strength are divided by ``unit``, the mean reference of an
    output: solvers have absolute tolerances, and an objective of 1e-9 or 1e9
    would make nonsense of them. Weights stay as they are, V is in that unit.
    """

    form: ConicForm
    built: Any
    unit: float


@dataclass(frozen=True)
class Request:
    """Which output to solve, to which tolerance, in how many seconds, with which options."""

    output: int
    tolerance: float
    seconds: float
    options: dict[str, Any]


@dataclass(frozen=True)
class ConicAnswer:
    """x (N,) and multipliers (M,), None where the solver has none, and its own word."""

    x: NDArray[np.float64] | None
    multipliers: NDArray[np.float64] | None
    message: str


class ConicBackend(Backend):
    """A solver of conic programs.

    Attributes
    ----------
    quadratic : bool
        Whether it takes a quadratic objective.
    cones : set of str
        Cones it takes beyond zero and nonnegative.
    """

    quadratic: ClassVar[bool]
    cones: ClassVar[frozenset[str]]

    def accepts(self, program: ConvexProgram) -> str | None:
        """See :class:`Backend`."""
        for cone in sorted(program.loss.cones(self.quadratic) - self.cones):
            return f"takes no {cone} cone, which the {program.loss.name} loss needs"
        return None

    def compile(self, program: ConvexProgram) -> ConicModel:
        """See :class:`Backend`."""
        unit = program.reference / program.outputs or 1.0
        scaled = ConvexProgram(
            program.design,
            program.target,
            program.loss,
            program.strength / unit,
            program.row_weights / unit,
            program.intercept,
        )
        form = scaled.to_conic(self.quadratic)
        return ConicModel(form, self.build(form), unit)

    def solve(self, model: ConicModel, monitor: Monitor, options: dict[str, Any]) -> str:
        """See :class:`Backend`."""
        pending = list(range(model.form.linear.shape[1]))
        message = "not started"
        for tightening in _TIGHTENINGS:
            for done, c in enumerate(pending):
                if monitor.out_of_time:
                    return message
                # a fair share of the time left, so that each output gets an answer
                seconds = monitor.remaining / (len(pending) - done)
                request = Request(c, tightening * monitor.gap, seconds, options)
                answer = self.run(model, request)
                message = answer.message
                if answer.x is None:
                    continue
                weights, intercept, dual_point = self.recover(model, answer)
                kept = np.abs(weights) > _NEGLIGIBLE * np.abs(weights).max(initial=0.0)
                monitor.offer(np.where(kept, weights, 0.0), intercept, dual_point, [c])
                if monitor.gaps[c] > monitor.share:
                    monitor.offer(weights, intercept, dual_point, [c])
            pending = [c for c in pending if monitor.gaps[c] > monitor.share]
            if not pending or monitor.done:
                break
        return message

    def recover(self, model: ConicModel, raw: ConicAnswer) -> tuple[Array, Array, Array | None]:
        """See :class:`Backend`; W (P, 1), b (1,) and V (N, 1) of one output."""
        assert raw.x is not None  # solve() drops answers without x
        form = model.form
        dual = None
        if raw.multipliers is not None:
            dual = model.unit * form.dual(raw.multipliers)[:, None]
        return form.weights(raw.x)[:, None], np.array([form.intercept(raw.x)]), dual

    @abstractmethod
    def build(self, form: ConicForm) -> Any:
        """Build the solver's model of the first output; the others differ in vectors alone."""

    @abstractmethod
    def run(self, model: ConicModel, request: Request) -> ConicAnswer:
        """Solve one output; the options go to the solver untouched, over all settings."""
