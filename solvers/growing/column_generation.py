"""Column generation: rounds that solve over the current atoms, price the class and add atoms.

``grow.py`` states the purpose and starts the rounds. A round solves the program over the current
atoms, prices the class at the dual point, and adds atoms with violated constraints. Dual points
of losses with kinks jump from vertex to vertex, so pricing first tries a point between the
current and the best dual point (Wentges 1997).

If the caller limits the number of atoms, a round first removes atoms without a weight, then those
that contribute least to the fit. If the objective then does not fall, the next round undoes the
swap and halves its size.
"""

from dataclasses import replace
from enum import Enum
from typing import Any

import numpy as np

from ...certificates.certify import certify_answer, certify_priced
from ...dictionaries import BinaryMatrix, GivenWitnesses, Layer, SpikeDictionary
from ...dictionaries.validation import Array
from ...formulations import ConvexProgram
from ..clock import now
from ..solution import INTERRUPTED, Solution, Status, status_of
from ..solve import solve
from .pricing import Priced, Pricing, Question, Witness

_ALONE = 0.2  # gap of each program over the current atoms, as a share of the asked gap
_BETWEEN = 0.8  # weight of the best dual point in the point that pricing tries first
_EMPTY = 3  # rounds of a search without a new atom, after which growing ends
_PATIENCE = 10  # rounds of evictions, or of a search, without progress, after which growing ends


class StopReason(Enum):
    """Reason why growing ended."""

    GAP = "the asked global gap is reached"
    ATOMS = "budget: all atoms allowed carry a weight"
    ROUNDS = "budget: out of rounds"
    TIME = "budget: out of time"
    INTERRUPTED = "interrupted"
    PLATEAU = "plateau: no atom was found that helps"


class AtHand:
    """Current atoms, their witnesses, and the program over them."""

    def __init__(
        self, program: ConvexProgram, dictionary: SpikeDictionary, per_round: int, most: int | None
    ) -> None:
        self.program = program
        self._first = dictionary
        self.per_round = per_round
        self._most = most
        bank = dictionary.witnesses
        layers = {int(k): bank.layers(int(k)) for k in np.unique(dictionary.origin[:, 0])}
        self._witnesses: list[Witness] = [(layers[k], j) for k, j in dictionary.origin.tolist()]
        self.evicts = False
        if most is not None and most < len(self._witnesses):
            self._keep(np.arange(len(self._witnesses)) < most)

    @property
    def known(self) -> set[bytes]:
        """The packed columns of the current atoms."""
        return {column.tobytes() for column in self.program.design.words}

    def room(self, active: int) -> int:
        """Return how many atoms the next round may add without removing an active atom."""
        free = self.per_round if self._most is None else self._most - active
        return min(free, self.per_round)

    def as_it_is(self) -> tuple[ConvexProgram, list[Witness]]:
        """Return the state for :meth:`restore`."""
        return self.program, list(self._witnesses)

    def restore(self, state: tuple[ConvexProgram, list[Witness]]) -> None:
        """Restore an earlier state."""
        self.program, self._witnesses = state

    def most_used(self, weights: Array) -> list[Witness]:
        """Return the witnesses of the active atoms, largest weight first."""
        sizes = np.abs(weights).max(axis=1)
        order = np.argsort(-sizes, kind="stable")[: np.count_nonzero(sizes)]
        return [self._witnesses[j] for j in order]

    def add(self, found: Priced, solution: Solution) -> Solution:
        """Add atoms, remove as many as the limit requires, and return the next warm start.

        Atoms without a weight are removed first, in order of their prices, then the atoms that
        contribute least to the fit.
        """
        weights = solution.weights
        excess = 0
        if self._most is not None:
            excess = len(weights) + len(found.witnesses) - self._most
        if excess > 0:
            self.evicts = True
            design = self.program.design
            prices = np.abs(design.rmatvec(solution.dual_point)).max(axis=1)
            moves = (weights**2).sum(axis=1) * design.column_sums()
            kept = np.ones(len(weights), dtype=np.bool_)
            kept[np.lexsort((prices, moves))[:excess]] = False
            self._keep(kept)
            weights = weights[kept]
        self.program = self.program.over(BinaryMatrix.hstack([self.program.design, found.atoms]))
        self._witnesses += found.witnesses
        padded = np.concatenate([weights, np.zeros((len(found.witnesses), weights.shape[1]))])
        return replace(solution, program=self.program, weights=padded)

    def _keep(self, kept: Any) -> None:
        self.program = self.program.over(self.program.design.take(kept))
        self._witnesses = [w for w, stays in zip(self._witnesses, kept, strict=True) if stays]

    def dictionary(self, design: BinaryMatrix) -> SpikeDictionary:
        """Build the dictionary of the current atoms: ``design`` with a bank of their subnetworks.

        It keeps the class record of the dictionary that growing started from.
        """
        number: dict[int, int] = {}
        subnetworks: list[list[Layer]] = []
        origin: list[tuple[int, int]] = []
        for layers, neuron in self._witnesses:
            if id(layers) not in number:
                number[id(layers)] = len(subnetworks)
                subnetworks.append(layers)
            origin.append((number[id(layers)], neuron))
        return replace(
            self._first.take([]),
            atoms=design,
            witnesses=GivenWitnesses(subnetworks),
            origin=np.array(origin, dtype=np.int64),
        )


