"""Growing reaches the optimum of the complete dictionary, or says which budget ended it."""

import math
import time
from dataclasses import replace
from fractions import Fraction
from itertools import product

import numpy as np
import pytest

import bidual as bd
from bidual.dictionaries import check_sequences, roll_columns
from bidual.solvers.growing import column_generation
from bidual.solvers.growing.grow import Growth, StopReason, grow
from bidual.solvers.growing.pricing import Question, RefinementPricing, SearchPricing

from covering import slow

LIF = bd.LIF(hidden=(1,), leak=0.9)
GAP = 1e-6


def strings(steps):
    bits = np.array(list(product((0, 1), repeat=steps)))
    return np.eye(2)[bits], bits[:, 0] ^ bits[:, -1]


def fifty(formulation, X, seed=0):
    """50 atoms to start from."""
    return formulation.sample(X, subnetworks=400, seed=seed).take(np.arange(50))


def optimum(formulation, complete, y, loss, share, **options):
    """The program over a complete dictionary at a share of its lambda_max, solved."""
    strength = share * formulation.program(complete, y, loss, strength=1.0, **options).lambda_max
    program = formulation.program(complete, y, loss, strength=strength, **options)
    return bd.solve(program, "newton", gap=1e-9), strength


def check_growth(grown: Growth, X, bias=False):
    """What holds of any growth: a falling objective, rising bounds, witnesses of all atoms."""
    primals = [each.primal for each in grown.history]
    assert (np.diff(primals) <= 0).all()
    assert primals[-1] == grown.solution.certificate.primal
    assert grown.program.primal(grown.solution.weights, grown.solution.intercept) == pytest.approx(
        primals[-1], rel=1e-12
    )
    bounds = [each.bound for each in grown.history if each.bound is not None]
    assert (np.diff(bounds) >= 0).all()
    dictionary = grown.dictionary
    assert grown.program.design is dictionary.atoms
    X = X[:, None] if X.ndim == 2 else X
    X = check_sequences(np.concatenate([X, np.ones_like(X[..., :1])], axis=2) if bias else X)
    for (k, neuron), words in zip(dictionary.origin, dictionary.atoms.words, strict=True):
        fired = roll_columns(X, dictionary.witnesses.layers(k), dictionary.readout == "every")
        assert np.array_equal(fired[neuron], words)


def check_optimum(grown, best, X, bias=False):
    check_growth(grown, X, bias)
    reference = grown.program.reference
    assert abs(grown.solution.certificate.primal - best.certificate.primal) <= GAP * reference
    # float sums of the two programs differ by some 1e-15 of the reference
    assert grown.bound <= best.certificate.primal + 1e-12 * reference
    assert grown.stopped is StopReason.GAP
    assert grown.relative_gap <= GAP
    assert len(grown.history) <= 40


@pytest.mark.parametrize("share", [0.5, *slow(0.1, 0.02)])
@pytest.mark.parametrize("loss", ["squared", *slow("hinge")])
def test_first_last_xor_grows_to_the_optimum_over_all_neurons(loss, share):
    X, y = strings(5)
    best, strength = optimum(LIF, bd.complete_lif(X, "9/10"), y, loss, share)
    grown = grow(LIF, X, y, loss, strength=strength, atoms=fifty(LIF, X), pricing="exact")
    check_optimum(grown, best, X)
    assert grown.grounds == "exact"
    assert grown.dictionary.atoms.shape[1] < 500  # of 5,299


@pytest.mark.parametrize("inputs", [1, 2, *slow(3)])
@pytest.mark.parametrize("loss", ["squared", *slow("hinge"), "logistic"])
def test_threshold_networks_grow_to_the_optimum_over_all_neurons(inputs, loss):
    rng = np.random.default_rng(inputs)
    X = np.round(rng.normal(size=(60, inputs)), 3)
    y = rng.integers(0, 2, 60)
    class_ = bd.Feedforward(hidden=(1,), bias=inputs < 3)
    best, strength = optimum(class_, class_.complete(X), y, loss, 0.05)
    grown = grow(class_, X, y, loss, strength=strength, pricing="exact")
    check_optimum(grown, best, X, class_.bias)


