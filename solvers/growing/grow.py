"""grow(): extend a sampled dictionary towards the global optimum by column generation.

Training over *all* witnesses of a class has the dual constraint |d'V| <= strength for every atom d
of the class (Udupi, Yang and Zhai 2026, Theorem 3.4; Ergen et al. 2023, Theorem 2.2). Rounds of
``column_generation.py`` add atoms that violate it. If pricing bounds the prices of all witnesses,
the dual point can be scaled until it is feasible for all of them. It then bounds the global
optimum from below. Growing keeps the best bound and ends when primal and bound meet.
"""

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any, Literal, cast, get_args

import numpy as np
from numpy.typing import ArrayLike

from ...dictionaries import Budget, BudgetExceeded, InputGrid, SpikeDictionary
from ...dictionaries.claims import first_wrong_atom
from ...dictionaries.validation import Array, check_number, check_seconds, check_whole
from ...formulations import ConvexProgram, NetworkClass
from ...formulations.losses import Loss
from ..clock import now
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

_AUTO = Budget(patterns=300_000, seconds=5.0, nbytes=2**29)  # "auto" enumerates within it
_LIKE = 50  # sampled subnetworks whose constants and weight scales a search uses

PricingName = Literal["auto", "exact", "milp", "search"]


@dataclass(frozen=True)
class Round:
    """Figures of growing after a round.

    ``seconds`` count from the start of growing. ``atoms`` is the number of current atoms,
    ``active`` that of atoms with a weight, ``added`` that of new atoms for the next round.
    ``primal`` is the objective, ``bound`` the best lower bound on the global optimum so far.
    ``relative_gap`` is their difference relative to the program's reference. The last two are
    None without a bound.
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
    """Grown dictionary and the answer over it.

    Attributes
    ----------
    dictionary : SpikeDictionary
    program : ConvexProgram
        The program over the atoms of ``dictionary``.
    solution : Solution
        Its certificate covers the atoms of ``dictionary`` only; ``bound`` covers the class.
    history : list of Round
    bound : float or None
        Lower bound on the objective of every network of the class.
    relative_gap : float or None
        Global gap: primal minus bound, relative to the program's reference.
    grounds : {"exact", "milp"} or None
        Proof of the bound. "exact": every witness was priced, in integers or over an
        enumeration. "milp": HiGHS's floating-point bound, within its tolerances. None: a
        search proves no bound.
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
    """Grow a dictionary until its program reaches the global optimum of the class or a limit.

    The objective never rises from round to round.

    Parameters
    ----------
    formulation : LIF, Feedforward or Recurrent
        The class of networks.
    X : (n, T, d) array, or (n, d) for Feedforward
    y : array
        Targets, as in ``formulation.program``.
    loss : str or Loss
    atoms : SpikeDictionary or int
        Initial atoms: a dictionary of X, or a number of subnetworks to sample.
    gap : float
        Global gap to reach, relative to the objective at W = 0.
    pricing : {"auto", "exact", "milp", "search"} or Pricing
        "exact" prices every atom of the class: by enumeration, or by branch and bound for
        a LIF layer of one or two inputs whose enumeration is too large. "milp" bounds the
        prices of threshold units by mixed-integer programs. Both cover one hidden layer.
        "search" covers every class and proves no bound. "auto" enumerates if this takes
        seconds, else it searches.
    per_round : int
        Largest number of atoms that a round adds.
    most_atoms : int, optional
        Largest number of current atoms. Beyond it, a round removes atoms without a weight
        first, then others if the objective falls.
    rounds : int
        Largest number of rounds.
    time_limit : float, seconds
        Checked between steps. An enumeration begins only if its estimate is within the limit.
    seed : int
        Seed of the sampled subnetworks and of the search.
    callback : callable, optional
        Called with each Round.
    **options
        Passed to ``formulation.program``: beta or strength, row_weights, intercept and others.

    Returns
    -------
    Growth

    Raises
    ------
    ValueError
        If an argument is out of range, the strength is 0, ``pricing`` does not cover the class,
        or ``atoms`` is a dictionary of other inputs or of another class.
    TypeError
        If ``formulation`` is not a network class.
    BudgetExceeded
        If ``pricing`` is "exact" and every exact method exceeds its budget or the time limit.

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
    start = now()
    if not isinstance(formulation, NetworkClass):
        raise TypeError(
            "formulation: expected a network class (for example LIF(hidden=(1,))), "
            f"got {type(formulation).__name__}"
        )
    _check(gap, per_round, most_atoms, rounds, time_limit)
    if not isinstance(atoms, SpikeDictionary):
        check_whole("atoms", atoms, 1)
        grid: InputGrid | None = formulation.input_grid(X)
        sequences = formulation.on_grid(X, grid)
        atoms = formulation.sample_sequences(sequences, grid, int(atoms), seed)
    else:
        _check_start(atoms, formulation, formulation.on_grid(X, None).shape)
        grid = formulation.grid_of(atoms)
        sequences = formulation.on_grid(X, grid)
    _check_atoms(atoms, sequences)
    atoms = replace(atoms, checked=True)
    program = formulation.program(atoms, y, loss=loss, **options)
    if program.strength == 0:
        raise ValueError(
            "strength: expected a number above 0, got 0, at which every atom violates "
            "its constraint"
        )
    left = max(start + time_limit - now(), 1e-3)
    oracle = _oracle(pricing, sequences, grid, formulation, seed, left)
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
                seconds=now() - start,
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


def _check_start(
    given: SpikeDictionary, formulation: NetworkClass, wanted: tuple[int, ...]
) -> None:
    """Raise ValueError unless a dictionary is of the class and of inputs of a shape."""
    formulation.check_dictionary(given, "atoms")
    bank = given.witnesses
    if tuple(bank.hidden) != tuple(formulation.hidden):  # a bank does not hold both
        raise ValueError(
            f"atoms: expected layers of {formulation.hidden} neurons, got {tuple(bank.hidden)}"
        )
    shape = (given.samples, given.steps, bank.inputs)
    if shape != wanted:
        raise ValueError(
            f"atoms: expected a dictionary of X with {wanted} samples, steps and inputs, "
            f"got {shape}"
        )


def _check_atoms(given: SpikeDictionary, sequences: Array) -> None:
    """Raise ValueError unless the networks of a dictionary fire its atoms on X."""
    bank = given.witnesses
    every = given.readout == "every"
    wrong = first_wrong_atom(sequences, given.atoms, bank, given.origin, every)
    if wrong is not None:
        raise ValueError(
            f"atoms: expected a dictionary of X, got one whose network {given.origin[wrong, 0]} "
            f"fires other atoms on X; build it from these sequences"
        )


def _oracle(
    pricing: PricingName | Pricing,
    sequences: Array,
    grid: InputGrid | None,
    formulation: NetworkClass,
    seed: int,
    seconds: float,
) -> Pricing:
    """Return the pricing object of a name; an enumeration shall fit in the seconds left."""
    if callable(getattr(pricing, "price", None)):
        return cast(Pricing, pricing)
    if pricing not in get_args(PricingName):
        raise ValueError(
            f"pricing: expected 'auto', 'exact', 'milp', 'search' or a Pricing, got {pricing!r}"
        )
    record = formulation.record()
    if pricing in ("auto", "exact"):
        budget = _AUTO if pricing == "auto" else Budget()
        budget = replace(budget, seconds=min(budget.seconds, seconds))
        try:
            return EnumerationPricing.of(sequences, record, budget, grid)
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
