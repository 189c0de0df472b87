"""Rollouts fire exactly when the recurrence says so, whatever the blocking, BLAS or order."""

import dataclasses
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import bidual as bd
from bidual.dictionaries import Neuron, check_sequences, roll
from bidual.kernels.rollout import lif_scan

GRID = 2.0**-20
drawn = settings(deadline=None, max_examples=100)

# Whole multiples of 1/16 with leaks of multiples of 1/8 and 8 steps: a membrane has 4 + 3 * 7
# bits after the point and fewer than 10 before it, so float64 holds every one exactly.
currents = hnp.arrays(
    np.int64, hnp.array_shapes(min_dims=3, max_dims=3, max_side=8), elements=st.integers(-48, 48)
).map(lambda whole: whole / 16)
leaks = st.integers(0, 8).map(lambda k: k / 8)
thresholds = st.integers(1, 32).map(lambda k: k / 16)
resets = st.integers(0, 32).map(lambda k: k / 16)


def fire(series, leak, threshold, reset):
    """Spikes of one neuron fed a series of currents, in the arithmetic of what it is given."""
    membrane = spike = 0 * leak
    spikes = []
    for current in series:
        membrane = leak * membrane + current - reset * spike
        spike = 0 * leak + (1 if membrane >= threshold else 0)
        spikes.append(float(spike))
    return spikes


def fire_all(array, *constants, number=float):
    """Run ``fire`` on each series of an (n, T, m) array."""
    spikes = np.empty(array.shape)
    for i, j in np.ndindex(array.shape[0], array.shape[2]):
        spikes[i, :, j] = fire(map(number, array[i, :, j].tolist()), *map(number, constants))
    return spikes


def scanned(array, *constants, kernel=lif_scan):
    out = np.array(array, dtype=np.float64)
    kernel(out, *constants)
    return out


@drawn
@given(array=currents, leak=leaks, threshold=thresholds, reset=resets)
def test_scan_equals_the_recurrence_in_fractions(array, leak, threshold, reset):
    expected = fire_all(array, leak, threshold, reset, number=Fraction)
    assert np.array_equal(scanned(array, leak, threshold, reset), expected)
    plain = scanned(array, leak, threshold, reset, kernel=lif_scan.py_func)
    assert np.array_equal(plain, expected)


@drawn
@given(
    array=hnp.arrays(np.float64, (2, 20, 3), elements=st.floats(-4, 4)),
    leak=st.floats(0, 1),
    threshold=st.floats(1e-3, 4),
    reset=st.floats(0, 4),
)
def test_scan_equals_the_recurrence_in_floats_bit_for_bit(array, leak, threshold, reset):
    expected = fire_all(array, leak, threshold, reset)
    assert np.array_equal(scanned(array, leak, threshold, reset), expected)


@pytest.mark.parametrize("kernel", [lif_scan, lif_scan.py_func], ids=["compiled", "plain"])
@pytest.mark.parametrize(
    ("series", "leak", "threshold", "reset", "spikes"),
    [
        pytest.param([0.25] * 9, 1, 1, 1, "000100010", id="integrates and fires"),
        pytest.param([0.75, 0.25, 0.25, 0.25], 0.5, 1, 1, "0000", id="leaks below the threshold"),
        pytest.param([2.5, 0, 0, 0], 1, 1, 1, "1100", id="soft reset keeps what is left over"),
        pytest.param([2.0, 0.5, 0.5], 0.5, 1, 1, "100", id="reset by the threshold"),
        pytest.param([2.0, 0.5, 0.5], 0.5, 1, 0.5, "110", id="reset by leak times threshold"),
        pytest.param([1.0, 1.0, 2.0, 1.0], 0, 1, 1, "1010", id="leak 0 forgets all but the spike"),
        pytest.param([0.5, 0.0, 0.0, 0.5], 1, 1, 1, "0001", id="leak 1 forgets nothing"),
        pytest.param([1.0, 0.0, 0.0], 1, 1, 0, "111", id="reset 0 never comes down"),
        pytest.param([-1.0, 1.5, 0.5], 1, 1, 1, "001", id="membrane goes below 0"),
        pytest.param([1.0], 0.5, 1, 1, "1", id="tie fires"),
        pytest.param([np.nextafter(1, 0)], 0.5, 1, 1, "0", id="just below the tie does not"),
        pytest.param([0.5, 0.75], 0.5, 1, 1, "01", id="tie after a leak fires"),
        pytest.param([0.0, 0.0], 0.5, 2.0**-1074, 1, "00", id="rest never fires"),
    ],
)
def test_hand_computed_spikes(kernel, series, leak, threshold, reset, spikes):
    array = np.array(series, dtype=np.float64).reshape(1, -1, 1)
    found = scanned(array, float(leak), float(threshold), float(reset), kernel=kernel)
    assert "".join("01"[int(spike)] for spike in found.ravel()) == spikes


