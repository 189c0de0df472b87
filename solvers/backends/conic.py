"""ConicBackend: the common part of all adapters that read a ConicForm.

An adapter compiles once and solves block by block on the same model. It solves again with
tighter tolerances, a bounded number of times, until the gap is certified in the original
program. It supplies ``build``, ``run`` and a table of its solver's statuses. The table says for
which statuses the returned point is worth certifying. A status outside the table is a failure.
"""

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar

import numpy as np
from scipy.sparse.linalg import lsqr

from ...dictionaries.norms import row_norms
from ...dictionaries.validation import Array
from ...formulations import ConicForm, ConvexProgram, Loss
from ..backend import Backend
from ..monitor import Monitor
from ..turns import Turn, take_turns

TIGHTENINGS = (1e-1, 1e-3, 1e-5)
# most steps of operator splitting per run, as in SCS; OSQP's default 4,000 ends at large gaps
MOST_STEPS = 100_000
_NEGLIGIBLE = 1e-7  # weights below this share of the largest are residues of interior points


@dataclass(frozen=True)
class ConicAnswer:
    """Point x (N,), multipliers (M,) or None, the solver's message, and its iterations."""

    x: Array | None
    multipliers: Array | None
    message: str
    iterations: int = 0


@dataclass(frozen=True)
class Part:
    """Blocks of outputs that share a matrix: a form with a column per block, and its model.

    ``answers`` holds the last answer of each column, which solvers with warm starts use.
    """

    form: ConicForm
    built: Any
    blocks: tuple[tuple[int, ...], ...]
    answers: dict[int, ConicAnswer] = field(default_factory=dict)


@dataclass(frozen=True)
class Scaled:
    """Program scaled for solvers with absolute tolerances, and the conversion of its answers.

    Numeric targets are shifted by ``centre`` (C,), b0, and divided by ``size``, their weighted
    root mean square around it: W = size W' and b = centre + size b'. The objective is divided
    by the mean reference per output. V = price V', and strengths scale alike. Labels have
    centre 0 and size 1.
    """

    program: ConvexProgram
    centre: Array
    size: float
    price: float

    def strength(self, program: ConvexProgram) -> float:
        """Return the strength of a program in the units of this one."""
        return program.strength / self.price

    def back(
        self, weights: Array, intercept: Array, dual_point: Array | None, outputs: Sequence[int]
    ) -> tuple[Array, Array, Array | None]:
        """Return W (P, c), b (c,) and V (N, c) of a scaled answer to some outputs."""
        shifted = self.centre[list(outputs)] + self.size * intercept
        priced = None if dual_point is None else self.price * dual_point
        return self.size * weights, shifted, priced


def scaled(program: ConvexProgram) -> Scaled:
    """Scale the targets and the objective of a program to size 1.

    Targets are unchanged if the loss has no units or the penalty is not a norm, because scaled
    weights would then have another penalty.
    """
    loss, target, a = program.loss, program.target, program.row_weights
    centre, size, slope = np.zeros(program.outputs), 1.0, 1.0
    if loss.in_units(1.0, np.inf) is not None and program.penalty.norm is not None:
        centre = program.null_intercept
        # rows of weight 0 do not count, however far away
        apart = np.where(a[:, None] > 0, target - centre, 0.0)
        largest = float(np.abs(apart).max())
        if largest > 0:
            # squares of numbers up to 1 do not overflow
            square = (a / a.max()) @ (apart / largest) ** 2 / (a / a.max()).sum()
            size = largest * float(np.sqrt(square.mean()))
        # larger than every residual at an optimum: that row alone would cost more than W = 0
        most = float(np.sqrt(program.outputs * a.sum() / a[a > 0].min()))
        counted = loss.in_units(size, most)
        if counted is not None:
            loss, slope = counted
            target = apart / size
    parts = program.design, target, loss
    plain = ConvexProgram(*parts, 0.0, a, program.intercept, penalty=program.penalty)
    unit = plain.reference / program.outputs or 1.0
    price = unit * slope
    found = ConvexProgram(
        *parts, program.strength / price, a / unit, program.intercept, penalty=program.penalty
    )
    return Scaled(found, centre, size, price)


