"""newton: built-in semismooth Newton method on working sets, for every loss and penalty.

A round prices every column of the dictionary at the dual point, 0/1 columns by bit planes. This
certifies the current answer. The round then adds the columns with the most violated constraints
to the working set. It solves the program of the working set by proximal point steps
(``working_set.py``) to a share of the gap (adaptive sieving; Yuan, Lin, Sun and Toh 2023).
Coherent dictionaries slow first-order methods down but do not cost newton more steps.

Memory holds the packed columns of the working set. Up to 4,000 columns it also holds their Gram
matrix, its factor and copies (1.7 GB if all columns are active). With more columns it holds a
factor of the size of the support. Under the group norm it holds a Gram matrix per output
(at most 800 MB). A packed D is never unpacked.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...dictionaries.norms import row_norms
from ...dictionaries.validation import Array
from ...formulations import ConvexProgram
from ..backend import Backend
from ..monitor import Monitor
from ..process import one_blas_thread
from ..turns import LATE, STUCK, Turn, take_turns
from .proximal_steps import Scales
from .tuning import TUNING
from .working_set import descend


class Newton(Backend):
    """Built-in semismooth Newton method; it has no options."""

    name = "newton"

    def accepts(self, program: ConvexProgram) -> str | None:
        """See :class:`Backend`."""
        if program.penalty.norm is None:
            return f"takes norms only, and the {program.penalty.name} penalty sets no norm"
        missing = program.loss.lacks("second" if program.loss.separable else "second_by_shares")
        if missing:
            return f"needs a second derivative of the loss, and {missing}"
        if program.strength == 0:
            return "needs a strength above 0, because no gap to stop at can be certified at 0"
        return None

    def solve(self, model: ConvexProgram, monitor: Monitor, options: dict[str, Any]) -> str:
        """See :class:`Backend`; an iteration is a Newton step."""
        if options:
            raise ValueError(f"options: newton takes none, got {sorted(options)}; remove them")
        runs: dict[int, Iterator[str]] = {}
        words: dict[int, str] = {}

        def step(k: int, turn: Turn) -> bool:
            if k not in runs:
                runs[k] = _solve_block(model, k, monitor, turn)
            words[k] = next(runs[k])
            return words[k] == LATE

        # most of newton's systems are small: with BLAS threads they take up to seven times as long
        with one_blas_thread.held():
            take_turns(monitor, range(len(model.blocks)), step)
        return ", ".join(sorted(set(words.values())))


def _solve_block(whole: ConvexProgram, k: int, monitor: Monitor, turn: Turn) -> Iterator[str]:
    """Solve block k from the monitor's answer; yield at the end of each turn, and why it ended."""
    block = whole.blocks[k]
    program = whole.select(block)
    weights, intercept = monitor.weights[:, block], monitor.intercept[list(block)]
    dual_point = program.dual_at(program.affine(weights, intercept))
    if not np.isfinite(dual_point).all():
        yield "overflow in float64"
        return
    # as accurate as the last prices: at and above lambda_max these are the only ones
    sizes, largest_prices = _price(program, dual_point, TUNING.price_share * monitor.asked_gap)
    monitor.offer(weights, intercept, dual_point, block, largest_prices)
    scales = Scales.of(program, min(1.0, program.relative(float(monitor.absolute_gaps[k]))))
    working = np.zeros(0, dtype=np.intp)
    stuck, waited, share, by_rows = False, 0, TUNING.share_open, False
    while monitor.absolute_gaps[k] > monitor.block_gap:
        if turn.late:
            yield LATE
        before = working
        working = _working_set(program.strength, sizes, weights, working)
        if waited == TUNING.patience or (stuck and np.array_equal(before, working)):
            yield STUCK
            return
        alone = program.take(working)
        goal = max(share * monitor.absolute_gaps[k], 0.5 * monitor.block_gap)
        answer, steps = descend(
            alone,
            weights[working],
            intercept,
            dual_point,
            scales,
            goal,
            lambda: turn.late,
            by_rows,
        )
        by_rows = answer.by_rows  # once float64 fails for quadratics, it fails again
        monitor.iterations += steps
        weights = np.zeros_like(weights)
        weights[working], intercept = answer.weights, answer.intercept
        dual_point, feasible = answer.v, answer.certificate.dual_point
        sizes, largest_prices = _price(
            program, feasible, TUNING.price_share * program.relative(goal)
        )
        gap = monitor.absolute_gaps[k]
        monitor.offer(weights, intercept, feasible, block, largest_prices)
        waited = 0 if monitor.absolute_gaps[k] < gap else waited + 1
        stuck = answer.stuck
        # whether columns outside add little to the gap of the working set
        settled = monitor.absolute_gaps[k] < TUNING.gap_settled * answer.certificate.absolute_gap
        share = min(max(share * (0.2 if settled else 3.0), TUNING.share_settled), TUNING.share_open)
        if not settled:  # the last steps were too long for a working set that still changes
            scales.grow(0.2)
    yield "gap reached"


def _price(program: ConvexProgram, dual_point: Array, share: float) -> tuple[Array, Array | None]:
    """Return the sizes of all prices (P,) and a bound on the largest, (1,) or None.

    The error of the prices is at most ``share`` of the strength. If rounding is larger than
    this, the bound is None.
    """
    rounding = program.design.finest_accuracy(dual_point)
    # a norm may be off by more than its parts
    accuracy = min(share, TUNING.price_error) * program.strength / np.sqrt(program.norm_width)
    prices, bound = program.design.rmatvec_within(dual_point, max(accuracy, rounding))
    if program.norm_width > 1:
        sizes = row_norms(prices)
        bound *= np.sqrt(program.norm_width)
    else:
        sizes = np.abs(prices).max(axis=1)
    return sizes, np.array([sizes.max() + bound]) if accuracy > rounding else None


def _working_set(
    strength: float, sizes: Array, weights: Array, working: NDArray[np.intp]
) -> NDArray[np.intp]:
    """Return the active columns, those near their constraints, and the most violated ones."""
    used = np.flatnonzero(weights.any(axis=1))
    kept = np.zeros(len(weights), dtype=np.bool_)
    kept[used] = True
    kept[working] |= sizes[working] > TUNING.slack * strength
    outside = np.flatnonzero((sizes > (1.0 - TUNING.price_error) * strength) & ~kept)
    most = max(TUNING.columns_added, 2 * used.size)
    worst = outside[np.argsort(-sizes[outside], kind="stable")[:most]]
    kept[worst] = True
    found = np.flatnonzero(kept)
    return found if found.size else np.array([int(sizes.argmax())])
