"""grow(): from a sampled dictionary towards the global optimum, by column generation.

Training over *all* witnesses of a class has the dual constraint |d'V| <= strength for every atom d
that any of them can fire (Udupi, Yang and Zhai 2026, Theorem 3.4; Ergen et al. 2023, Theorem
2.2). A round solves the program over the atoms at hand, prices the class at its dual point, and
adds atoms whose constraints that violates. Where pricing bounds all witnesses, the dual point,
shrunk until it is feasible for all of them, bounds the global optimum from below; the best such
bound is kept, and growing ends when primal and bound meet. Duals of losses with kinks jump from
vertex to vertex, so pricing looks between the present one and the best (Wentges 1997).

Where the number of atoms is capped, those without a weight make room, and then atoms that move
the fit least, as long as the objective falls; else the swap is undone, and the next one is half
as large.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from enum import Enum
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import ArrayLike

from ..certificates import certify
from ..certificates.certify import certify_priced
from ..dictionaries import (
    BinaryMatrix,
    Budget,
    BudgetExceeded,
    GivenWitnesses,
    Layer,
    SpikeDictionary,
    check_sequences,
    roll_columns,
)
from ..dictionaries.pricing import (
    EnumerationPricing,
    Grounds,
    OneNeuron,
    Priced,
    Pricing,
    Question,
    RefinementPricing,
    SearchPricing,
    ThresholdMILPPricing,
    Witness,
)
from ..formulations import ConvexProgram
from ..formulations.arrays import is_number
from ..formulations.losses import Loss
from .backend import Array
from .solution import Solution, Status
from .solve import solve

_AUTO = Budget(patterns=300_000, seconds=5.0, nbytes=2**29)  # what "auto" enumerates
_ALONE = 0.2  # of the asked gap, which the program over the atoms at hand may leave open
_BETWEEN = 0.8  # how far from the present dual point towards the best one pricing looks
_TOLD_BY = 16  # subnetworks, by which neurons of different leaks are told
_EMPTY = 3  # rounds of a search without a new atom, after which it ends
_PATIENCE = 10  # rounds of evictions, or of a search, without progress

PricingName = Literal["auto", "exact", "milp", "search"]


class Formulation(Protocol):
    """A class of networks, as :class:`LIF` is one."""

    def sample(self, X: ArrayLike, subnetworks: int = ..., seed: int = ...) -> SpikeDictionary:
        """Sample a dictionary."""

    def program(self, dictionary: SpikeDictionary, y: ArrayLike, **options: Any) -> Any:
        """State the program of training over a dictionary."""


class Stopped(Enum):
    """Why growing ended."""

    GAP = "the asked global gap is reached"
    ATOMS = "budget: all atoms allowed carry a weight"
    ROUNDS = "budget: out of rounds"
    TIME = "budget: out of time"
    INTERRUPTED = "interrupted"
    PLATEAU = "plateau: no atom was found that helps"


@dataclass(frozen=True)
class Round:
    """Where growing stands after a round.

    ``seconds`` since it began; ``atoms`` at hand, of which ``active`` carry a weight; ``added``
    new ones for the next round; ``primal``, the objective; ``bound``, the best so far on the
    global optimum, and ``gap``, the distance relative to the reference; both None without a bound.
    """

    seconds: float
    atoms: int
    active: int
    added: int
    primal: float
    bound: float | None
    gap: float | None


@dataclass(frozen=True, eq=False)
class Growth:
    """A grown dictionary and the answer over it.

    Attributes
    ----------
    dictionary : SpikeDictionary
    program : ConvexProgram
        Over its atoms.
    solution : Solution
        Certified over its atoms alone; ``bound`` is the global statement.
    history : list of Round
    bound : float or None
        No network of the class has a lower objective.
    gap : float or None
        Global: primal minus bound, relative to the program's reference.
    grounds : {"exact", "milp"} or None
        What the bound rests on: every witness was priced, in whole numbers or over an enumeration;
        HiGHS's bounds, floating and to its tolerances; or nothing, for a search proves none.
    stopped : Stopped
    """

    dictionary: SpikeDictionary
    program: ConvexProgram
    solution: Solution
    history: list[Round] = field(repr=False)
    bound: float | None
    gap: float | None
    grounds: Grounds | None
    stopped: Stopped

    def __str__(self) -> str:
        last = self.history[-1]
        known = f"{last.primal:.9g} over {last.atoms} atoms, {last.active} in use"
        if self.gap is None:
            return f"{known}; no bound on the global optimum ({self.stopped.value})"
        how = {"exact": "every witness priced", "milp": "by HiGHS, to its tolerances"}
        grounds = how[self.grounds or "milp"]
        return f"{known}; global gap {self.gap:.2g}, {grounds} ({self.stopped.value})"


def grow(
    formulation: Formulation,
    X: ArrayLike,
    y: ArrayLike,
    loss: str | Loss = "squared",
    *,
    atoms: SpikeDictionary | int = 50,
    gap: float = 1e-6,
    pricing: PricingName | Pricing = "auto",
    per_round: int = 50,
    most_atoms: int | None = None,
    rounds: int = 1000,
    time_limit: float = np.inf,
    seed: int = 0,
    callback: Callable[[Round], None] | None = None,
    **options: Any,
) -> Growth:
    """Grow a dictionary until its program's optimum is that of the whole class, or budgets end.

    The objective never rises from round to round.

    Parameters
    ----------
    formulation : LIF, Feedforward or Recurrent
        The class of networks.
    X : (n, T, d) array, or (n, d) where the class takes that
    y : array
        As ``formulation.program`` takes it.
    loss : str or Loss
    atoms : SpikeDictionary or int
        Where to start: a dictionary of X, or so many subnetworks sampled.
    gap : float
        Global gap to reach, relative to the objective at W = 0.
    pricing : {"auto", "exact", "milp", "search"} or Pricing
        "exact" prices every atom of the class: of an enumeration, or for a LIF layer
        with one or two inputs where that is too large by branch and bound. "milp"
        bounds threshold units by mixed-integer programs. Both cover one hidden layer;
        "search" takes every class and bounds nothing. "auto" enumerates where that takes
        seconds, and else searches.
    per_round : int
        Atoms that a round adds at most.
    most_atoms : int, optional
        Atoms at hand at most. Where it binds, atoms without a weight make room, and
        then others where that lowers the objective.
    rounds : int
    time_limit : float, seconds
        Looked at between steps; an enumeration has its own budget.
    seed : int
        Of the subnetworks sampled and of the search.
    callback : callable, optional
        Called with each Round.
    **options
        For ``formulation.program``: beta or strength, row_weights, intercept and so on.

    Returns
    -------
    Growth

    Raises
    ------
    ValueError
        If an argument is out of its range, the strength is 0, pricing does not cover the class,
        or ``atoms`` is a dictionary of other inputs or of another class.
    BudgetExceeded
        If "exact" is asked and no method is feasible.

    Examples
    --------
    >>> from itertools import product
    >>> import numpy as np, bidual as bd
    >>> from bidual.solvers.growing import grow
    >>> strings = np.array(list(product((0, 1), repeat=4)))
    >>> X, y = np.eye(2)[strings], strings[:, 0] ^ strings[:, -1]
    >>> grown = grow(bd.LIF(hidden=(1,), leak=0.5), X, y, "hinge", strength=0.02)
    >>> grown.stopped.name, grown.grounds, grown.gap < 1e-6
    ('GAP', 'exact', True)
    """
    start = time.perf_counter()
    _check(gap, per_round, most_atoms, rounds, time_limit)
    count = 0 if isinstance(atoms, SpikeDictionary) else _whole("atoms", atoms)
    # what the class is, its own sampler tells, whatever there is to start with
    own = formulation.sample(X, subnetworks=max(count, _TOLD_BY), seed=seed)
    sequences = _sequences(X, own.witnesses.inputs)
    dictionary = own
    if isinstance(atoms, SpikeDictionary):
        dictionary = atoms
        _check_dictionary(dictionary, own, sequences)
    elif count < _TOLD_BY:
        dictionary = formulation.sample(X, subnetworks=count, seed=seed)
    program = formulation.program(dictionary, y, loss=loss, **options)
    if not isinstance(program, ConvexProgram):
        raise ValueError(f"formulation: expected one program, got {type(program).__name__}")
    if program.strength == 0:
        raise ValueError("strength: expected a number above 0, at 0 every atom is priced too high")
    oracle = _oracle(pricing, sequences, own, seed)
    hand = _Hand(program, dictionary, per_round, most_atoms)
    growing = _Growing(hand, oracle, gap, start + time_limit)
    history: list[Round] = []
    solution: Solution | None = None
    stopped: Stopped | None = None
    while stopped is None or solution is None:
        try:
            stopped, added = growing.round()
        except KeyboardInterrupt:
            stopped, added = Stopped.INTERRUPTED, 0
        solution = growing.solution
        if solution is None:
            raise KeyboardInterrupt
        history.append(
            Round(
                seconds=time.perf_counter() - start,
                atoms=solution.program.design.shape[1],
                active=int(solution.active.size),
                added=added,
                primal=solution.certificate.primal,
                bound=growing.bound,
                gap=growing.global_gap,
            )
        )
        if callback is not None:
            callback(history[-1])
        if stopped is None and len(history) == rounds:
            stopped = Stopped.ROUNDS
    hand.restore(growing.state)
    return Growth(
        dictionary=hand.dictionary(solution.program.design),
        program=solution.program,
        solution=solution,
        history=history,
        bound=growing.bound,
        gap=growing.global_gap,
        grounds=oracle.grounds if growing.bound is not None else None,
        stopped=stopped,
    )


class _Hand:
    """The atoms at hand, their witnesses, and the program over them."""

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
        """The packed columns."""
        return {column.tobytes() for column in self.program.design.words}

    def room(self, active: int) -> int:
        """Atoms that the next round may add without one in use being dropped."""
        free = self.per_round if self._most is None else self._most - active
        return min(free, self.per_round)

    def as_it_is(self) -> tuple[ConvexProgram, list[Witness]]:
        """What :meth:`restore` takes."""
        return self.program, list(self._witnesses)

    def restore(self, state: tuple[ConvexProgram, list[Witness]]) -> None:
        """Go back to an earlier hand."""
        self.program, self._witnesses = state

    def most_used(self, weights: Array) -> list[Witness]:
        """Witnesses of the atoms with a weight, the largest first."""
        sizes = np.abs(weights).max(axis=1)
        order = np.argsort(-sizes, kind="stable")[: np.count_nonzero(sizes)]
        return [self._witnesses[j] for j in order]

    def add(self, found: Priced, solution: Solution) -> Solution:
        """Add atoms in place of as many as there must be; where the next solve starts.

        First those without a weight make room, the cheapest first; then those that move the fit
        least.
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
        self._design(BinaryMatrix.hstack([self.program.design, found.atoms]))
        self._witnesses += found.witnesses
        padded = np.concatenate([weights, np.zeros((len(found.witnesses), weights.shape[1]))])
        return replace(solution, program=self.program, weights=padded)

    def _keep(self, kept: Any) -> None:
        self._design(self.program.design.take(kept))
        self._witnesses = [w for w, stays in zip(self._witnesses, kept, strict=True) if stays]

    def _design(self, design: BinaryMatrix) -> None:
        old = self.program
        self.program = ConvexProgram(
            design,
            old.target,
            old.loss,
            old.strength,
            old.row_weights,
            old.intercept,
            old.classes,
            old.penalty,
        )

    def dictionary(self, design: BinaryMatrix) -> SpikeDictionary:
        """The dictionary of the atoms at hand: ``design``, with a bank of their subnetworks."""
        number: dict[int, int] = {}
        subnetworks: list[list[Layer]] = []
        origin: list[tuple[int, int]] = []
        for layers, neuron in self._witnesses:
            if id(layers) not in number:
                number[id(layers)] = len(subnetworks)
                subnetworks.append(layers)
            origin.append((number[id(layers)], neuron))
        first = self._first
        return SpikeDictionary(
            design,
            GivenWitnesses(subnetworks),
            np.array(origin, dtype=np.int64),
            first.readout,
            first.samples,
            first.steps,
        )