@dataclass(frozen=True)
class ConicModel:
    """Program, and the parts of its scaled conic form."""

    program: ConvexProgram
    parts: tuple[Part, ...]
    scaled: Scaled


@dataclass(frozen=True)
class Request:
    """Column to solve, its tolerance, its time limit in seconds, and the user's options."""

    column: int
    tolerance: float
    seconds: float
    options: dict[str, Any]


class ConicBackend(Backend):
    """Solver of conic programs.

    Attributes
    ----------
    quadratic : bool
        Whether the solver supports a quadratic objective.
    takes : set of str
        Cones that the solver supports besides zero and nonnegative.
    starts : bool
        Whether :meth:`run` starts from ``part.answers``.
    tightenings : tuple of float
        Tolerances to try in this order, in units of the asked gap.
    """

    quadratic: ClassVar[bool]
    takes: ClassVar[frozenset[str]] = frozenset({"second_order", "exponential"})
    starts: ClassVar[bool] = False
    tightenings: ClassVar[tuple[float, ...]] = TIGHTENINGS

    def accepts(self, program: ConvexProgram) -> str | None:
        """See :class:`Backend`."""
        missing = program.loss.lacks("epigraph") or program.penalty.lacks("epigraph")
        if missing:
            return f"needs a loss and a penalty in conic form, and {missing}"
        beyond = program.cones(self.quadratic) - self.takes
        if not beyond:
            return None
        charged = {block.cone for block in program.penalty.epigraph(1, program.block_width).blocks}
        for cone in sorted(beyond):
            penalty, loss = f"{program.penalty.name} penalty", f"{program.loss.name} loss"
            part = penalty if cone in charged else loss
            return f"does not support the {cone.replace('_', '-')} cone, which the {part} needs"
        return None

    def compile(self, program: ConvexProgram) -> ConicModel:
        """See :class:`Backend`."""
        units = scaled(program)
        shared = program.loss.one_matrix or len(program.blocks) == 1
        groups = (program.blocks,) if shared else tuple((block,) for block in program.blocks)
        parts = []
        for blocks in groups:
            held = units.program.select([c for block in blocks for c in block])
            form = held.to_conic(self.quadratic)
            parts.append(Part(form, self.build(form), blocks))
        return ConicModel(program, tuple(parts), units)

    def update(self, model: ConicModel, program: ConvexProgram) -> ConicModel:
        """See :class:`Backend`; only the linear objective changes, which :meth:`run` passes on."""
        strength = model.scaled.strength(program)
        parts = [replace(part, form=part.form.with_strength(strength)) for part in model.parts]
        return ConicModel(program, tuple(parts), model.scaled)

    def solve(self, model: ConicModel, monitor: Monitor, options: dict[str, Any]) -> str:
        """See :class:`Backend`."""
        pending = [(part, k) for part in model.parts for k in range(len(part.blocks))]
        numbers = {block: number for number, block in enumerate(model.program.blocks)}
        if self.starts:
            for part, k in pending:
                _start(model, part, k, monitor)
        message, runs = "not started", [0] * len(pending)

        def step(which: int, turn: Turn) -> bool:
            nonlocal message
            part, k = pending[which]
            if monitor.out_of_time:
                return True
            tolerance = self.tightenings[runs[which]] * monitor.asked_gap
            answer = self.run(part, Request(k, tolerance, turn.remaining, options))
            # a run that the time has cut short is repeated, once there is time
            runs[which] += not turn.used_up
            message = answer.message
            monitor.iterations += answer.iterations
            if answer.x is not None:
                part.answers[k] = answer
                _offer(model, part, k, answer, monitor)
            open_ = monitor.absolute_gaps[numbers[part.blocks[k]]] > monitor.block_gap
            return bool(open_ and runs[which] < len(self.tightenings))

        take_turns(monitor, range(len(pending)), step)
        return message

    @abstractmethod
    def build(self, form: ConicForm) -> Any:
        """Build the solver's model of the first column; other columns differ in vectors only."""

    @abstractmethod
    def run(self, part: Part, request: Request) -> ConicAnswer:
        """Solve one column of ``part.form``, whose vectors may have changed since ``build``.

        Raises
        ------
        KeyboardInterrupt
            If the solver reports an interruption.
        """


