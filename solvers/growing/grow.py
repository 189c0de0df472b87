"""grow(): from a sampled dictionary towards the global optimum, by column generation.

Training over *all* witnesses of a class has the dual constraint |d'V| <= strength for every atom d
that any of them can fire (Udupi, Yang and Zhai 2026, Theorem 3.4; Ergen et al. 2023, Theorem
2.2). Rounds of ``column_generation.py`` add atoms that violate it. Where pricing bounds all
witnesses, the dual point, shrunk until it is feasible for all of them, bounds the global optimum
from below; the best such bound is kept, and growing ends when primal and bound meet.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike

from ...dictionaries import Budget, BudgetExceeded, SpikeDictionary, roll_columns
from ...dictionaries.validation import Array, check_number, check_seconds, check_whole
from ...formulations import ConvexProgram, NetworkClass
from ...formulations.losses import Loss
from ..solution import Solution
from .column_generation import AtHand, ColumnGeneration, StopReason
from .pricing import (
    EnumerationPricing,
    Grounds,
    Pricing,
    RefinementPricing,
    SearchPricing,
    ThresholdMILPPricing,
)

_AUTO = Budget(patterns=300_000, seconds=5.0, nbytes=2**29)  # what "auto" enumerates
_LIKE = 50  # subnetworks of the class, whose constants and sizes of weights a search draws

PricingName = Literal["auto", "exact", "milp", "search"]


@dataclass(frozen=True)
class Round:
    """Where growing stands after a round.

    ``seconds`` since it began; ``atoms`` at hand, of which ``active`` carry a weight; ``added``
    new ones for the next round; ``primal``, the objective; ``bound``, the best so far on the
    global optimum, and ``relative_gap``, the distance relative to
    the reference; both None without a bound.
    """

    seconds: float
    atoms: int
    active: int
    added: int
    primal: float
    bound: float | None
    relative_gap: float | None


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
    relative_gap : float or None
        Global: primal minus bound, relative to the program's reference.
    grounds : {"exact", "milp"} or None
        What the bound rests on: every witness was priced, in whole numbers or over an enumeration;
        HiGHS's bounds, floating and to its tolerances; or nothing, for a search proves none.
    stopped : StopReason
    """

    dictionary: SpikeDictionary
    program: ConvexProgram
    solution: Solution
    history: list[Round] = field(repr=False)
    bound: float | None
    relative_gap: float | None
    grounds: Grounds | None
    stopped: StopReason

    def __str__(self) -> str:
        last = self.history[-1]
        known = f"{last.primal:.9g} over {last.atoms} atoms, {last.active} in use"
        if self.relative_gap is None:
            return f"{known}; no bound on the global optimum ({self.stopped.value})"
        how = {"exact": "every witness priced", "milp": "by HiGHS, to its tolerances"}
        grounds = how[self.grounds or "milp"]
        return f"{known}; global gap {self.relative_gap:.2g}, {grounds} ({self.stopped.value})"