@pytest.mark.slow
def test_branch_and_bound_grows_to_the_optimum():
    X, y = strings(4)
    best, strength = optimum(LIF, bd.complete_lif(X, "9/10"), y, "squared", 0.05)
    start = fifty(LIF, X)
    pricing = RefinementPricing.of(check_sequences(X), LIF.record())
    grown = grow(LIF, X, y, strength=strength, atoms=start, pricing=pricing)
    check_growth(grown, X)
    assert grown.grounds == "exact"
    assert grown.relative_gap <= GAP
    assert (
        grown.solution.certificate.primal - best.certificate.primal <= GAP * grown.program.reference
    )
    assert grown.bound <= best.certificate.primal


@pytest.mark.slow
def test_mixed_integer_bounds_close_the_gap_and_say_so():
    rng = np.random.default_rng(4)
    X = rng.normal(size=(24, 2))
    y = rng.integers(0, 2, 24)
    class_ = bd.Feedforward(hidden=(1,), bias=True)
    best, strength = optimum(class_, class_.complete(X), y, "squared", 0.2)
    grown = grow(class_, X, y, strength=strength, pricing="milp", gap=1e-5)
    check_growth(grown, X, bias=True)
    assert (grown.stopped, grown.grounds) == (StopReason.GAP, "milp")
    assert abs(grown.solution.certificate.primal - best.certificate.primal) <= (
        1e-5 * grown.program.reference
    )
    assert "HiGHS" in str(grown)


def test_every_step_and_an_intercept_are_grown_exactly_too():
    X, y = strings(4)
    lif = bd.LIF(hidden=(3,), leak=0.5, reset="immediate", readout="every")
    complete = bd.complete_lif(X, "1/2", "immediate", "every")
    best, strength = optimum(lif, complete, y, "squared", 0.1, intercept=True)
    grown = grow(lif, X, y, strength=strength, intercept=True, pricing="exact")
    check_optimum(grown, best, X)


@pytest.mark.parametrize("penalty", ["group", *slow("l1")])
def test_several_outputs_are_grown_exactly_too(penalty):
    X, _ = strings(4)
    y = X[:, :, 1].sum(axis=1).astype(int) % 3
    best, strength = optimum(LIF, bd.complete_lif(X, "9/10"), y, "squared", 0.1, penalty=penalty)
    grown = grow(LIF, X, y, strength=strength, penalty=penalty, pricing="exact")
    check_optimum(grown, best, X)


def test_a_search_bounds_nothing_and_stays_above_the_optimum():
    X, y = strings(5)
    best, strength = optimum(LIF, bd.complete_lif(X, "9/10"), y, "squared", 0.1)
    grown = grow(LIF, X, y, strength=strength, pricing="search", rounds=12, seed=1)
    check_growth(grown, X)
    assert (grown.bound, grown.relative_gap, grown.grounds) == (None, None, None)
    assert grown.stopped in (StopReason.PLATEAU, StopReason.ROUNDS)
    reference = grown.program.reference
    primal = grown.solution.certificate.primal
    assert primal >= best.certificate.dual - 1e-12 * reference
    first = grown.history[0].primal
    # most of what the optimum gains over 50 random neurons is found
    assert first - primal > 0.8 * (first - best.certificate.primal)
    assert "no bound" in str(grown)


@pytest.mark.slow
def test_deeper_networks_are_searched_and_rebuilt():
    X, labels = bd.tasks.digits()
    X, labels = X[:60], labels[:60]
    lif = bd.LIF(hidden=(4, 2), leak=0.9)
    start = lif.sample(X, subnetworks=25, seed=0)
    strength = 0.05 * lif.program(start, labels, strength=1.0).lambda_max
    grown = grow(lif, X, labels, strength=strength, atoms=start, rounds=4, most_atoms=120)
    check_growth(grown, X)
    assert grown.history[-1].primal < 0.9 * grown.history[0].primal
    assert grown.dictionary.atoms.shape[1] <= 120
    network = lif.network(grown.dictionary, grown.solution)
    fit = grown.program.affine(grown.solution.weights, grown.solution.intercept)
    assert np.abs(network.decision_function(X) - fit).max() < 1e-12


