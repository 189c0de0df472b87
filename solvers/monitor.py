"""Monitor: certifies every answer a backend offers, keeps the best and the time."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..certificates import certify
from ..formulations import ConvexProgram

Array = NDArray[np.float64]


@dataclass(frozen=True)
class Progress:
    """Where a solve stands: the best answer so far, certified.

    ``seconds`` since the solve began; ``primal``, ``dual`` and ``gap`` in
    units of the objective; ``relative_gap`` relative to the program's
    reference; ``active`` atoms with a weight.
    """

    seconds: float
    primal: float
    dual: float
    gap: float
    relative_gap: float
    active: int


class Monitor:
    """The best certified answer so far, output by output, and how much time is left.

    Outputs separate under the penalty, so the best answer may take each
    output from another offer; an output that nobody has answered stands at
    W = 0. ``gaps`` (C,) are the certified gaps.
    """

    def __init__(
        self,
        program: ConvexProgram,
        gap: float,
        time_limit: float,
        callback: Callable[[Progress], None] | None = None,
    ) -> None:
        self.program = program
        self.gap = gap
        self.history: list[Progress] = []
        self._callback = callback
        self._start = time.perf_counter()
        self._limit = time_limit
        self._programs: dict[tuple[int, ...], ConvexProgram] = {}
        n, atoms = program.design.shape
        self.weights = np.zeros((atoms, program.outputs))
        self.intercept = program.null_intercept.copy()
        self.dual_point = np.zeros((n, program.outputs))
        # at W = 0 the dual point 0 proves the bound 0
        self._primals = program.references.copy()
        self.gaps = program.references.copy()

    @property
    def seconds(self) -> float:
        """Seconds since the solve began."""
        return time.perf_counter() - self._start

    @property
    def remaining(self) -> float:
        """Seconds left, at least 0."""
        return max(self._limit - self.seconds, 0.0)

    @property
    def out_of_time(self) -> bool:
        """Whether the time limit has passed."""
        return self.remaining == 0.0

    @property
    def share(self) -> float:
        """Largest gap of one output with which all together meet the asked gap."""
        return self.gap * self.program.reference / self.program.outputs

    @property
    def done(self) -> bool:
        """Whether the asked gap is certified."""
        return float(self.gaps.sum()) <= self.gap * self.program.reference

    def offer(
        self,
        weights: Array,
        intercept: Array,
        dual_point: Array | None = None,
        outputs: Sequence[int] | None = None,
    ) -> None:
        """Certify an answer to some outputs (all unless said) and keep what is better.

        ``weights`` (P, c), ``intercept`` (c,), ``dual_point`` (N, c). Answers
        that are not finite are dropped.
        """
        chosen = tuple(range(self.program.outputs)) if outputs is None else tuple(outputs)
        if not (np.isfinite(weights).all() and np.isfinite(intercept).all()):
            return
        if dual_point is not None and not np.isfinite(dual_point).all():
            dual_point = None
        if chosen not in self._programs:
            self._programs[chosen] = self.program.select(chosen)
        program = self._programs[chosen]
        certificate = certify(program, weights=weights, intercept=intercept, dual_point=dual_point)
        better = certificate.gaps < self.gaps[list(chosen)]
        for k, c in enumerate(chosen):
            if better[k]:
                self.weights[:, c] = weights[:, k]
                self.intercept[c] = intercept[k]
                self.dual_point[:, c] = certificate.dual_point[:, k]
                self.gaps[c] = certificate.gaps[k]
                self._primals[c] = certificate.primals[k]
        if better.any() or not self.history:
            self._record()

    def _record(self) -> None:
        primal, gap = float(self._primals.sum()), float(self.gaps.sum())
        relative = self.program.relative(gap)
        active = int(np.count_nonzero(self.weights.any(axis=1)))
        progress = Progress(self.seconds, primal, primal - gap, gap, relative, active)
        self.history.append(progress)
        if self._callback is not None:
            self._callback(progress)
