"""Monitor: certificates of all answers that a backend offers, the best answer, and the time."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from ..certificates.certificate import Certificate
from ..certificates.certify import certify_answer, certify_priced, certify_quickly
from ..certificates.exact_sums import low_strength
from ..dictionaries.validation import Array, real_array
from ..formulations import ConvexProgram
from .clock import now


@dataclass(frozen=True)
class Progress:
    """Certified figures of the best answer so far.

    ``seconds`` count from the start of the solve. ``primal``, ``dual`` and ``absolute_gap``
    are in units of the objective; ``relative_gap`` is relative to the program's reference.
    ``active`` counts the atoms with a weight. ``residuals`` are the relative primal and dual
    residual of a splitting method, None for other methods.
    """

    seconds: float
    primal: float
    dual: float
    absolute_gap: float
    relative_gap: float
    active: int
    residuals: tuple[float, float] | None = None


class Monitor:
    """Best certified answer so far per block of outputs, and the time left.

    Backends may solve blocks separately, so the best answer may combine blocks of different
    offers. A block without an offer keeps the start of the solve: W = 0 or the warm start.
    Backends start from ``weights`` (P, C), ``intercept`` (C,) and ``dual_point`` (N, C).
    ``absolute_gaps`` (B,) are the certified gaps. Backends add their iterations to
    ``iterations``.
    """

    def __init__(
        self,
        program: ConvexProgram,
        gap: float,
        time_limit: float,
        callback: Callable[[Progress], None] | None = None,
    ) -> None:
        self.program = program
        self.asked_gap = gap
        self.history: list[Progress] = []
        self.iterations = 0
        self.residuals: tuple[float, float] | None = None
        self.answered = False  # True after the backend's first offer; a warm start is no offer
        self.recover_seconds = 0.0
        self._callback = callback
        self._start = now()
        self._limit = time_limit
        self._programs: dict[tuple[int, ...], ConvexProgram] = {}
        n, atoms = program.design.shape
        self.weights = np.zeros((atoms, program.outputs))
        self.intercept = program.null_intercept.copy()
        self.dual_point = np.zeros((n, program.outputs))
        # at W = 0 the dual point 0 proves the bound 0
        self._primals = program.references.copy()
        self.absolute_gaps = program.references.copy()

    @property
    def seconds(self) -> float:
        """Seconds since the solve began."""
        return now() - self._start

    @property
    def remaining(self) -> float:
        """Seconds left, at least 0."""
        return max(self._limit - self.seconds, 0.0)

    @property
    def out_of_time(self) -> bool:
        """Whether the time limit has passed."""
        return self.remaining == 0.0

    @property
    def block_gap(self) -> float:
        """Gap that each block may have so that all blocks together meet the asked gap."""
        return self.asked_gap * self.program.reference / len(self.program.blocks)

    @property
    def done(self) -> bool:
        """Whether the asked gap is certified."""
        return float(self.absolute_gaps.sum()) <= self.asked_gap * self.program.reference

    def begin(self, weights: Array, intercept: Array, dual_point: Array) -> None:
        """Start from a given answer, which does not count as the backend's."""
        self.offer(weights, intercept, dual_point)
        self.answered = False

    def settle_at_zero(self) -> bool:
        """Take W = 0 and b0 as the answer if its own dual point certifies the asked gap.

        This needs no pass over D beyond that of ``null_dual``, which a path shares, but at
        strengths near the rounding of prices.
        """
        program, weights = self.program, np.zeros_like(self.weights)
        if program.penalty.norm is None:
            found = certify_quickly(program, weights, program.null_intercept)
        else:
            parts = weights, program.null_intercept, *program.null_dual
            found = certify_priced(program, *parts)
            if found.relative_gap > self.asked_gap and low_strength(program, parts[2]):
                found = certify_quickly(program, weights, program.null_intercept)
        if found.relative_gap > self.asked_gap:
            return False
        self.offer(weights, program.null_intercept, found.dual_point)
        return self.done

    def offer(
        self,
        weights: Array,
        intercept: Array,
        dual_point: Array | None = None,
        outputs: Sequence[int] | None = None,
        largest_prices: Array | None = None,
    ) -> Certificate | None:
        """Certify an answer to some outputs (default: all) and keep the blocks that it improves.

        ``weights`` are (P, c), ``intercept`` (c,) and ``dual_point`` (N, c). If the caller gives
        ``largest_prices``, a bound on the largest prices of ``dual_point``, the monitor tries
        no other dual point and needs no pass over D. The monitor drops an answer that is not
        finite and returns None.
        """
        start = now()
        chosen = tuple(range(self.program.outputs)) if outputs is None else tuple(outputs)
        weights = _shaped("weights", weights, self.program.design.shape[1], len(chosen))
        intercept = _shaped("intercept", intercept, len(chosen))
        if dual_point is not None:
            dual_point = _shaped("dual_point", dual_point, len(self.program.target), len(chosen))
        if not (np.isfinite(weights).all() and np.isfinite(intercept).all()):
            return None
        self.answered = True
        if dual_point is not None and not np.isfinite(dual_point).all():
            dual_point = None
        if chosen not in self._programs:
            self._programs[chosen] = self.program.select(chosen)
        program = self._programs[chosen]
        if largest_prices is None or dual_point is None:
            points = [] if dual_point is None else [dual_point]
            certificate = certify_quickly(program, weights, intercept, points)
        else:
            certificate = certify_priced(program, weights, intercept, dual_point, largest_prices)
        block_of = {c: k for k, block in enumerate(self.program.blocks) for c in block}
        blocks = [block_of[chosen[block[0]]] for block in program.blocks]
        better = certificate.absolute_gaps < self.absolute_gaps[blocks]
        for k in np.flatnonzero(better):
            block = self.program.blocks[blocks[k]]
            here = [chosen.index(c) for c in block]
            self.weights[:, block] = weights[:, here]
            self.intercept[list(block)] = intercept[here]
            self.dual_point[:, block] = certificate.dual_point[:, here]
            self.absolute_gaps[blocks[k]] = certificate.absolute_gaps[k]
            self._primals[blocks[k]] = certificate.primals[k]
        self.recover_seconds += now() - start
        if better.any() or not self.history:
            self._record()
        return certificate

    def settle(self) -> Certificate:
        """Recompute the certificate of the best answer; add it to the history if it is better."""
        start = now()
        certificate = certify_answer(
            self.program, self.weights, self.intercept, [self.dual_point], "solve"
        )
        better = bool((certificate.absolute_gaps < self.absolute_gaps).any())
        self.absolute_gaps, self._primals = (
            certificate.absolute_gaps.copy(),
            certificate.primals.copy(),
        )
        self.recover_seconds += now() - start
        if better and self.history:  # W = 0 without an offer is no progress
            self._record()
        return certificate

    def _record(self) -> None:
        primal, gap = float(self._primals.sum()), float(self.absolute_gaps.sum())
        progress = Progress(
            seconds=self.seconds,
            primal=primal,
            dual=primal - gap,
            absolute_gap=gap,
            relative_gap=self.program.relative(gap),
            active=int(np.count_nonzero(self.weights.any(axis=1))),
            residuals=self.residuals,
        )
        self.history.append(progress)
        if self._callback is not None:
            self._callback(progress)


def _shaped(name: str, values: ArrayLike, *shape: int) -> Array:
    """Return float64 of a shape, in which a last axis of 1 may be left out; they may be NaN."""
    array = real_array(name, values)
    if array.shape != shape and not (shape[-1] == 1 and array.shape == shape[:-1]):
        raise ValueError(f"{name}: expected shape {shape} from the backend, got {array.shape}")
    return array.reshape(shape)