class _Growing:
    """Rounds of solving and pricing, and the best answer and bound so far."""

    def __init__(self, hand: _Hand, oracle: Pricing, gap: float, deadline: float) -> None:
        self.hand, self.oracle, self.gap, self.deadline = hand, oracle, gap, deadline
        self.solution: Solution | None = None
        self.state = hand.as_it_is()  # that it is an answer to
        self._start: Solution | None = None  # the last answer, padded for the atoms added since
        self._bounds: Array | None = None  # of each block
        self._best: Array | None = None  # the dual point that proves them
        self._empty = 0
        self._progress: list[tuple[float, float]] = []
        self._swap = hand.per_round  # atoms that take the places of others in use at a time
        self._before: tuple[Any, Solution] | None = None  # such a swap

    @property
    def bound(self) -> float | None:
        """On the global optimum."""
        return None if self._bounds is None else float(self._bounds.sum())

    @property
    def global_gap(self) -> float | None:
        """Primal minus bound, relative."""
        if self.bound is None or self.solution is None:
            return None
        primal = self.solution.certificate.primal
        return max(self.solution.program.relative(primal - self.bound), 0.0)

    @property
    def _seconds(self) -> float:
        return max(self.deadline - time.perf_counter(), 0.0)

    def round(self) -> tuple[Stopped | None, int]:
        """Solve, price and add; why to stop, and how many atoms were added."""
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
            return Stopped.INTERRUPTED, 0
        if self._seconds == 0.0:
            return Stopped.TIME, 0
        free = self.hand.room(solution.active.size)
        room = max(free, self._swap)
        found = self._priced(solution, max(room, 1))
        if self.global_gap is not None and self.global_gap <= self.gap:
            return Stopped.GAP, 0
        if self._seconds == 0.0:
            return Stopped.TIME, 0
        if not found.witnesses:
            self._empty += 1
            proven = found.largest is not None
            return (Stopped.PLATEAU if proven or self._empty == _EMPTY else None), 0
        self._empty = 0
        if room == 0:
            return Stopped.ATOMS, 0
        if self._at_rest(solution):
            return Stopped.PLATEAU, 0
        if len(found.witnesses) > free:
            self._before = self.hand.as_it_is(), solution
        self._start = self.hand.add(found, solution)
        return None, len(found.witnesses)

    def _solved(self) -> Solution:
        """Solve over the atoms at hand; the answer before where the new one is no better."""
        program, before = self.hand.program, self._start
        if before is not None and before.program is not program:
            before = None
        solution = solve(
            program,
            gap=_ALONE * self.gap,
            time_limit=max(self._seconds, 1e-3),
            warm_start=before,
        )
        if solution.status is Status.INTERRUPTED and self.solution is not None:
            raise KeyboardInterrupt  # what there was before is no worse
        swapped = self._before is not None
        if before is None or swapped or not self._rose(solution, before):
            return solution
        return self._again(before, solution.dual_point)

    @staticmethod
    def _rose(solution: Solution, before: Solution) -> bool:
        return solution.certificate.primal > before.certificate.primal

    def _again(self, before: Solution, dual_point: Array | None = None) -> Solution:
        """An answer of the round before as one over the atoms at hand now."""
        certificate = certify(
            before.program,
            weights=before.weights,
            intercept=before.intercept,
            dual_point=before.dual_point if dual_point is None else dual_point,
        )
        reached = certificate.relative_gap <= before.asked_gap
        return replace(
            before,
            certificate=certificate,
            dual_point=certificate.dual_point,
            status=Status.CERTIFIED if reached else Status.INACCURATE,
        )

    def _priced(self, solution: Solution, room: int) -> Priced:
        """Price between the best dual point and the present one, and there if need be."""
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
            if found.witnesses or (self.global_gap is not None and self.global_gap <= self.gap):
                break
        return found

    def _bounded(self, solution: Solution, point: Array, largest: Array) -> None:
        """Keep what a dual point proves of all witnesses, block by block."""
        program = solution.program
        steepest = largest.reshape(len(program.blocks), -1).max(axis=1)
        proven = certify_priced(program, solution.weights, solution.intercept, point, steepest)
        bounds = proven.primals - proven.gaps
        if self._bounds is None or self._best is None:
            self._bounds, self._best = bounds, proven.dual_point.copy()
            return
        for k, block in enumerate(program.blocks):
            if bounds[k] > self._bounds[k]:
                self._bounds[k] = bounds[k]
                self._best[:, block] = proven.dual_point[:, block]

    def _at_rest(self, solution: Solution) -> bool:
        """Whether rounds that may go round in circles, or search in vain, get nowhere."""
        bound = -np.inf if self.bound is None else self.bound
        self._progress.append((solution.certificate.primal, bound))
        if len(self._progress) <= _PATIENCE:
            return False
        primal, lower = self._progress[-1 - _PATIENCE]
        least = self.gap * solution.program.reference
        still = primal - solution.certificate.primal < least and not bound > lower
        return still and (self.hand.evicts or self.oracle.grounds is None)


