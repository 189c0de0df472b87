"""ConicBackend: what the adapters that read a ConicForm have in common.

They compile once, solve block by block on the one model, and are re-run
tighter, a bounded number of times, until the gap is certified in the original
program. An adapter supplies ``build`` and ``run``, and a table that says of
each status of its solver whether the point that comes with it is worth
certifying; a status that is not in the table is a failure.
"""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np

from ..formulations import ConicForm, ConvexProgram
from .backend import Array, Backend
from .monitor import Monitor

TIGHTENINGS = (1e-1, 1e-3, 1e-5)
_NEGLIGIBLE = 1e-7  # weights below this share of the largest are left over by an interior point


@dataclass(frozen=True)
class ConicAnswer:
    """x (N,) and multipliers (M,), None where the solver has none, its own word and iterations."""

    x: Array | None
    multipliers: Array | None
    message: str
    iterations: int = 0


@dataclass(frozen=True)
class Part:
    """Blocks of outputs that share a matrix: a form with a column for each, and what is built.

    ``answers`` holds the last answer of each column, from which a solver that can starts.
    """

    form: ConicForm
    built: Any
    blocks: tuple[tuple[int, ...], ...]
    answers: dict[int, ConicAnswer] = field(default_factory=dict)


@dataclass(frozen=True)
class ConicModel:
    """A lowered program in parts, and the unit it is lowered in.

    Row weights and strength are divided by ``unit``, the mean reference of an
    output: solvers have absolute tolerances, and an objective of 1e-9 or 1e9
    would make nonsense of them. Weights stay as they are, V is in that unit.
    """

    program: ConvexProgram
    parts: tuple[Part, ...]
    unit: float


@dataclass(frozen=True)
class Request:
    """Which column to solve, to which tolerance, in how many seconds, with which options."""

    column: int
    tolerance: float
    seconds: float
    options: dict[str, Any]


class ConicBackend(Backend):
    """A solver of conic programs.

    Attributes
    ----------
    quadratic : bool
        Whether it takes a quadratic objective.
    takes : set of str
        Cones it takes beyond zero and nonnegative.
    tightenings : tuple of float
        Tolerances to try one after the other, in units of the asked gap.
    """

    quadratic: ClassVar[bool]
    takes: ClassVar[frozenset[str]] = frozenset({"second_order", "exponential"})
    tightenings: ClassVar[tuple[float, ...]] = TIGHTENINGS

    def accepts(self, program: ConvexProgram) -> str | None:
        """See :class:`Backend`."""
        for cone in sorted(program.cones(self.quadratic) - self.takes):
            part = "group norm" if cone == "second_order" and self.quadratic else program.loss.name
            return f"takes no {cone.replace('_', '-')} cone, which the {part} needs"
        return None

    def compile(self, program: ConvexProgram) -> ConicModel:
        """See :class:`Backend`."""
        unit = program.reference / program.outputs or 1.0
        shared = program.loss.one_matrix or len(program.blocks) == 1
        groups = (program.blocks,) if shared else tuple((block,) for block in program.blocks)
        parts = []
        for blocks in groups:
            held = program.select([c for block in blocks for c in block])
            form = scaled(held, unit).to_conic(self.quadratic)
            parts.append(Part(form, self.build(form), blocks))
        return ConicModel(program, tuple(parts), unit)

    def update(self, model: ConicModel, program: ConvexProgram) -> ConicModel:
        """See :class:`Backend`; the costs of norms change, which :meth:`run` hands over."""
        strength = program.strength / model.unit
        parts = [replace(part, form=part.form.with_strength(strength)) for part in model.parts]
        return ConicModel(program, tuple(parts), model.unit)

    def solve(self, model: ConicModel, monitor: Monitor, options: dict[str, Any]) -> str:
        """See :class:`Backend`."""
        pending = [(part, k) for part in model.parts for k in range(len(part.blocks))]
        numbers = {block: number for number, block in enumerate(model.program.blocks)}
        message = "not started"
        for tightening in self.tightenings:
            left = []
            for done, (part, k) in enumerate(pending):
                if monitor.out_of_time:
                    return message
                # a fair share of the time left, so that each block gets an answer
                seconds = monitor.remaining / (len(pending) - done)
                answer = self.run(part, Request(k, tightening * monitor.gap, seconds, options))
                message = answer.message
                monitor.iterations += answer.iterations
                if answer.x is not None:
                    part.answers[k] = answer
                    _offer(model, part, k, answer, monitor)
                if monitor.gaps[numbers[part.blocks[k]]] > monitor.share:
                    left.append((part, k))
            pending = left
            if not pending or monitor.done:
                break
        return message

    @abstractmethod
    def build(self, form: ConicForm) -> Any:
        """Build the solver's model of the first column; the others differ in vectors alone."""

    @abstractmethod
    def run(self, part: Part, request: Request) -> ConicAnswer:
        """Solve one column of ``part.form``, whose vectors may have changed since ``build``.

        Raises
        ------
        KeyboardInterrupt
            If the solver says that it was interrupted.
        """


def _offer(model: ConicModel, part: Part, k: int, answer: ConicAnswer, monitor: Monitor) -> None:
    """Turn an answer into weights, intercepts and dual point, and have them certified."""
    assert answer.x is not None  # solve() drops answers without x
    form, block = part.form, part.blocks[k]
    weights, intercept = form.weights(answer.x), form.intercept(answer.x)
    dual_point = None
    if answer.multipliers is not None:
        dual_point = model.unit * form.dual(answer.multipliers)
    offer_without_dust(monitor, weights, intercept, dual_point, block)


def scaled(program: ConvexProgram, unit: float) -> ConvexProgram:
    """The program with its objective divided by ``unit``."""
    return ConvexProgram(
        program.design,
        program.target,
        program.loss,
        program.strength / unit,
        program.row_weights / unit,
        program.intercept,
        penalty=program.penalty,
    )


def offer_without_dust(
    monitor: Monitor,
    weights: Array,
    intercept: Array,
    dual_point: Array | None,
    outputs: Sequence[int] | None = None,
) -> None:
    """Offer an answer without its negligible weights, and as it is if that is not good enough."""
    sizes = np.abs(weights)
    if monitor.program.norm_width > 1:
        sizes = np.linalg.norm(weights, axis=1, keepdims=True)  # rows come and go as a whole
    kept = sizes > _NEGLIGIBLE * sizes.max(axis=0, initial=0.0)
    certificate = monitor.offer(np.where(kept, weights, 0.0), intercept, dual_point, outputs)
    if certificate is not None and certificate.gap > monitor.share:
        monitor.offer(weights, intercept, dual_point, outputs)