@pytest.mark.parametrize("gauge", ["neuron", *slow("subnetwork")])
def test_recurrent_networks_are_searched_within_their_class(gauge):
    X, y = bd.tasks.first_last_xor(steps=5)
    recurrent = bd.Recurrent(hidden=(3, 2), gauge=gauge)
    grown = grow(recurrent, X, y, "hinge", strength=0.01, atoms=8, rounds=4)
    check_growth(grown, X)
    assert grown.history[-1].primal < grown.history[0].primal
    finals = [
        layers[-1].recurrent
        for layers in map(
            grown.dictionary.witnesses.layers, range(grown.dictionary.witnesses.subnetworks)
        )
    ]
    hears_others = any((np.diag(np.diag(R)) != R).any() for R in finals)
    assert hears_others == (gauge == "neuron")
    network = recurrent.network(grown.dictionary, grown.solution)
    fit = grown.program.affine(grown.solution.weights, grown.solution.intercept)
    assert np.abs(network.decision_function(X) - fit).max() < 1e-12


@pytest.mark.slow
def test_a_full_hand_is_a_budget_and_no_optimum():
    X, y = strings(5)
    best, strength = optimum(LIF, bd.complete_lif(X, "9/10"), y, "squared", 0.02)
    needed = best.active.size
    grown = grow(
        LIF, X, y, strength=strength, pricing="exact", most_atoms=needed // 2, per_round=10
    )
    check_growth(grown, X)
    assert grown.stopped is StopReason.ATOMS
    assert all(each.atoms <= needed // 2 for each in grown.history)
    assert grown.relative_gap > GAP
    assert grown.bound <= best.certificate.primal <= grown.solution.certificate.primal
    # as many as are needed, and some to work with: atoms without a weight make room
    enough = grow(
        LIF, X, y, strength=strength, pricing="exact", most_atoms=2 * needed, per_round=10
    )
    check_growth(enough, X)
    assert enough.stopped is StopReason.GAP


def test_rounds_and_time_end_it_with_an_answer():
    X, y = strings(5)
    told = []
    grown = grow(LIF, X, y, strength=1e-3, rounds=2, callback=told.append)
    check_growth(grown, X)
    assert grown.stopped is StopReason.ROUNDS
    assert told == grown.history
    assert len(told) == 2
    late = grow(LIF, X, y, strength=1e-3, time_limit=1e-3, pricing="search")
    check_growth(late, X)
    assert late.stopped is StopReason.TIME


@pytest.mark.slow
@pytest.mark.parametrize("scale", [1.0, 1e-6, 3e7])
def test_a_time_limit_holds_whatever_the_bits_of_the_inputs(scale):
    rng = np.random.default_rng(0)
    X, y = scale * rng.normal(size=(60, 3)), rng.integers(0, 2, 60)
    units = bd.Feedforward((1,), bias=True)
    grow(units, X, y, strength=0.01, rounds=1)  # compiles
    for limit, pricing in ((2.0, "auto"), (0.05, "auto"), (2.0, "search")):
        start = time.perf_counter()
        grown = grow(units, X, y, strength=0.01, time_limit=limit, pricing=pricing, gap=1e-9)
        assert time.perf_counter() - start < 1.2 * limit + 1.0
        assert len(grown.history) >= 1
    with pytest.raises(bd.BudgetExceeded, match="seconds"):
        grow(units, X, y, strength=0.01, time_limit=0.05, pricing="exact")


@pytest.mark.slow
def test_the_bound_is_below_the_optimum_in_rational_arithmetic():
    X, y = strings(4)
    for size in (1.0, 1e-7, 1e9):
        target = size * (1.0 + np.arange(len(y)) / 3)
        grown = grow(LIF, X, target, "squared", strength=1e-3 * size, pricing="exact", gap=1e-12)
        program = LIF.program(bd.complete_lif(X, "9/10"), target, "squared", strength=1e-3 * size)
        least = min(
            bd.certify(program, bd.solve(program, name, gap=1e-13), exact=True).primal
            for name in ("newton", "admm")
        )
        assert Fraction(grown.bound) <= least
        assert grown.relative_gap < 1e-9


def test_an_interrupt_ends_it_with_the_answer_so_far():
    X, y = strings(5)

    class Interrupted:
        grounds = None

        def price(self, question):
            raise KeyboardInterrupt

    grown = grow(LIF, X, y, strength=1e-3, pricing=Interrupted())
    check_growth(grown, X)
    assert grown.stopped is StopReason.INTERRUPTED


@pytest.mark.parametrize("last", [0, 2])
def test_an_interrupt_within_a_solve_ends_it_too(last, monkeypatch):
    X, y = strings(5)
    found = []

    def interrupted(program, **options):
        solution = bd.solve(program, **options)
        found.append(solution)
        if len(found) <= last:
            return solution
        weights = np.zeros_like(solution.weights)
        certificate = bd.certify(program, weights=weights)
        parts = {"weights": weights, "certificate": certificate}
        return replace(solution, status=bd.Status.INTERRUPTED, message="interrupted", **parts)

    monkeypatch.setattr(column_generation, "solve", interrupted)
    grown = grow(LIF, X, y, strength=1e-3)
    check_growth(grown, X)
    assert grown.stopped is StopReason.INTERRUPTED
    assert len(found) == last + 1
    if last:
        assert grown.solution.certificate.primal == found[-2].certificate.primal


def test_the_same_seed_grows_the_same_dictionary():
    X, y = strings(5)
    options = {"strength": 2e-3, "pricing": "search", "rounds": 3}
    first, second = (grow(LIF, X, y, seed=7, **options) for _ in range(2))
    assert np.array_equal(first.dictionary.atoms.words, second.dictionary.atoms.words)
    other = grow(LIF, X, y, seed=8, **options)
    assert not np.array_equal(first.dictionary.atoms.words, other.dictionary.atoms.words)


def test_auto_enumerates_what_is_small_and_searches_else():
    X, y = strings(4)
    assert grow(LIF, X, y, strength=1e-2).grounds == "exact"
    two = bd.LIF(hidden=(2, 1), leak=0.9)
    assert grow(two, X, y, strength=1e-2, rounds=1).grounds is None


def test_a_grown_dictionary_is_saved_with_its_networks(tmp_path):
    X, y = strings(4)
    grown = grow(LIF, X, y, strength=1e-3)
    grown.dictionary.save(tmp_path / "grown")
    loaded = bd.SpikeDictionary.load(tmp_path / "grown")
    assert np.array_equal(loaded.atoms.words, grown.dictionary.atoms.words)
    k = int(loaded.origin[-1, 0])
    (one,), (other,) = loaded.witnesses.layers(k), grown.dictionary.witnesses.layers(k)
    assert np.array_equal(one.weights, other.weights)


def test_wrong_arguments_are_refused_by_name():
    X, y = strings(4)
    for name, value in [
        ("gap", 0.0),
        ("per_round", 0),
        ("most_atoms", 1.5),
        ("rounds", 0),
        ("time_limit", -1.0),
        ("atoms", 0),
        ("strength", 0.0),
        ("pricing", "best"),
    ]:
        with pytest.raises(ValueError, match=f"^{name}: expected"):
            grow(LIF, X, y, **{"strength": 0.1, name: value})
    with pytest.raises(ValueError, match=r"^atoms: expected a dictionary of X"):
        grow(LIF, X[:5], y[:5], strength=0.1, atoms=LIF.sample(X))
    with pytest.raises(ValueError, match=r"^pricing: expected 'search'"):
        grow(bd.LIF(hidden=(2, 1)), X, y, strength=0.1, pricing="exact")
    for value in (None, "LIF", bd.LIF):
        got = type(value).__name__
        with pytest.raises(TypeError, match=f"^formulation: expected a network class .* got {got}"):
            grow(value, X, y, strength=0.1)
    for value in (X[0], X[:, :, 0], X[:, :, :, None], np.full(X.shape, np.nan)):
        with pytest.raises(ValueError, match=r"^X: expected"):
            grow(LIF, value, y, strength=0.1)


def test_an_exact_bound_is_that_of_the_class_whatever_growing_starts_from():
    X, y = bd.tasks.first_last_xor(steps=4)
    one = bd.LIF((1,), leak=0.9)
    start = one.sample(X, subnetworks=50)
    options = {"loss": "hinge", "beta": 0.1}
    with pytest.raises(
        ValueError, match=r"^atoms: expected layers of \(8, 1\) neurons, got \(1,\)"
    ):
        bd.grow(bd.LIF((8, 1), leak=0.9), X, y, atoms=start, **options)
    with pytest.raises(ValueError, match=r"^atoms: expected neurons of leak 0.5, got leak 0.9"):
        bd.grow(bd.LIF((1,), leak=0.5), X, y, atoms=start, **options)
    with pytest.raises(ValueError, match="atoms: expected a dictionary of X, got one whose"):
        bd.grow(one, X[::-1], y, atoms=start, **options)
    with pytest.raises(ValueError, match="neurons of different leaks"):
        bd.grow(bd.LIF((1,), leak=(0.5, 1.0)), X, y, atoms=5, pricing="exact", **options)
    grown = bd.grow(one, X, y, atoms=start, **options)
    optimum = bd.solve(one.program(one.complete(X), y, **options), gap=1e-9).certificate
    assert grown.grounds == "exact"
    assert grown.bound <= optimum.primal


def test_a_bias_that_the_start_lacks_is_told():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(12, 2)), rng.integers(0, 2, 12)
    start = bd.Feedforward((1,), gauge="neuron").sample(X, 50)
    with pytest.raises(
        ValueError, match=r"^atoms: expected a dictionary of inputs with a column of ones"
    ):
        bd.grow(
            bd.Feedforward((1,), bias=True, gauge="neuron"), X, y, "hinge", beta=0.02, atoms=start
        )