def _sequences(X: ArrayLike, inputs: int) -> Array:
    """What the subnetworks of a dictionary read: of rows (n, d) one step, with ones for biases."""
    if np.ndim(X) != 2:
        return check_sequences(X, inputs)
    rows = np.asarray(X)[:, None]
    if rows.shape[2] + 1 == inputs:
        rows = np.concatenate([rows, np.ones_like(rows[..., :1])], axis=2)
    return check_sequences(rows, inputs)


def _check_dictionary(given: SpikeDictionary, own: SpikeDictionary, sequences: Array) -> None:
    """ValueError unless a dictionary is one of X and, as far as pricing tells, of the class."""
    if (given.samples, given.steps) != sequences.shape[:2]:
        raise ValueError(
            f"atoms: expected a dictionary of X with {sequences.shape[:2]} samples and steps, "
            f"got {(given.samples, given.steps)}"
        )
    theirs, ours = given.witnesses, own.witnesses
    if (theirs.inputs, len(theirs.hidden)) != (ours.inputs, len(ours.hidden)):
        raise ValueError(
            f"atoms: expected networks of {ours.inputs} inputs and {len(ours.hidden)} layers, "
            f"got {theirs.inputs} and {len(theirs.hidden)}"
        )
    try:
        neuron = OneNeuron.of(ours)
    except ValueError:  # searched alone, which states nothing of the class
        neuron = None
    if neuron is not None and not neuron.fires_as(OneNeuron.of(theirs)):
        raise ValueError("atoms: expected neurons of the class, got others")
    every = given.readout == "every"
    for k in np.unique(given.origin[:, 0]):
        fired = roll_columns(sequences, theirs.layers(int(k)), every)
        of_k = np.flatnonzero(given.origin[:, 0] == k)
        if not np.array_equal(fired[given.origin[of_k, 1]], given.atoms.words[of_k]):
            raise ValueError(
                f"atoms: expected a dictionary of X, got one whose network {k} differs"
            )


