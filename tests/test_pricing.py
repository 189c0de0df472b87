"""Pricing finds the atoms that violate a dual point, and its bounds hold for every witness."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import bidual as bd
from bidual.dictionaries import check_sequences, roll, roll_columns
from bidual.kernels import growing as kernels
from bidual.solvers.growing.pricing import (
    EnumerationPricing,
    Question,
    RefinementPricing,
    SearchPricing,
    ThresholdMILPPricing,
)

from covering import examples, slow

LEAK = 0.9


def strings(steps):
    return np.eye(2)[np.array(list(product((0, 1), repeat=steps)))]


def asked(V, strength, **more):
    V = np.asarray(V, dtype=float)
    options = {"width": 1, "most": 20, "known": set(), **more}
    return Question(V.reshape(len(V), -1), strength=strength, **options)


def lif(readout="last", reset="delayed"):
    return bd.LIF(hidden=(1,), leak=LEAK, reset=reset, readout=readout)


THRESHOLDS = bd.Feedforward(hidden=(1,), bias=True)


def check_atoms(found, question, X, readout):
    """Each atom is what its witness fires, is new, and violates its constraint."""
    prices = question.sizes(found.atoms.rmatvec(question.V)).max(axis=1)
    assert (prices > question.strength).all()
    columns = [words.tobytes() for words in found.atoms.words]
    assert len(set(columns)) == len(columns) <= question.most
    assert not set(columns) & question.known
    for (layers, neuron), words in zip(found.witnesses, found.atoms.words, strict=True):
        assert np.array_equal(roll_columns(X, layers, readout == "every")[neuron], words)


@pytest.mark.parametrize("readout", ["last", "every"])
@pytest.mark.parametrize("reset", ["delayed", "immediate"])
def test_enumeration_prices_every_trajectory(readout, reset):
    X = check_sequences(strings(4))
    pricing = EnumerationPricing.of(X, lif(readout, reset).record(), bd.Budget())
    complete = bd.complete_lif(X, "9/10", reset, readout)
    V = np.random.default_rng(0).normal(size=(complete.atoms.shape[0], 2))
    prices = np.abs(complete.atoms.to_dense().T @ V)
    question = asked(V, 0.8 * prices.max(), most=7)
    found = pricing.price(question)
    assert found.largest == pytest.approx(prices.max(axis=0), rel=1e-12)
    check_atoms(found, question, X, readout)
    largest_price = np.sort(prices.max(axis=1))[::-1][: len(found.witnesses)]
    assert np.abs(found.atoms.rmatvec(V)).max(axis=1) == pytest.approx(largest_price, rel=1e-12)
    columns = {words.tobytes() for words in found.atoms.words}
    others = pricing.price(asked(V, 0.8 * prices.max(), most=7, known=columns))
    check_atoms(others, asked(V, 0.8 * prices.max(), most=7, known=columns), X, readout)


def test_enumeration_prices_in_the_group_norm():
    X = check_sequences(strings(4))
    pricing = EnumerationPricing.of(X, lif().record(), bd.Budget())
    V = np.random.default_rng(1).normal(size=(16, 3))
    norms = np.linalg.norm(bd.complete_lif(X, "9/10").atoms.to_dense().T @ V, axis=1)
    found = pricing.price(asked(V, 0.9 * norms.max(), width=3))
    assert found.largest == pytest.approx([norms.max()], rel=1e-12)
    assert len(found.witnesses) == min(np.count_nonzero(norms > 0.9 * norms.max()), 20)


@pytest.mark.parametrize(
    ("steps", "readout", "reset"),
    [(4, "last", "delayed"), (4, "every", "immediate"), (5, "last", "delayed")],
)
def test_branch_and_bound_finds_the_steepest_trajectory(steps, readout, reset):
    X = check_sequences(strings(steps))
    pricing = RefinementPricing.of(X, lif(readout, reset).record())
    complete = bd.complete_lif(X, "9/10", reset, readout)
    rng = np.random.default_rng(steps)
    for k in range(3):
        v = rng.normal(size=complete.atoms.shape[0])
        v[rng.random(len(v)) < 0.3 * k] = 0.0
        largest_price = np.abs(complete.atoms.rmatvec(v)).max()
        bound, paths = pricing.largest_price(v)
        # node weights are rounded to 2**-40 of the largest
        assert bound == pytest.approx(largest_price, rel=1e-9)
        assert bound >= largest_price
        assert [abs(path.pays) for path in paths] == sorted(abs(path.pays) for path in paths)
        question = asked(v, 0.99 * largest_price)
        found = pricing.price(question)
        check_atoms(found, question, X, readout)
        assert np.abs(found.atoms.rmatvec(v)).max() == pytest.approx(largest_price, rel=1e-12)
        # a bar that nothing passes is proven, and so is whatever the clock leaves open
        assert pricing.largest_price(v, floor=1.5 * largest_price)[1] == []
        assert pricing.largest_price(v, floor=1.5 * largest_price)[0] == pytest.approx(
            1.5 * largest_price
        )
        assert pricing.largest_price(v, seconds=1e-9)[0] >= largest_price


def test_branch_and_bound_knows_that_a_dual_point_of_zero_costs_nothing():
    X = check_sequences(strings(3))
    pricing = RefinementPricing.of(X, lif().record())
    bound, paths = pricing.largest_price(np.zeros(8))
    assert paths == []
    assert 0.0 <= bound <= 1e-9  # some 2**-40 of room


def test_branch_and_bound_takes_one_input_and_scaled_ones():
    X = check_sequences(np.random.default_rng(2).integers(-3, 4, (6, 4, 1)) / 4)
    pricing = RefinementPricing.of(X, lif().record())
    v = np.random.default_rng(3).normal(size=6)
    largest_price = np.abs(bd.complete_lif(X, "9/10").atoms.rmatvec(v)).max()
    found = pricing.price(asked(v, 0.99 * largest_price))
    assert np.abs(found.atoms.rmatvec(v)).max() == pytest.approx(largest_price, rel=1e-12)


@pytest.mark.parametrize("pricing", slow(RefinementPricing, ThresholdMILPPricing))
def test_bounding_oracles_answer_with_no_more_than_they_are_asked_for(pricing):
    if pricing is RefinementPricing:
        X, record = check_sequences(strings(5)), lif().record()
    else:
        X = THRESHOLDS.sequences(np.random.default_rng(7).normal(size=(20, 2)))
        record = THRESHOLDS.record()
    V = np.random.default_rng(8).normal(size=(len(X), 3))
    for most in (1, 2, 100):
        question = asked(V, 0.1, most=most)
        found = pricing.of(X, record).price(question)
        check_atoms(found, question, X, "last")
        assert len(found.witnesses) == most or most == 100
    assert len(found.witnesses) > 2
    known = {words.tobytes() for words in found.atoms.words}
    again = pricing.of(X, record).price(asked(V, 0.1, most=100, known=known))
    check_atoms(again, asked(V, 0.1, most=100, known=known), X, "last")


@examples(15)
@given(st.integers(0, 2**32), st.integers(2, 3), st.integers(4, 14), st.booleans())
def test_mixed_integer_bounds_hold_for_every_threshold_pattern(seed, inputs, n, bias):
    rng = np.random.default_rng(seed)
    units = bd.Feedforward(hidden=(1,), bias=bias)
    X = units.sequences(rng.integers(-9, 10, (n, inputs)) / 8)
    pricing = ThresholdMILPPricing.of(X, units.record())
    complete = EnumerationPricing.of(X, units.record(), bd.Budget())
    V = rng.normal(size=(n, 1))
    exact = complete.price(asked(V, 0.0)).largest
    # HiGHS is asked for an absolute gap of 1e-6 or better by itself
    assert pricing.price(asked(V, 0.0)).largest >= exact - 1e-6


@pytest.mark.parametrize("inputs", [2, 3])
def test_mixed_integer_pricing_is_exact_in_general_position(inputs):
    rng = np.random.default_rng(inputs)
    X, record = THRESHOLDS.sequences(rng.normal(size=(20, inputs))), THRESHOLDS.record()
    V = rng.normal(size=(20, 1))
    exact = EnumerationPricing.of(X, record, bd.Budget()).price(asked(V, 0.0)).largest
    question = asked(V, 0.9 * exact[0])
    found = ThresholdMILPPricing.of(X, record).price(question)
    assert found.largest == pytest.approx(exact, abs=1e-6)
    check_atoms(found, question, X, "last")
    assert np.abs(found.atoms.rmatvec(V)).max() == pytest.approx(exact[0], rel=1e-12)


def test_mixed_integer_bounds_hold_when_time_is_up():
    rng = np.random.default_rng(9)
    X, record = THRESHOLDS.sequences(rng.normal(size=(60, 3))), THRESHOLDS.record()
    V = rng.normal(size=(60, 1))
    exact = EnumerationPricing.of(X, record, bd.Budget()).price(asked(V, 0.0)).largest
    found = ThresholdMILPPricing.of(X, record).price(asked(V, 0.0, seconds=0.02))
    assert found.largest >= exact - 1e-6  # HiGHS's own tolerance


CLASSES = {
    "one LIF layer": ((5,), bd.Neuron(0.9, 1.0), {}),
    "two LIF layers, ranges": ((4, 3), bd.Neuron((0.5, 0.9), (0.4, 1.2)), {}),
    "recurrent threshold units": ((4, 2), bd.THRESHOLD_UNIT, {"recurrent": True, "bias": True}),
    "hard resets": ((3, 3), bd.Neuron(0.9, 0.5, "hard"), {"bias": True}),
    "strict, immediate": ((3, 2), bd.Neuron(0.5, 0.5, "immediate", True), {"recurrent": True}),
}


@pytest.mark.parametrize("readout", ["last", "every"])
@pytest.mark.parametrize("name", CLASSES)
def test_search_prices_what_networks_fire(name, readout):
    hidden, neuron, options = CLASSES[name]
    rng = np.random.default_rng(5)
    X = check_sequences(rng.integers(-4, 5, (70, 5, 3)) / 2)
    bank = bd.SampledWitnesses(3, hidden, 8, 0, neuron, **options)
    dictionary = bd.SpikeDictionary.sample(X, bank, readout)
    V = rng.normal(size=(dictionary.atoms.shape[0], 2))
    V[rng.random(len(V)) < 0.2] = 0.0
    largest = np.abs(dictionary.atoms.rmatvec(V)).max()
    question = asked(V, 0.9 * largest, active=[(bank.layers(k), 0) for k in range(8)])
    found = SearchPricing(X, bank, readout, seed=3).price(question)
    assert found.largest is None
    assert len(found.witnesses) > 3  # better ones than in 8 random networks
    check_atoms(found, question, X, readout)
    for layers, _ in found.witnesses:
        assert [layer.width for layer in layers] == list(hidden)
        for layer in layers:
            assert np.array_equal(layer.weights * 2**14, np.rint(layer.weights * 2**14))
    again = SearchPricing(X, bank, readout, seed=3).price(question)
    assert np.array_equal(again.atoms.words, found.atoms.words)
    known = {words.tobytes() for words in found.atoms.words}
    other = asked(V, 0.9 * largest, known=known)
    check_atoms(SearchPricing(X, bank, readout, seed=3).price(other), other, X, readout)


def test_a_search_out_of_time_stops_after_its_batch():
    X = check_sequences(strings(5))
    dictionary = lif().sample(X, 30, seed=1)
    V = np.random.default_rng(0).normal(size=(32, 1))
    question = asked(V, 0.5 * np.abs(dictionary.atoms.rmatvec(V)).max(), most=1000)
    late = replace(question, seconds=0.0)
    bank = dictionary.witnesses
    found = [SearchPricing(X, bank, "last", 0).price(each) for each in (question, late)]
    check_atoms(found[1], late, X, "last")
    assert 0 < len(found[1].witnesses) < len(found[0].witnesses)


def rolled_forward(X, layers, rows, direction, width):
    """Price of the first last neuron and its derivatives, by differentiating forwards.

    ``rows`` (S, n) at the last S steps. The derivative of a spike is the surrogate's.
    """
    n, steps, _ = X.shape
    arrays = [
        [layer.weights, *([] if layer.recurrent is None else [layer.recurrent]), layer.bias]
        for layer in layers
    ]
    flat = [(k, a, index) for k, parts in enumerate(arrays) for a in range(len(parts))
            for index in np.ndindex(parts[a].shape)]  # fmt: skip
    gradient = []
    for wanted in flat:
        total = 0.0
        u = [np.zeros((n, layer.width)) for layer in layers]
        s = [np.zeros((n, layer.width)) for layer in layers]
        du = [np.zeros_like(a) for a in u]
        ds = [np.zeros_like(a) for a in u]
        for t in range(steps):
            into, dinto = X[:, t], np.zeros_like(X[:, t])
            for k, layer in enumerate(layers):
                ones = [np.zeros_like(part) for part in arrays[k]]
                if wanted[0] == k:
                    ones[wanted[1]][wanted[2]] = 1.0
                kept = u[k] * (1 - s[k]) if layer.hard else u[k]
                dkept = du[k] * (1 - s[k]) - u[k] * ds[k] if layer.hard else du[k]
                new = layer.leak * kept + into @ layer.weights + layer.bias - layer.reset * s[k]
                dnew = layer.leak * dkept + dinto @ layer.weights + into @ ones[0]
                dnew = dnew + ones[-1] - layer.reset * ds[k]
                if layer.recurrent is not None:
                    new = new + s[k] @ layer.recurrent
                    dnew = dnew + ds[k] @ layer.recurrent + s[k] @ ones[1]
                u[k], du[k] = new, dnew
                s[k] = (new >= layer.threshold).astype(float)
                ds[k] = dnew / (1 + ((new - layer.threshold) / width) ** 2)
                into, dinto = s[k], ds[k]
            step = t - steps + len(rows)
            if step >= 0:
                total += direction * rows[step] @ ds[-1][:, 0]
        gradient.append(total)
    return np.array(gradient)


@pytest.mark.parametrize("readout", ["last", "every"])
@pytest.mark.parametrize("name", ["recurrent threshold units", "hard resets", "one LIF layer"])
def test_surrogate_gradients_are_those_of_forward_differentiation(name, readout):
    hidden, neuron, options = CLASSES[name]
    rng = np.random.default_rng(6)
    n, steps = 7, 4
    X = check_sequences(rng.integers(-4, 5, (n, steps, 3)) / 2)
    options = {**options, "bias": True}
    bank = bd.SampledWitnesses(3, hidden, 2, 0, neuron, **options)
    read = steps if readout == "every" else 1
    rows = rng.normal(size=(read, n))
    networks = SearchPricing(X, bank, readout, 0)._packed([(bank.layers(k), 0) for k in range(2)])
    prices, found = np.empty(2), np.empty_like(networks.weights)
    layers = bank.layers(0)
    kernels.ascent(
        np.ascontiguousarray(X.transpose(1, 2, 0)[None]),
        np.ascontiguousarray(rows[None, :, None]),
        np.array(hidden),
        np.array([layer.recurrent is not None for layer in layers]),
        True,
        np.array([layer.hard for layer in layers]),
        networks.weights,
        networks.constants,
        np.zeros(2, dtype=np.int64),
        np.full((2, 1), -1.0),
        0.7,
        prices,
        found,
    )
    for k in range(2):
        spikes = roll(X, bank.layers(k))[-1][:, steps - read :, 0].T
        assert prices[k] == pytest.approx(-(rows * spikes).sum(), abs=1e-12)
        expected = rolled_forward(X, bank.layers(k), rows, -1.0, 0.7)
        assert np.abs(expected).max() > 0.1
        assert found[k] == pytest.approx(expected, rel=1e-9, abs=1e-9)


def test_classes_without_exact_pricing_are_refused_with_the_reason():
    X = check_sequences(strings(3))

    class Own(bd.LIF):
        kind = None  # records do not know it

    EnumerationPricing.of(X, lif().record(), bd.Budget())
    for formulation, reason in [
        (bd.LIF((2, 1)), "2 layers"),
        (bd.Recurrent((1,)), "recurrent weights"),
        (bd.LIF((1,), reset="hard"), "the reset 'hard'"),
        (bd.LIF((1,), reset=0.5), "the reset 0.5"),
        (bd.LIF((1,), leak=(0.1, 0.9)), "different leaks"),
        (Own((1,)), "a user-defined kind"),
    ]:
        with pytest.raises(ValueError, match=rf"^pricing: expected 'search' .*{reason}"):
            EnumerationPricing.of(X, formulation.record(), bd.Budget())
    with pytest.raises(
        ValueError, match=r"^pricing: expected 'auto', 'exact' or 'search' .*'milp'"
    ):
        ThresholdMILPPricing.of(X, lif().record())
    with pytest.raises(ValueError, match=r"^pricing: expected LIF neurons with at most 2 inputs"):
        RefinementPricing.of(X[:, :1], THRESHOLDS.record())
