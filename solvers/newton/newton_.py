"""newton: semismooth Newton on working sets, our own, for every loss and penalty.

A round prices every column of the dictionary at the dual point (of 0/1 ones by bit
planes), which certifies the answer so far, adds the columns whose constraints are
violated most to those in use, and solves the program of that working set by proximal
point steps (``working_set.py``) to a share of the gap (adaptive sieving; Yuan, Lin,
Sun and Toh 2023). Coherent dictionaries, on which first-order methods crawl, cost
it no more steps than others. Memory: the packed columns of the working set; up to 4,000
of them their Gram matrix, its factor and copies (1.7 GB where all are used), past that a
factor of the size of the support; and under the group norm a Gram matrix an output (800 MB
at most). A packed D is never unpacked.
"""

from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import ThreadpoolController

from ...dictionaries.validation import Array
from ...formulations import ConvexProgram
from ..backend import Backend
from ..monitor import Monitor
from .proximal_steps import Scales
from .tuning import TUNING
from .working_set import descend

_STUCK = "no further progress in float64"


class Newton(Backend):
    """Own semismooth Newton; takes no options."""

    name = "newton"

    def accepts(self, program: ConvexProgram) -> str | None:
        """See :class:`Backend`."""
        if program.penalty.norm is None:
            return f"takes norms, and the {program.penalty.name} penalty sets no norm"
        missing = program.loss.lacks("second" if program.loss.separable else "second_by_shares")
        if missing:
            return f"takes Newton steps, and {missing}"
        if program.strength == 0:
            return "takes no strength of 0, at which no gap that it could stop on is certified"
        return None

    def solve(self, model: ConvexProgram, monitor: Monitor, options: dict[str, Any]) -> str:
        """See :class:`Backend`; an iteration is a Newton step."""
        if options:
            raise ValueError(f"options: newton takes none, got {sorted(options)}")
        blocks = len(model.blocks)
        words = set()
        # most of its systems are small, and handing them to threads takes up to seven times as long
        with _thread_pools().limit(limits=1, user_api="blas"):
            for k in range(blocks):
                # a fair share of the time left, so that each block gets an answer
                deadline = monitor.seconds + monitor.remaining / (blocks - k)
                words.add(_solve_block(model, k, monitor, deadline))
        return ", ".join(sorted(words))


@cache
def _thread_pools() -> ThreadpoolController:
    """The libraries with threads of their own, looked for once."""
    return ThreadpoolController()


def _solve_block(whole: ConvexProgram, k: int, monitor: Monitor, deadline: float) -> str:
    """Solve block k, from the monitor's answer; how it ended."""
    block = whole.blocks[k]
    program = whole.select(block)
    weights, intercept = monitor.weights[:, block], monitor.intercept[list(block)]
    dual_point = program.dual_at(program.affine(weights, intercept))
    if not np.isfinite(dual_point).all():
        return "overflow in float64"
    # as fine as the last will be: from lambda_max on there is no other
    sizes, largest_prices = _price(program, dual_point, TUNING.price_share * monitor.asked_gap)
    monitor.offer(weights, intercept, dual_point, block, largest_prices)
    scales = Scales.of(program, min(1.0, program.relative(float(monitor.absolute_gaps[k]))))
    working = np.zeros(0, dtype=np.intp)
    stuck, waited, share, by_rows = False, 0, TUNING.share_open, False
    while monitor.absolute_gaps[k] > monitor.block_gap:
        if monitor.seconds >= deadline:
            return "time limit"
        before = working
        working = _working_set(program.strength, sizes, weights, working)
        if waited == TUNING.patience or (stuck and np.array_equal(before, working)):
            return _STUCK
        alone = program.take(working)
        goal = max(share * monitor.absolute_gaps[k], 0.5 * monitor.block_gap)
        answer, steps = descend(
            alone,
            weights[working],
            intercept,
            dual_point,
            scales,
            goal,
            lambda: monitor.seconds >= deadline,
            by_rows,
        )
        by_rows = answer.by_rows  # what float64 was too short for once it will be again
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
        # whether columns outside cost little beside what the working set left open
        settled = monitor.absolute_gaps[k] < TUNING.gap_settled * answer.certificate.absolute_gap
        share = min(max(share * (0.2 if settled else 3.0), TUNING.share_settled), TUNING.share_open)
        if not settled:  # steps as long as the last ones were for columns that have changed since
            scales.grow(0.2)
    return "gap reached"


def _price(program: ConvexProgram, dual_point: Array, share: float) -> tuple[Array, Array | None]:
    """The sizes of all prices (P,) and a bound on the largest, (1,).

    They are off by at most a share of the strength, or by rounding, and then without a bound.
    """
    rounding = program.design.finest_accuracy(dual_point)
    # a norm may be off by more than its parts
    accuracy = min(share, TUNING.price_error) * program.strength / np.sqrt(program.norm_width)
    prices, bound = program.design.rmatvec_within(dual_point, max(accuracy, rounding))
    if program.norm_width > 1:
        sizes = np.linalg.norm(prices, axis=1)
        bound *= np.sqrt(program.norm_width)
    else:
        sizes = np.abs(prices).max(axis=1)
    return sizes, np.array([sizes.max() + bound]) if accuracy > rounding else None


def _working_set(
    strength: float, sizes: Array, weights: Array, working: NDArray[np.intp]
) -> NDArray[np.intp]:
    """Columns in use or near their constraints, and the worst of those that violate theirs."""
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