def test_the_room_for_rounding_covers_sums_in_any_order():
    X = np.where(np.arange(200_000) % 2, 1.0, -1.0)[:, None]
    V = np.full((len(X), 1), 0.1)
    question = Question(V, 1, 1.0, 1, set())
    assert question.rounding >= abs(math.fsum([0.1] * 100_000) - sum([0.1] * 100_000))
    assert question.rounding < 1e-6 * len(X)


@pytest.mark.parametrize("per_round", [1, 3])
def test_a_round_adds_no_more_atoms_than_it_may(per_round):
    X, y = bd.tasks.first_last_xor(steps=4)
    lif = bd.LIF((1,), leak=0.9)
    search = SearchPricing(X, lif.witnesses(2, subnetworks=16), "last", 0)
    oracle = RefinementPricing.of(X, lif.record(), search)
    grown = bd.grow(
        lif, X, y, beta=0.05, pricing=oracle, per_round=per_round, most_atoms=12, rounds=6, atoms=4
    )
    assert max(step.added for step in grown.history) <= per_round
    assert grown.dictionary.atoms.shape[1] <= 12


GIVEN = {
    "above the threshold": [{"strict": True}],
    "recurrent": [{"recurrent": np.diag([1.0, 0.5, -0.5, 0.25, 0.0]) + 0.25}],
    "with biases": [{"bias": 0.25}],
    "of several kinds": [{}, {"strict": True}, {"recurrent": np.eye(5) / 2}],
}