def test_current_is_added_before_the_reset_is_taken():
    # (1 + 2**-53) - 1 is 0 in float64, and 1 + (2**-53 - 1) is 2**-53, which would fire
    assert fire([1.0, 2.0**-53], 1.0, 2.0**-53, 1.0) == [1, 0]
    array = np.array([1.0, 2.0**-53]).reshape(1, 2, 1)
    assert scanned(array, 1.0, 2.0**-53, 1.0).ravel().tolist() == [1, 0]


def test_product_with_the_leak_is_rounded_before_the_sum():
    # leak * u = 1 - 2**-29 + 2**-60 rounds to 1 - 2**-29; fused with the sum, 2**-60 would be left
    leak = 1 - 2.0**-30
    array = np.array([leak, -(1 - 2.0**-29)]).reshape(1, 2, 1)
    assert scanned(array, leak, 2.0**-60, 0.0).ravel().tolist() == [1, 0]


@drawn
@given(array=currents, leak=leaks, threshold=thresholds)
def test_reset_of_leak_times_threshold_is_a_soft_reset_within_the_step(array, leak, threshold):
    spikes = np.empty(array.shape)
    rest = np.zeros((array.shape[0], array.shape[2]))
    for t in range(array.shape[1]):
        membrane = leak * rest + array[:, t]
        spikes[:, t] = membrane >= threshold
        rest = membrane - threshold * spikes[:, t]
    assert np.array_equal(scanned(array, leak, threshold, leak * threshold), spikes)


def on_grid(seed, n, steps, inputs):
    return check_sequences(np.random.default_rng(seed).normal(size=(n, steps, inputs)))


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1),
    shape=st.tuples(st.integers(1, 3), st.integers(1, 6), st.integers(1, 4)),
    hidden=st.lists(st.integers(1, 5), min_size=1, max_size=3),
    # a membrane has 34 + 5 bits after the point and fewer than 14 before it: exact
    leak=st.sampled_from([0.0, 0.5, 1.0]),
    threshold=thresholds,
    reset=resets,
)
def test_every_layer_equals_its_twin_in_fractions(seed, shape, hidden, leak, threshold, reset):
    sequences = on_grid(seed, *shape)
    weights = bd.GaussianWitnesses(shape[2], hidden, 1, seed).weights(0)
    layers = roll(sequences, weights, Neuron(leak, threshold, reset))
    assert [layer.shape for layer in layers] == [(*shape[:2], width) for width in hidden]
    signal = sequences
    for layer, found in zip(weights, layers, strict=True):
        exact = [[Fraction(w) for w in column] for column in layer.T.tolist()]
        fed = np.empty((*shape[:2], len(exact)), dtype=object)
        for i, t in np.ndindex(*shape[:2]):
            values = [Fraction(value) for value in signal[i, t].tolist()]
            fed[i, t] = [
                sum(v * w for v, w in zip(values, column, strict=True)) for column in exact
            ]
        signal = fire_all(fed, leak, threshold, reset, number=Fraction)
        assert np.array_equal(found, signal)


BANK = bd.GaussianWitnesses(inputs=24, hidden=(48, 33, 20), subnetworks=1, seed=5).weights(0)
NEURON = Neuron(leak=0.99, threshold=1.0)  # a leak off every grid: exact currents have to do


@pytest.mark.parametrize("size", [1, 2, 3, 7, 32, 63])
def test_blocks_of_any_size_fire_the_same(size):
    sequences = on_grid(1, 64, 9, 24)
    whole = roll(sequences, BANK, NEURON)
    assert all(0.02 < layer.mean() < 0.98 for layer in whole)  # else the test shows nothing
    parts = [roll(sequences[k : k + size], BANK, NEURON) for k in range(0, 64, size)]
    for depth, layer in enumerate(whole):
        assert np.array_equal(np.concatenate([part[depth] for part in parts]), layer)