def _offer(model: ConicModel, part: Part, k: int, answer: ConicAnswer, monitor: Monitor) -> None:
    """Convert an answer into weights, intercepts and dual point, and offer it to the monitor."""
    assert answer.x is not None  # solve() drops answers without x
    form, block = part.form, part.blocks[k]
    dual_point = None if answer.multipliers is None else form.dual(answer.multipliers)
    parts = form.weights(answer.x), form.intercept(answer.x), dual_point
    offer_without_dust(monitor, *model.scaled.back(*parts, block), block)


def _start(model: ConicModel, part: Part, k: int, monitor: Monitor) -> None:
    """Store the monitor's answer as the column's start, unless it is W = 0 with V = 0."""
    block, units = list(part.blocks[k]), model.scaled
    if units.program.penalty.norm is None or units.program.loss.lacks("auxiliaries"):
        return
    weights, dual_point = monitor.weights[:, block], monitor.dual_point[:, block]
    if weights.any() or dual_point.any():
        intercept = (monitor.intercept[block] - units.centre[block]) / units.size
        target, loss = units.program.target[:, block], units.program.loss
        parts = weights / units.size, intercept, dual_point / units.price
        part.answers[k] = point(part.form, k, loss, target, *parts)


def point(
    form: ConicForm,
    column: int,
    loss: Loss,
    target: Array,
    weights: Array,
    intercept: Array,
    dual_point: Array,
) -> ConicAnswer:
    """Return x and multipliers of a column of a quadratic form from W (P, c), b (c,) and V (N, c).

    Norms, fits and auxiliaries are optimal for W and b. V gives the multipliers of the first
    rows. The other multipliers solve quadratic x + linear + matrix' y = 0 in least squares.
    """
    rest = form.matrix.shape[1] - form.atoms * form.width
    x = np.concatenate([weights.T.ravel(), np.zeros(rest)])
    start = form.atoms * form.width
    if form.has_intercept:
        x[start : start + form.width] = intercept
        start += form.width
    rowwise = form.norms < weights.size
    norms = row_norms(weights) if rowwise else np.abs(weights.T.ravel())
    x[start : start + form.norms] = norms
    start += form.norms
    links = form.rows.size * form.width
    fits = (form.matrix @ x)[:links]
    x[start : start + links] = fits
    fits = fits.reshape(form.width, -1).T
    x[start + links :] = loss.auxiliaries(fits, target[form.rows]).T.ravel()
    multipliers = np.zeros(form.matrix.shape[0])
    multipliers[:links] = -dual_point[form.rows].T.ravel()
    slope = form.quadratic @ x + form.linear[:, column] + form.matrix.T @ multipliers
    multipliers[links:] = lsqr(form.matrix[links:].T, -slope)[0]
    return ConicAnswer(x, multipliers, "start")


def offer_without_dust(
    monitor: Monitor,
    weights: Array,
    intercept: Array,
    dual_point: Array | None,
    outputs: Sequence[int] | None = None,
) -> None:
    """Offer an answer without negligible weights; offer it unchanged if the gap is too large."""
    sizes = np.abs(weights)
    if not monitor.program.penalty.separable:
        sizes = row_norms(weights)[:, None]  # rows come and go as a whole
    kept = sizes > _NEGLIGIBLE * sizes.max(axis=0, initial=0.0)
    certificate = monitor.offer(np.where(kept, weights, 0.0), intercept, dual_point, outputs)
    if certificate is not None and certificate.absolute_gap > monitor.block_gap:
        monitor.offer(weights, intercept, dual_point, outputs)