@pytest.mark.parametrize("pricing", ["search", "auto"])
@pytest.mark.parametrize("kinds", GIVEN.values(), ids=GIVEN)
@pytest.mark.slow
def test_given_networks_grow_by_neurons_of_the_class(kinds, pricing):
    rng = np.random.default_rng(0)
    X, y = np.round(rng.normal(size=(30, 5, 3)) * 64) / 64, rng.integers(0, 2, 30)
    weights = [np.round(rng.normal(size=(3, 5)) * 64) / 64 for _ in kinds]
    bank = bd.GivenWitnesses(
        [[bd.Layer.build(W, 0.9, 0.5, **kind)] for W, kind in zip(weights, kinds, strict=True)]
    )
    atoms = bd.SpikeDictionary.sample(X, bank)
    lif = bd.LIF(hidden=(5,), leak=0.9, threshold=0.5, gauge="neuron")
    grown = bd.grow(
        lif, X, y, "hinge", atoms=atoms, strength=0.005, intercept=True, pricing=pricing, rounds=3
    )
    before = bd.solve(lif.program(atoms, y, "hinge", strength=0.005, intercept=True))
    assert grown.dictionary.atoms.shape[1] > atoms.atoms.shape[1]
    assert grown.solution.certificate.primal < before.certificate.primal
    network = lif.network(grown.dictionary, grown.solution)
    fit = grown.dictionary.atoms.to_dense() @ grown.solution.weights + grown.solution.intercept
    assert np.allclose(network.decision_function(X), fit, rtol=0, atol=1e-12)
    for k in np.unique(grown.dictionary.origin[:, 0]):
        for layer in grown.dictionary.witnesses.layers(int(k)):
            assert not lif.refuses(layer)