def test_neurons_and_inputs_in_any_order_fire_the_same():
    # a sum in another order is what another BLAS or number of threads computes
    sequences, (first, *_) = on_grid(2, 50, 9, 24), BANK
    (whole,) = roll(sequences, [first], NEURON)
    rng = np.random.default_rng(0)
    for _ in range(10):
        inputs, outputs = rng.permutation(24), rng.permutation(48)[: rng.integers(1, 49)]
        (found,) = roll(sequences[:, :, inputs], [first[inputs][:, outputs]], NEURON)
        assert np.array_equal(found, whole[:, :, outputs])


def test_samples_in_any_order_fire_the_same():
    sequences = on_grid(3, 40, 9, 24)
    order = np.random.default_rng(0).permutation(40)
    whole = roll(sequences, BANK, NEURON)
    for layer, found in zip(whole, roll(sequences[order], BANK, NEURON), strict=True):
        assert np.array_equal(found, layer[order])


@pytest.mark.parametrize("step", range(9))
def test_input_at_a_step_changes_no_earlier_spike(step):
    sequences = on_grid(4, 64, 9, 24)
    changed = sequences.copy()
    changed[:, step:] = on_grid(5, 64, 9, 24)[:, step:]
    for before, after in zip(
        roll(sequences, BANK, NEURON), roll(changed, BANK, NEURON), strict=True
    ):
        assert np.array_equal(before[:, :step], after[:, :step])
        assert not np.array_equal(before[:, step], after[:, step])


def test_roll_leaves_sequences_and_weights_alone():
    sequences = on_grid(6, 8, 5, 24)
    copies = sequences.copy(), [layer.copy() for layer in BANK]
    layers = roll(sequences, BANK, NEURON)
    layers[-1][:] = 7
    assert np.array_equal(sequences, copies[0])
    assert all(np.array_equal(a, b) for a, b in zip(BANK, copies[1], strict=True))


@pytest.mark.parametrize("inputs", [1, 3, 16, 64, 200])
@pytest.mark.parametrize("size", [1.0, 2.0**16], ids=["ordinary", "largest"])
def test_currents_are_exact_to_the_last_bit(inputs, size):
    # check_sequences admits d * max|X| <= 2**16; with |w| < 5.5 a sum has 34 bits after the
    # point and fewer than 19 before it, 53 in all. A threshold at the exact sum is met, and
    # one a bit above is not.
    rng = np.random.default_rng(inputs)
    X = rng.uniform(0.9, 1.0, (6, 1, inputs)) * size / inputs
    sequences = check_sequences(np.where(rng.random(X.shape) < 0.8, X, -X))
    (weights,) = bd.GaussianWitnesses(inputs, (8,), 1, seed=inputs).weights(0)
    weights[:, :4] = 5.5 - 2.0**-14  # as large as they get
    tried = 0
    for i, j in np.ndindex(6, 8):
        pairs = zip(sequences[i, 0].tolist(), weights[:, j].tolist(), strict=True)
        exact = sum(Fraction(x) * Fraction(w) for x, w in pairs)
        current = float(exact)
        assert Fraction(current) == exact
        if current <= 0:
            continue
        tried += 1
        for threshold, spike in ((current, 1), (np.nextafter(current, np.inf), 0)):
            (spikes,) = roll(sequences, [weights], Neuron(0.5, threshold))
            assert spikes[i, 0, j] == spike
    assert tried >= 10


@drawn
@given(X=hnp.arrays(np.float64, (2, 3, 2), elements=st.floats(-32000, 32000)))
def test_sequences_are_rounded_to_the_nearest_multiple_of_the_grid(X):
    found = check_sequences(X)
    assert found.dtype == np.float64
    assert np.array_equal(found / GRID, np.rint(found / GRID))
    assert np.abs(found - X).max() <= GRID / 2
    assert np.array_equal(check_sequences(found), found)