def grow(
    formulation: NetworkClass,
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
    TypeError
        If the formulation is no network class.
    BudgetExceeded
        If "exact" is asked and no method is feasible.

    Examples
    --------
    >>> from itertools import product
    >>> import numpy as np, bidual as bd
    >>> from bidual.solvers.growing.grow import grow
    >>> strings = np.array(list(product((0, 1), repeat=4)))
    >>> X, y = np.eye(2)[strings], strings[:, 0] ^ strings[:, -1]
    >>> grown = grow(bd.LIF(hidden=(1,), leak=0.5), X, y, "hinge", strength=0.02)
    >>> grown.stopped.name, grown.grounds, grown.relative_gap < 1e-6
    ('GAP', 'exact', True)
    """
    start = time.perf_counter()
    if not isinstance(formulation, NetworkClass):
        raise TypeError(
            "formulation: expected a network class such as LIF(hidden=(1,)), "
            f"got {type(formulation).__name__}"
        )
    _check(gap, per_round, most_atoms, rounds, time_limit)
    if not isinstance(atoms, SpikeDictionary):
        check_whole("atoms", atoms, 1)
        atoms = formulation.sample(X, subnetworks=int(atoms), seed=seed)
    sequences = formulation.sequences(X)
    _check_start(atoms, formulation, sequences)
    program = formulation.program(atoms, y, loss=loss, **options)
    if program.strength == 0:
        raise ValueError("strength: expected a number above 0, at 0 every atom is priced too high")
    oracle = _oracle(pricing, sequences, formulation, seed)
    hand = AtHand(program, atoms, per_round, most_atoms)
    growing = ColumnGeneration(hand, oracle, gap, start + time_limit)
    history: list[Round] = []
    solution: Solution | None = None
    stopped: StopReason | None = None
    while stopped is None or solution is None:
        try:
            stopped, added = growing.round()
        except KeyboardInterrupt:
            stopped, added = StopReason.INTERRUPTED, 0
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
                relative_gap=growing.global_gap,
            )
        )
        if callback is not None:
            callback(history[-1])
        if stopped is None and len(history) == rounds:
            stopped = StopReason.ROUNDS
    hand.restore(growing.state)
    dictionary = hand.dictionary(solution.program.design)
    program = solution.program.stated_by(formulation, dictionary)
    return Growth(
        dictionary=dictionary,
        program=program,
        solution=replace(solution, program=program),
        history=history,
        bound=growing.bound,
        relative_gap=growing.global_gap,
        grounds=oracle.grounds if growing.bound is not None else None,
        stopped=stopped,
    )


def _check_start(given: SpikeDictionary, formulation: NetworkClass, sequences: Array) -> None:
    """ValueError unless a dictionary is of a class, and its networks fire its atoms on X."""
    formulation.check_dictionary(given, "atoms")
    bank = given.witnesses
    if tuple(bank.hidden) != tuple(formulation.hidden):  # a bank does not hold both
        raise ValueError(
            f"atoms: expected layers of {formulation.hidden} neurons, got {tuple(bank.hidden)}"
        )
    shape = (given.samples, given.steps, bank.inputs)
    if shape != sequences.shape:
        raise ValueError(
            f"atoms: expected a dictionary of X with {sequences.shape} samples, steps and inputs, "
            f"got {shape}"
        )
    every = given.readout == "every"
    for k in np.unique(given.origin[:, 0]):
        fired = roll_columns(sequences, bank.layers(int(k)), every)
        of_k = np.flatnonzero(given.origin[:, 0] == k)
        if not np.array_equal(fired[given.origin[of_k, 1]], given.atoms.words[of_k]):
            raise ValueError(
                f"atoms: expected a dictionary of X, got one whose network {k} differs"
            )


def _oracle(
    pricing: PricingName | Pricing, sequences: Array, formulation: NetworkClass, seed: int
) -> Pricing:
    """Make the oracle of a name."""
    if not isinstance(pricing, str):
        return pricing
    if pricing not in get_args(PricingName):
        raise ValueError(
            f"pricing: expected 'auto', 'exact', 'milp', 'search' or a Pricing, got {pricing!r}"
        )
    record = formulation.record()
    if pricing in ("auto", "exact"):
        try:
            return EnumerationPricing.of(
                sequences, record, _AUTO if pricing == "auto" else Budget()
            )
        except BudgetExceeded:
            fits_tree = sequences.shape[2] <= 2 and sequences.shape[1] > 1
            if pricing == "exact" and not fits_tree:
                raise
        except ValueError:  # not covered
            if pricing == "exact":
                raise
    bank = formulation.witnesses(sequences.shape[2], _LIKE, seed)
    search = SearchPricing(sequences, bank, formulation.readout, seed)
    if pricing == "exact":
        return RefinementPricing.of(sequences, record, search)
    if pricing == "milp":
        return ThresholdMILPPricing.of(sequences, record, search)
    return search


def _check(
    gap: float, per_round: int, most_atoms: int | None, rounds: int, time_limit: float
) -> None:
    check_number("gap", gap)
    check_seconds(time_limit)
    check_whole("per_round", per_round, 1)
    check_whole("rounds", rounds, 1)
    if most_atoms is not None:
        check_whole("most_atoms", most_atoms, 1)