class ColumnGeneration:
    """Loop of solving and pricing, with the best answer and bound so far."""

    def __init__(self, hand: AtHand, oracle: Pricing, gap: float, deadline: float) -> None:
        self.hand, self.oracle, self.asked_gap, self.deadline = hand, oracle, gap, deadline
        self.solution: Solution | None = None
        self.state = hand.as_it_is()  # the atoms and program of self.solution
        self._start: Solution | None = None  # the last answer, padded for the atoms added since
        self._bounds: Array | None = None  # lower bound of each block
        self._best: Array | None = None  # the dual point that proves the bounds
        self._empty = 0
        self._progress: list[tuple[float, float]] = []
        self._swap = hand.per_round  # active atoms that a round may replace
        self._before: tuple[Any, Solution] | None = None  # state and answer before a swap

    @property
    def bound(self) -> float | None:
        """Lower bound on the global optimum, None before the first."""
        return None if self._bounds is None else float(self._bounds.sum())

    @property
    def global_gap(self) -> float | None:
        """Primal minus bound, relative to the program's reference."""
        if self.bound is None or self.solution is None:
            return None
        primal = self.solution.certificate.primal
        return max(self.solution.program.relative(primal - self.bound), 0.0)

    @property
    def _seconds(self) -> float:
        return max(self.deadline - now(), 0.0)

    def round(self) -> tuple[StopReason | None, int]:
        """Solve, price and add atoms; return why to stop, and how many atoms were added."""
        solution = self._solved()
        if self._before is not None:
            state, earlier = self._before
            self._before = None
            if solution.certificate.primal >= earlier.certificate.primal:
                self.hand.restore(state)
                solution = earlier
                self._swap //= 2
        self.solution, self.state = solution, self.hand.as_it_is()
        if solution.status is Status.INTERRUPTED:
            return StopReason.INTERRUPTED, 0
        if self._seconds == 0.0:
            return StopReason.TIME, 0
        free = self.hand.room(solution.active.size)
        room = max(free, self._swap)
        found = self._priced(solution, max(room, 1))
        if self.global_gap is not None and self.global_gap <= self.asked_gap:
            return StopReason.GAP, 0
        if self._seconds == 0.0:
            return StopReason.TIME, 0
        if not found.witnesses:
            self._empty += 1
            proven = found.largest is not None
            return (StopReason.PLATEAU if proven or self._empty == _EMPTY else None), 0
        self._empty = 0
        if room == 0:
            return StopReason.ATOMS, 0
        if self._at_rest(solution):
            return StopReason.PLATEAU, 0
        if len(found.witnesses) > free:
            self._before = self.hand.as_it_is(), solution
        self._start = self.hand.add(found, solution)
        return None, len(found.witnesses)

    def _solved(self) -> Solution:
        """Solve over the current atoms; return the previous answer if the objective rose."""
        program, before = self.hand.program, self._start
        if before is not None and before.program is not program:
            before = None
        solution = solve(
            program,
            gap=_ALONE * self.asked_gap,
            time_limit=max(self._seconds, 1e-3),
            warm_start=before,
        )
        if solution.message == INTERRUPTED and self.solution is not None:
            raise KeyboardInterrupt  # the answer of the previous round is no worse
        swapped = self._before is not None
        if before is None or swapped or not self._rose(solution, before):
            return solution
        return self._again(before, solution.dual_point)

    @staticmethod
    def _rose(solution: Solution, before: Solution) -> bool:
        return solution.certificate.primal > before.certificate.primal

    def _again(self, before: Solution, dual_point: Array | None = None) -> Solution:
        """Certify the previous round's answer over the current atoms."""
        point = before.dual_point if dual_point is None else dual_point
        certificate = certify_answer(
            before.program, before.weights, before.intercept, [point], "solve"
        )
        status = status_of(before.program, certificate, before.asked_gap, Status.INACCURATE)
        return replace(
            before,
            certificate=certificate,
            dual_point=certificate.dual_point,
            status=status,
        )

    def _priced(self, solution: Solution, room: int) -> Priced:
        """Price a point between the best and the current dual point, then the current if needed."""
        program = solution.program
        points = [solution.dual_point]
        if self._best is not None and program.loss.curvature == np.inf:
            points.insert(0, (1.0 - _BETWEEN) * solution.dual_point + _BETWEEN * self._best)
        known, active = self.hand.known, self.hand.most_used(solution.weights)
        for point in points:
            question = Question(
                point, program.norm_width, program.strength, room, known, active, self._seconds
            )
            found = self.oracle.price(question).first(room)
            if found.largest is not None:
                self._bounded(solution, point, found.largest)
            if found.witnesses or (
                self.global_gap is not None and self.global_gap <= self.asked_gap
            ):
                break
        return found

    def _bounded(self, solution: Solution, point: Array, largest: Array) -> None:
        """Update each block's bound by the bound that a dual point proves for all witnesses."""
        program = solution.program
        largest_prices = largest.reshape(len(program.blocks), -1).max(axis=1)
        proven = certify_priced(
            program, solution.weights, solution.intercept, point, largest_prices
        )
        bounds = proven.primals - proven.absolute_gaps - proven.rounding
        if self._bounds is None or self._best is None:
            self._bounds, self._best = bounds, proven.dual_point.copy()
            return
        for k, block in enumerate(program.blocks):
            if bounds[k] > self._bounds[k]:
                self._bounds[k] = bounds[k]
                self._best[:, block] = proven.dual_point[:, block]

    def _at_rest(self, solution: Solution) -> bool:
        """Whether rounds that evict atoms or search without a bound have stopped progressing."""
        bound = -np.inf if self.bound is None else self.bound
        self._progress.append((solution.certificate.primal, bound))
        if len(self._progress) <= _PATIENCE:
            return False
        primal, lower = self._progress[-1 - _PATIENCE]
        least = self.asked_gap * solution.program.reference
        still = primal - solution.certificate.primal < least and not bound > lower
        return still and (self.hand.evicts or self.oracle.grounds is None)