def test_ties_are_rounded_to_even_multiples():
    X = np.array([0.5, 1.5, 2.5, -0.5, -1.5]).reshape(1, 1, 5) * GRID
    assert (check_sequences(X).ravel() / GRID).tolist() == [0, 2, 2, 0, -2]


def test_sequences_are_copied():
    X = np.ones((2, 3, 4))
    found = check_sequences(X, 4)
    found[:] = 7
    assert np.array_equal(X, np.ones((2, 3, 4)))


@pytest.mark.parametrize(
    "kind", [np.ndarray.tolist, lambda X: X.astype(np.int8), np.asfortranarray]
)
def test_sequences_may_be_lists_or_integers(kind):
    X = np.arange(24.0).reshape(2, 3, 4)
    assert np.array_equal(check_sequences(kind(X), 4), X)
    assert check_sequences(kind(X)).dtype == np.float64


def with_entry(value):
    X = np.zeros((2, 3, 4))
    X[1, 2, 3] = value
    return X


@pytest.mark.parametrize(
    ("X", "inputs", "expected"),
    [
        (1.0, None, "shape"),
        (np.zeros(3), None, "shape"),
        (np.zeros((3, 4)), 4, "shape"),
        (np.zeros((2, 3, 4, 1)), None, "shape"),
        (np.zeros((0, 3, 4)), None, "at least one entry"),
        (np.zeros((2, 0, 4)), 4, "at least one entry"),
        (np.zeros((2, 3, 0)), None, "at least one entry"),
        (np.zeros((2, 3, 4)), 3, "3 inputs"),
        (np.zeros((2, 3, 4)), 5, "5 inputs"),
        (with_entry(np.nan), None, "finite"),
        (with_entry(np.inf), None, "finite"),
        (with_entry(-np.inf), 4, "finite"),
        (with_entry(2**14 + GRID), 4, "scale it down"),
        (with_entry(-(2.0**14) - 1), None, "scale it down"),
        (with_entry(1e308), None, "scale it down"),
    ],
)
def test_wrong_sequences_are_refused_by_name(X, inputs, expected):
    with pytest.raises(ValueError, match=rf"^X: expected .*{expected}"):
        check_sequences(X, inputs)


def test_sequences_at_the_limit_are_taken():
    X = with_entry(-(2.0**14))
    assert np.array_equal(check_sequences(X, 4), X)


@drawn
@given(inputs=st.integers(1, 100), quarters=st.integers(-8, 8))
def test_checked_sequences_pass_the_check_again(inputs, quarters):
    # near the limit rounding may cross it: 65536 / 6 lies nearer to the grid point above
    X = np.full((1, 1, inputs), 2.0**16 / inputs + quarters * GRID / 4)
    if quarters > -2:  # half a step from the limit, refusing is as good
        try:
            check_sequences(X)
        except ValueError:
            return
    once = check_sequences(X)
    assert np.array_equal(check_sequences(once), once)


def test_reset_is_the_threshold_unless_given():
    assert Neuron(0.9, 1.5) == Neuron(0.9, 1.5, 1.5)
    assert Neuron(0.9, 1.5, 0.0).reset == 0.0
    assert Neuron(0.9, 1.5, 0.9 * 1.5).reset == 0.9 * 1.5
    with pytest.raises(dataclasses.FrozenInstanceError):
        Neuron(0.9, 1.5).leak = 1.0


@pytest.mark.parametrize(
    ("name", "constants"),
    [
        ("leak", (-0.1, 1.0)),
        ("leak", (np.nextafter(1, 2), 1.0)),
        ("leak", (np.nan, 1.0)),
        ("threshold", (0.5, 0.0)),
        ("threshold", (0.5, -1.0)),
        ("threshold", (0.5, np.inf)),
        ("threshold", (0.5, np.nan)),
        ("reset", (0.5, 1.0, -0.1)),
        ("reset", (0.5, 1.0, np.inf)),
        ("reset", (0.5, 1.0, np.nan)),
    ],
)
def test_a_constant_out_of_its_range_is_refused_by_name(name, constants):
    with pytest.raises(ValueError, match=f"^{name}: expected"):
        Neuron(*constants)


@pytest.mark.parametrize("leak", [0, 1])
def test_the_ends_of_the_range_of_leaks_are_taken(leak):
    assert Neuron(leak, 2.0**-1074).leak == leak