def _oracle(
    pricing: PricingName | Pricing, sequences: Array, dictionary: SpikeDictionary, seed: int
) -> Pricing:
    """Make the oracle of a name."""
    if not isinstance(pricing, str):
        return pricing
    if pricing == "search":
        return SearchPricing(sequences, dictionary, seed)
    if pricing == "milp":
        search = SearchPricing(sequences, dictionary, seed)
        return ThresholdMILPPricing.of(sequences, dictionary, search)
    if pricing == "exact":
        try:
            return EnumerationPricing.of(sequences, dictionary, Budget())
        except BudgetExceeded:
            if sequences.shape[2] > 2 or not sequences.shape[1] > 1:
                raise
        search = SearchPricing(sequences, dictionary, seed)
        return RefinementPricing.of(sequences, dictionary, search)
    if pricing == "auto":
        try:
            return EnumerationPricing.of(sequences, dictionary, _AUTO)
        except ValueError:  # not covered, or past the budget
            return SearchPricing(sequences, dictionary, seed)
    raise ValueError(
        f"pricing: expected 'auto', 'exact', 'milp', 'search' or a Pricing, got {pricing!r}"
    )


def _whole(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"{name}: expected a whole number of at least 1, got {value!r}")
    return int(value)


def _check(
    gap: float, per_round: int, most_atoms: int | None, rounds: int, time_limit: float
) -> None:
    if not (is_number(gap) and 0 < gap < np.inf):
        raise ValueError(f"gap: expected a finite number > 0, got {gap!r}")
    if not (is_number(time_limit) and time_limit > 0):
        raise ValueError(f"time_limit: expected seconds > 0, got {time_limit!r}")
    _whole("per_round", per_round)
    _whole("rounds", rounds)
    if most_atoms is not None:
        _whole("most_atoms", most_atoms)
