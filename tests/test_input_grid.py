"""Inputs at any scale: their grids, what threshold units fire on them, and given weights."""

import json
import warnings
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import bidual as bd
from bidual.certificates import completeness as checker
from bidual.dictionaries import (
    InputGrid,
    Layer,
    RoundedInputWarning,
    SpikeDictionary,
    as_sequences,
    check_sequences,
    roll,
    spikes_within_rounding,
)
from bidual.dictionaries.files.packed_file import open_packed
from bidual.networks import SpikingNetwork, ThresholdNetwork

from covering import examples, slow

pytestmark = pytest.mark.filterwarnings("error::bidual.dictionaries.input_grid.RoundedInputWarning")
RNG = np.random.default_rng(3)
POINTS = RNG.normal(size=(11, 2))
LABELS = np.arange(11) % 2
UNITS = {bias: bd.Feedforward(hidden=(1,), bias=bias, gauge="neuron") for bias in (False, True)}
POWERS = st.integers(-99, 99).map(lambda power: 2.0**power)


def columns(d):
    return d.atoms.words.tobytes()


def told(call, *arguments):
    """The result of a call, and the warnings about rounding."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        result = call(*arguments)
    return result, [w for w in caught if w.category is RoundedInputWarning]


def fitted(d, X, **options):
    """The network of a program over a dictionary of X, and D W + b."""
    formulation = bd.class_of(d.record)
    program = formulation.program(d, LABELS[: len(X)], "hinge", strength=0.01, **options)
    solution = bd.solve(program)
    return solution.network(), program.affine(solution.weights, solution.intercept)


# the grid


@examples(60)
@given(
    X=hnp.arrays(
        np.float64, (5, 1, 3), elements=st.floats(-(2.0**500), 2.0**500, allow_subnormal=False)
    ),
    centred=st.booleans(),
)
def test_a_grid_holds_the_inputs_to_a_share_of_their_size(X, centred):
    sizes = np.where(np.ptp(X, axis=(0, 1)) > 0, np.ptp(X, axis=(0, 1)), np.abs(X).max(axis=(0, 1)))
    if ((sizes > 0) & (sizes < 2.0**-577)).any():
        X = X * (sizes >= 2.0**-577)
    grid = InputGrid.fit(X, centred=centred)
    found, _ = told(grid.take, X)
    steps = 2.0**grid.exponents
    assert np.array_equal(found / steps, np.rint(found / steps))
    assert grid.holds(found)
    exact = X - grid.offsets
    assert (np.abs(found - exact) <= steps / 2).all()
    # a column's own size decides, beside twice its spread over 2**22
    reach, spread = np.abs(exact).max(axis=(0, 1)), np.ptp(X, axis=(0, 1))
    own = np.maximum(3 * reach * 2.0**-35, spread * 2.0**-21)
    wide = grid.exponents > -600
    constant = (spread == 0) | grid.is_default
    assert (steps <= np.maximum(own, 2.0**-20 if grid.is_default else 0))[wide & ~constant].all()
    again = InputGrid.fit(found)
    assert np.array_equal(again.take(found), found)


@pytest.mark.parametrize("column", [0, 1])
@pytest.mark.parametrize("size", [1e-176, 1e-200, 1e-300, 5e-324])
def test_columns_that_the_smallest_grid_would_lose_are_refused(size, column):
    X = POINTS.copy()
    X[:, column] *= size
    constant = POINTS.copy()
    constant[:, column] = size
    calls = [unit.sample for unit in UNITS.values()] + [unit.complete for unit in UNITS.values()]
    calls.append(lambda X: bd.LIF((2,), leak=0.5).sample(X[:, None], subnetworks=3))
    calls.append(lambda X: bd.grow(UNITS[False], X, LABELS, strength=0.1))
    for call in calls:
        with pytest.raises(ValueError, match=rf"^X: expected .*2\*\*-577.* in column {column} "):
            call(X)
    with pytest.raises(ValueError, match=rf"in column {column} "):
        UNITS[False].complete(constant)
    patterns = columns(UNITS[True].complete(constant))  # beside a bias its offset keeps it
    assert patterns == columns(UNITS[True].complete(np.where(constant == size, 1.0, constant)))


@pytest.mark.parametrize("power", [-576, -400, 400])
def test_columns_of_the_least_and_of_great_sizes_keep_their_patterns(power):
    for unit in UNITS.values():
        assert columns(unit.complete(POINTS * 2.0**power)) == columns(unit.complete(POINTS))


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("scale", [1.0, 1e-9, 1e12])
def test_a_bank_with_the_record_of_its_class_gives_the_atoms_of_the_class(bias, scale, tmp_path):
    X, unit = scale * (POINTS + 3), UNITS[bias]
    bank = unit.witnesses(2 + bias, 30, seed=4)
    wanted = unit.sample(X, subnetworks=30, seed=4)
    for form in (X, unit.sequences(X)):
        sampled = bd.SpikeDictionary.sample(form, bank, record=unit.record())
        path = tmp_path / f"atoms{form.ndim}"
        built = bd.SpikeDictionary.build(path, form, bank, record=unit.record())
        for found in (sampled, built):
            assert columns(found) == columns(wanted)
            assert found.grid.to_json() == wanted.grid.to_json()
        loaded = bd.SpikeDictionary.load(path)
        assert loaded.verify(form).checked
        with pytest.raises(ValueError, match="atom"):
            loaded.verify(form[::-1])


@examples(40)
@given(
    X=hnp.arrays(np.float64, (4, 2, 3), elements=st.floats(-1e3, 1e3, allow_subnormal=False)),
    scale=POWERS,
    centred=st.booleans(),
)
def test_powers_of_two_scale_what_a_grid_takes(X, scale, centred):
    X = np.where(np.abs(X) < 1e-40, 0.0, X)
    grids = {c: InputGrid.fit(c * X, centred=centred) for c in (1.0, scale)}
    once, scaled = (told(grids[c].take, c * X)[0] for c in (1.0, scale))
    if centred:  # the default grid has no offsets
        once, scaled = (a - a[:1] for a in (once, scaled))
    assert np.array_equal(once * scale, scaled)


def test_inputs_on_the_grid_of_old_keep_it():
    X = np.array([[[2.0**-20, 3.0, 21845.25]], [[-0.5, 0.0, -(2.0**-20)]]])
    grid = InputGrid.fit(X, scaled=True, centred=True)
    assert grid.is_default
    assert np.array_equal(grid.take(X), X)
    assert (grid.take([[[0.3, 0.3, 2.0**-22]]]) * 2.0**20).tolist() == [[[314573, 314573, 0]]]
    assert not InputGrid.fit(X * [1, 1, 1.001]).is_default
    assert not InputGrid.fit(X * [1, 1, 2]).is_default  # d * max|X| above 2**16


def test_columns_of_like_sizes_share_a_grid_and_small_ones_keep_theirs():
    X = RNG.normal(size=(50, 1, 4)) * [1, 5, 0.02, 1e-9]
    grid = InputGrid.fit(X)
    assert len(set(grid.exponents[:3])) == 1
    assert grid.exponents[3] <= -50
    assert not grid.exact
    assert grid.first(3).exact


def test_a_column_far_from_zero_has_an_offset_if_the_class_has_a_bias():
    X = RNG.normal(size=(20, 1, 3)) + np.array([0, 7, 1e9])
    offsets = InputGrid.fit(X, centred=True).offsets
    assert (offsets != 0).tolist() == [False, False, True]
    taken = InputGrid.fit(X, centred=True).take(X)
    assert np.abs(taken[..., 2]).max() <= 6
    assert np.array_equal(taken[..., 2] + offsets[2], X[..., 2])
    assert not InputGrid.fit(X).offsets.any()


def test_rows_far_outside_are_represented_up_to_a_limit():
    grid = InputGrid.fit(RNG.normal(size=(9, 1, 2)))
    far = np.array([[[4000.1, -1e4]]])
    assert np.abs(grid.take(far) - far).max() < 2.0**-30
    with pytest.raises(
        ValueError, match=r"^X: expected inputs of column 1 .* at most .*got 1e\+09"
    ):
        grid.take([[[1.0, 1e9]]])


def test_a_grid_passes_through_json_and_nonsense_is_refused():
    grid = InputGrid.fit(RNG.normal(size=(9, 1, 2)) + np.array([0, 1e5]), scaled=True, centred=True)
    record = json.loads(json.dumps(grid.to_json()))
    assert InputGrid.from_json(record).to_json() == grid.to_json()
    for change in (
        {"exponents": [1.5, 0]}, {"exponents": [2000, 0]}, {"offsets": [0.0]}, {"unit": 1.0},
        {"offsets": [float("nan"), 0.0]}, {"more": 1}, {"exponents": "ab"}, {"unit": True},
    ):  # fmt: skip
        with pytest.raises(ValueError, match=r"^(input_grid|exponents|offsets|unit): expected"):
            InputGrid.from_json(record | change)
    with pytest.raises(ValueError, match=r"^input_grid: expected"):
        InputGrid.from_json([1])


def test_lost_differences_are_said_once_with_the_column():
    X = RNG.normal(size=(20, 1, 3))
    assert not told(check_sequences, X)[1]
    X[:10, 0, 1] *= 1e-14
    X[10:, 0, 1] += 1e6  # ten inputs become 0
    _, said = told(check_sequences, X)
    assert len(said) == 1
    assert str(said[0].message).startswith("X: rounding moves inputs of column 1 (from 0) by up to")

    for call in (
        lambda: bd.LIF((2,), threshold=0.5).sample(X, 4),
        lambda: UNITS[True].sample(X[:, 0], 4),
        lambda: UNITS[True].complete(X[6:14, 0, :2]),
    ):
        assert len(told(call)[1]) == 1
    # a network's grid may be too coarse for other inputs
    network = SpikingNetwork(
        [[Layer.build([[1.0]], 0.5, 1.0)]], 1, (1,), np.ones((1, 1, 1)), np.zeros(1), "last", None,
        grid=InputGrid.default(1),
    )  # fmt: skip
    _, said = told(network.predict, X[:, :, :1] * 1e-6)
    assert len(said) == 1


@pytest.mark.slow
def test_growing_says_once_that_differences_are_lost():
    X = POINTS.copy()
    X[:4, 1] *= 1e-14
    X[4:, 1] += 1e6
    grow = {"strength": 0.1, "rounds": 3}
    assert len(told(lambda: bd.grow(UNITS[True], X, LABELS, "hinge", **grow))[1]) == 1


# threshold units


@examples(12)
@given(
    X=st.one_of(
        hnp.arrays(np.float64, (6, 2), elements=st.integers(-40, 40).map(lambda k: k / 10)),
        hnp.arrays(np.float64, (6, 2), elements=st.integers(-40, 40).map(lambda k: k / 32)),
    ),
    scale=POWERS,
    bias=st.booleans(),
)
def test_complete_sets_are_the_same_at_every_scale(X, scale, bias):
    units = UNITS[bias]
    try:
        first = units.complete(X)
    except ValueError:  # without a bias, inputs of 0 fire everywhere or nothing fires
        return
    scaled = units.complete(X * scale)
    assert columns(first) == columns(scaled)
    assert scaled.origin.shape == first.origin.shape


@pytest.mark.parametrize("scale", [1e-6, *slow(1e-30, 1e4, 1e30)])
@pytest.mark.parametrize("bias", [False, True])
def test_units_of_measurement_change_no_complete_set(scale, bias, tmp_path):
    first, scaled = (UNITS[bias].complete(c * POINTS) for c in (1.0, scale))
    assert columns(first) == columns(scaled)
    scaled.save(tmp_path / "atoms")
    loaded = SpikeDictionary.load(tmp_path / "atoms")
    assert loaded.grid.to_json() == scaled.grid.to_json()
    assert np.array_equal(loaded.sequences, scaled.sequences)
    network, fit = fitted(loaded, POINTS)
    assert np.array_equal(network.decision_function(POINTS * scale), fit)
    network.save(tmp_path / "network")
    again = ThresholdNetwork.load(tmp_path / "network")
    assert np.array_equal(again.decision_function(POINTS * scale), fit)
    if bias:  # weights are those of X itself
        weights = network.subnetworks[0][0].weights
        assert 2.0**-40 < np.abs(weights).max() * scale < 2.0**40
    assert (network.spikes_within_rounding(POINTS * scale) == 0).all()


@pytest.mark.parametrize("shift", [50.0, -1e6, [3e9, -0.1]])
def test_a_bias_makes_complete_sets_the_same_at_every_shift(shift):
    first, shifted = (UNITS[True].complete(POINTS + c) for c in (0.0, shift))
    assert columns(first) == columns(shifted)
    network, fit = fitted(shifted, POINTS)
    assert np.array_equal(network.decision_function(POINTS + shift), fit)


def test_columns_of_different_units_have_their_complete_sets():
    for scales in ([1e-9, 1e9], [1, 1e-30]):
        scaled = UNITS[True].complete(POINTS * scales)
        assert columns(scaled) == columns(UNITS[True].complete(POINTS))
        network, fit = fitted(scaled, POINTS)
        assert np.array_equal(network.decision_function(POINTS * scales), fit)


def test_deep_and_recurrent_sets_and_those_of_lif_neurons_keep_their_atoms():
    X = np.round(RNG.normal(size=(4, 2, 2)), 1)
    for formulation, inputs in (
        (bd.Feedforward((1, 1)), X[:, 0]),
        (bd.Recurrent((1,)), X[:3]),
        (bd.LIF((1,), leak=0.9, readout="every"), X),
    ):
        first = formulation.complete(inputs)
        for scale in ([2.0**-40, 2.0**-40], [2.0**30, 2.0**-3], [2.0**90, 2.0**90]):
            assert columns(formulation.complete(inputs * scale)) == columns(first)


@pytest.mark.parametrize(
    ("pricing", "change"),
    [
        ("auto", "volts"),
        *(
            pytest.param(pricing, change, marks=pytest.mark.slow)
            for pricing, change in [
                ("auto", "far"),
                ("auto", "columns"),
                *(("milp", change) for change in ("volts", "far", "columns", "whole")),
            ]
        ),
    ],
)
def test_growing_states_one_optimum_at_every_scale(pricing, change):
    X = np.round(POINTS[:9] * 32) / 32
    changed = {
        "volts": X * 1e-6,
        "far": X + 1e7 + 0.3,
        "columns": X * [1e-7, 1e5],
        "whole": X + 30000,  # on the grid of old
    }[change]
    grow = {"strength": 0.02, "rounds": 100, "pricing": pricing, "gap": 1e-6}
    first, other = (
        bd.grow(UNITS[True], each, LABELS[:9], "hinge", **grow) for each in (X, changed)
    )
    for grown in (first, other):
        assert grown.stopped.name == "GAP"
    assert other.solution.certificate.primal == pytest.approx(
        first.solution.certificate.primal, abs=3e-6
    )
    assert other.bound <= first.solution.certificate.primal + 1e-9
    network = other.solution.network()
    fit = other.program.affine(other.solution.weights, other.solution.intercept)
    assert np.array_equal(network.decision_function(changed), fit)
    again = bd.grow(UNITS[True], changed, LABELS[:9], "hinge", atoms=other.dictionary, **grow)
    assert again.stopped.name == "GAP"


@pytest.mark.slow
def test_completeness_is_proven_at_every_scale(tmp_path):
    X = POINTS[:8]
    for changed in (X * 1e-6, X + 1e6, X * [1e-6, 1e3]):
        program = UNITS[True].program(
            UNITS[True].complete(changed), LABELS[:8], "hinge", strength=0.05
        )
        certificate = bd.certify(program, bd.solve(program, gap=1e-9), exact=True)
        certificate.save(tmp_path / "proof.cert", complete=True)
        assert "all 58 patterns" in checker.check(tmp_path / "proof.cert")


@pytest.mark.parametrize("shares", [1.0, *slow(0.1)])
def test_raw_features_give_many_columns(shares):
    scales = 10.0 ** np.linspace(-2, 3.4, 30) * shares
    X = np.abs(np.random.default_rng(0).normal(size=(200, 30)) + 3.0) * scales
    Z = (X - X.mean(axis=0)) / X.std(axis=0)
    units = bd.Feedforward(hidden=(50,), bias=True)
    raw, standardised = (units.sample(each, subnetworks=6).atoms.shape[1] for each in (X, Z))
    assert raw >= standardised / 3


@pytest.mark.parametrize("bias", [False, True])
def test_sampled_units_are_the_same_at_every_scale(bias):
    units = bd.Feedforward(hidden=(8, 4), bias=bias)
    first = units.sample(POINTS, 5)
    assert first.atoms.shape[1] > 8
    for scale in (2.0**-90, 2.0**-3, 2.0**60):
        assert columns(units.sample(POINTS * scale, 5)) == columns(first)
    volts = units.sample(POINTS * 1e-6, 5)
    assert volts.atoms.shape[1] > first.atoms.shape[1] / 2
    network, fit = fitted(volts, POINTS)
    assert np.array_equal(network.decision_function(POINTS * 1e-6), fit)


def test_sums_of_networks_round_to_the_finest_grid():
    X = POINTS[:, None]
    lif = bd.LIF((3,), threshold=0.5)
    networks = [fitted(lif.sample(X * c, 6), POINTS)[0] for c in (1.0, 37.0)]
    both = networks[0].merge(networks[1])
    assert both.grid.exponents.tolist() == networks[0].grid.exponents.tolist()
    alone = SpikingNetwork(
        [], 2, (3,), np.zeros((0, 3, 1)), np.zeros(1), "last", networks[0].classes
    )
    assert networks[0].merge(alone).grid is None
    near, far = (fitted(UNITS[True].sample(POINTS + c, 6), POINTS)[0] for c in (0.0, 1e5))
    with pytest.raises(ValueError, match=r"^others: expected a network whose inputs have the off"):
        near.merge(far)


# files


def test_files_of_old_have_the_default_grid_and_new_ones_their_own(tmp_path):
    path = tmp_path / "file"
    for X, key in ((np.round(POINTS[:, None] * 8) / 8, False), (POINTS[:, None] * 1e-4, True)):
        bank = bd.SampledWitnesses(2, (3, 2), 40, 0, bd.Neuron(0.5, 1e-5 if key else 0.5))
        SpikeDictionary.sample(X, bank).save(path)
        SpikeDictionary.build(tmp_path / f"built{key}", X, bank, report=lambda *_: None)
        for each in (path, tmp_path / f"built{key}"):
            assert ("input_grid" in open_packed(each).metadata) == key
            loaded = SpikeDictionary.load(each)
            assert loaded.grid.is_default != key
            assert np.array_equal(loaded.grid.take(X), check_sequences(X))
        given = SpikeDictionary.sample(X, bd.GivenWitnesses([bank.layers(0), bank.layers(1)]))
        given.save(path)
        assert (SpikeDictionary.load(path).grid is None) == key


def test_a_grid_of_other_columns_is_refused():
    layer = Layer.build([[1.0], [1.0]], 0.5, 1.0)
    with pytest.raises(ValueError, match=r"^grid: expected an InputGrid of 2 columns"):
        SpikingNetwork(
            [[layer]], 2, (1,), np.ones((1, 1, 1)), np.zeros(1), "last", None,
            grid=InputGrid.default(3),
        )  # fmt: skip


# given weights


def rational(sequences, layer):
    """The spikes of a layer in fractions."""
    spikes = np.zeros((*sequences.shape[:2], layer.width), dtype=int)
    R = layer.recurrent
    for i, series in enumerate(sequences.tolist()):
        u, s = [Fraction(0)] * layer.width, [0] * layer.width
        for t, x in enumerate(series):
            now = []
            for j in range(layer.width):
                total = Fraction(layer.bias[j])
                total += sum(
                    Fraction(a) * Fraction(w) for a, w in zip(x, layer.weights[:, j], strict=True)
                )
                if R is not None:
                    total += sum(Fraction(r) for r, fired in zip(R[:, j], s, strict=True) if fired)
                kept = 0 if layer.hard and s[j] else u[j]
                u[j] = Fraction(layer.leak[j]) * kept + total - Fraction(layer.reset[j]) * s[j]
                level = Fraction(layer.threshold[j])
                now.append(int(u[j] > level if layer.strict else u[j] >= level))
            s = now
            spikes[i, t] = s
    return spikes


def test_small_inputs_of_given_weights_are_not_rounded():
    bank = bd.GivenWitnesses.from_arrays([[[2.0**23]]], leak=0.5, threshold=1.0, reset=0.0)
    X = np.full((1, 4, 1), 3 * 2.0**-23)
    network = SpikingNetwork(
        [bank.layers(0)], 1, (1,), np.ones((1, 1, 1)), np.zeros(1), "last", None
    )
    assert next(network.simulate(X))[0].ravel().tolist() == [1, 1, 1, 1]
    assert SpikeDictionary.sample(X, bank).atoms.to_dense().tolist() == [[1.0]]
    assert bd.health(X, bank).rates.tolist() == [[1.0]]


def test_currents_beyond_float64_are_refused():
    X = np.full((1, 2, 2), 1e150)
    for weights in ([[1e200], [-1e200]], [[1e200], [1.0]]):  # infinity minus infinity is no number
        bank = bd.GivenWitnesses.from_arrays([weights], leak=0.5, threshold=1.0)
        with pytest.raises(ValueError, match=r"^X: expected inputs and weights with products"):
            SpikeDictionary.sample(X, bank)
    bank = bd.GivenWitnesses.from_arrays([[[1e200], [-1e200]]], leak=0.5, threshold=1.0)
    assert SpikeDictionary.sample(X * [1e-99, 0], bank).atoms.shape == (1, 1)


SIZES = st.integers(-30, 30).map(lambda power: 10.0**power)
TENTHS = st.integers(-30, 30).map(lambda k: k / 10)


@examples(40)
@given(
    data=st.data(),
    size=SIZES,
    reset=st.sampled_from(["delayed", "immediate", "hard", 0.0]),
    recurrent=st.booleans(),
    strict=st.booleans(),
)
def test_spikes_of_given_weights_are_rational_unless_they_are_counted(
    data, size, reset, recurrent, strict
):
    def drawn(shape, elements=TENTHS):
        return data.draw(hnp.arrays(np.float64, shape, elements=elements))

    X = as_sequences(drawn((3, 4, 2)) * size)
    layer = Layer.build(
        drawn((2, 3)) / size,
        drawn(3, st.sampled_from([0.0, 0.3, 0.5, 0.9, 1.0])),
        drawn(3, st.integers(1, 30).map(lambda k: k / 10)),
        reset,
        bias=drawn(3),
        recurrent=drawn((3, 3)) if recurrent else None,
        strict=strict,
    )
    (counted,) = spikes_within_rounding(X, [layer])
    (found,) = roll(X, [layer])
    expected = rational(X, layer)
    if counted == 0:
        assert np.array_equal(found, expected)
    else:  # ties of tenths: samples without one still agree
        for i in range(3):
            if spikes_within_rounding(X[i : i + 1], [layer])[0] == 0:
                assert np.array_equal(found[i], expected[i])
    assert counted <= found.size


def test_exact_ties_are_not_counted_and_rounded_ones_are_shown():
    whole = Layer.build([[2.0], [1.0]], leak=0.5, threshold=[3.0])
    ones = np.ones((4, 3, 2))
    assert spikes_within_rounding(ones, [whole]).tolist() == [0]
    tenths = Layer.build([[0.1], [0.2]], leak=0.0, threshold=[0.3], reset=0.0)
    bank = bd.GivenWitnesses([[tenths, Layer.build([[1.0]], 0.0, 1.0, 0.0)]])
    d = SpikeDictionary.sample(ones[:, :1], bank)
    assert d.within_rounding == 4
    assert "4 spikes within rounding of their threshold" in repr(d)
    assert bd.GivenWitnesses([[whole]]).subnetworks == 1
    assert SpikeDictionary.sample(ones, bd.GivenWitnesses([[whole]])).within_rounding == 0
