"""Rollouts fire exactly when the recurrence says so, whatever the blocking, BLAS or order."""

import dataclasses
import functools
import itertools
import tracemalloc
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import bidual as bd
from bidual.dictionaries import (
    InputGrid,
    Layer,
    Neuron,
    check_sequences,
    roll,
    roll_columns,
    smallest_margins,
)

from covering import examples

GRID = 2.0**-20
drawn = examples(100)

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


def scanned(array, leak, threshold, reset, **rest):
    """Spikes of neurons whose currents are ``array`` (n, T, m): one input each, of weight 1."""
    layer = Layer.build(np.eye(array.shape[2]), leak, threshold, reset, **rest)
    (spikes,) = roll(np.asarray(array, dtype=np.float64), [layer])
    return spikes


def weights_of(bank):
    return [layer.weights for layer in bank.layers(0)]


def layers_of(weights, neuron):
    return [
        Layer.build(layer, neuron.leak, neuron.threshold, neuron.reset, strict=neuron.strict)
        for layer in weights
    ]


@drawn
@given(array=currents, leak=leaks, threshold=thresholds, reset=resets)
def test_scan_equals_the_recurrence_in_fractions(array, leak, threshold, reset):
    expected = fire_all(array, leak, threshold, reset, number=Fraction)
    assert np.array_equal(scanned(array, leak, threshold, reset), expected)


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
def test_hand_computed_spikes(series, leak, threshold, reset, spikes):
    array = np.array(series, dtype=np.float64).reshape(1, -1, 1)
    found = scanned(array, float(leak), float(threshold), float(reset))
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


@examples(40)
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
    neuron = Neuron(leak, threshold, reset)
    weights = weights_of(bd.SampledWitnesses(shape[2], hidden, 1, seed, neuron))
    layers = roll(sequences, layers_of(weights, neuron))
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


NEURON = Neuron(leak=0.99, threshold=1.0)  # a leak off every grid: exact currents have to do
BANK = bd.SampledWitnesses(24, (48, 33, 20), subnetworks=1, seed=5, neuron=NEURON).layers(0)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 32, 63])
def test_blocks_of_any_size_fire_the_same(size):
    sequences = on_grid(1, 64, 9, 24)
    whole = roll(sequences, BANK)
    assert all(0.02 < layer.mean() < 0.98 for layer in whole)  # else the test shows nothing
    parts = [roll(sequences[k : k + size], BANK) for k in range(0, 64, size)]
    for depth, layer in enumerate(whole):
        assert np.array_equal(np.concatenate([part[depth] for part in parts]), layer)


def test_neurons_and_inputs_in_any_order_fire_the_same():
    # a sum in another order is what another BLAS or number of threads computes
    sequences, (first, *_) = on_grid(2, 50, 9, 24), BANK
    (whole,) = roll(sequences, [first])
    rng = np.random.default_rng(0)
    for _ in range(10):
        inputs, outputs = rng.permutation(24), rng.permutation(48)[: rng.integers(1, 49)]
        (layer,) = layers_of([first.weights[inputs][:, outputs]], NEURON)
        (found,) = roll(sequences[:, :, inputs], [layer])
        assert np.array_equal(found, whole[:, :, outputs])


def test_samples_in_any_order_fire_the_same():
    sequences = on_grid(3, 40, 9, 24)
    order = np.random.default_rng(0).permutation(40)
    whole = roll(sequences, BANK)
    for layer, found in zip(whole, roll(sequences[order], BANK), strict=True):
        assert np.array_equal(found, layer[order])


@pytest.mark.parametrize("step", range(9))
def test_input_at_a_step_changes_no_earlier_spike(step):
    sequences = on_grid(4, 64, 9, 24)
    changed = sequences.copy()
    changed[:, step:] = on_grid(5, 64, 9, 24)[:, step:]
    for before, after in zip(roll(sequences, BANK), roll(changed, BANK), strict=True):
        assert np.array_equal(before[:, :step], after[:, :step])
        assert not np.array_equal(before[:, step], after[:, step])


def test_roll_leaves_sequences_and_weights_alone():
    sequences = on_grid(6, 8, 5, 24)
    copies = sequences.copy(), [layer.weights.copy() for layer in BANK]
    layers = roll(sequences, BANK)
    layers[-1][:] = 7
    assert np.array_equal(sequences, copies[0])
    assert all(np.array_equal(a.weights, b) for a, b in zip(BANK, copies[1], strict=True))


@pytest.mark.parametrize("inputs", [1, 3, 16, 64, 200])
@pytest.mark.parametrize("size", [1.0, 2.0**16], ids=["ordinary", "largest"])
def test_currents_are_exact_to_the_last_bit(inputs, size):
    # check_sequences admits d * max|X| <= 2**16; with |w| < 5.5 a sum has 34 bits after the
    # point and fewer than 19 before it, 53 in all. A threshold at the exact sum is met, and
    # one a bit above is not.
    rng = np.random.default_rng(inputs)
    X = rng.uniform(0.9, 1.0, (6, 1, inputs)) * size / inputs
    sequences = check_sequences(np.where(rng.random(X.shape) < 0.8, X, -X))
    (weights,) = weights_of(bd.SampledWitnesses(inputs, (8,), 1, inputs, NEURON))
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
            (spikes,) = roll(sequences, layers_of([weights], Neuron(0.5, threshold)))
            assert spikes[i, 0, j] == spike
    assert tried >= 10


@drawn
@given(X=hnp.arrays(np.int64, (2, 3, 2), elements=st.integers(-(2**35), 2**35)))
def test_sequences_on_the_grid_are_not_changed(X):
    assert np.array_equal(check_sequences(X * GRID), X * GRID)


def test_ties_are_rounded_to_even_multiples():
    X = np.array([0.5, 1.5, 2.5, -0.5, -1.5]).reshape(1, 1, 5) * GRID
    assert (InputGrid.default(5).take(X).ravel() / GRID).tolist() == [0, 2, 2, 0, -2]


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
        (with_entry(2.0**501), 4, r"2\*\*500.* column 3 .*scale X down"),
        (with_entry(-(2.0**501)), None, "scale X down"),
        (with_entry(1e308), None, "scale X down"),
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


def test_names_of_resets_are_amounts():
    build = functools.partial(Layer.build, np.ones((1, 2)), 0.5, [1.0, 3.0])
    assert build().reset.tolist() == [1.0, 3.0]
    assert build("delayed").reset.tolist() == [1.0, 3.0]
    assert build("immediate").reset.tolist() == [0.5, 1.5]
    assert build("hard").reset.tolist() == [0.0, 0.0]
    assert build(0.25).reset.tolist() == [0.25, 0.25]
    assert [build(reset).hard for reset in ("delayed", "immediate", "hard", 0.0)] == [0, 0, 1, 0]
    with pytest.raises(dataclasses.FrozenInstanceError):
        Neuron(0.9, 1.5).leak = 1.0


@pytest.mark.parametrize(
    ("name", "constants"),
    [
        ("leak", (-0.1, 1.0)),
        ("leak", (np.nextafter(1, 2), 1.0)),
        ("leak", (np.nan, 1.0)),
        ("leak", ((0.5, 0.4), 1.0)),
        ("leak", ((0.5, 1.1), 1.0)),
        ("leak", ((0.1, 0.2, 0.3), 1.0)),
        ("threshold", (0.5, (1.0, np.inf))),
        ("threshold", (0.5, (1.0, 0.5))),
        ("threshold", (0.5, np.inf)),
        ("threshold", (0.5, np.nan)),
        ("reset", (0.5, 1.0, -0.1)),
        ("reset", (0.5, 1.0, np.inf)),
        ("reset", (0.5, 1.0, np.nan)),
        ("reset", (0.5, 1.0, "soft")),
    ],
)
def test_a_constant_out_of_its_range_is_refused_by_name(name, constants):
    with pytest.raises(ValueError, match=f"^{name}: expected"):
        Neuron(*constants)


@pytest.mark.parametrize("leak", [0, 1])
def test_the_ends_of_the_range_of_leaks_are_taken(leak):
    assert Neuron(leak, 2.0**-1074).leak == leak


def twin(sequences, layers):
    """Spikes of every layer in exact fractions, by the definition, entry by entry."""
    signal = sequences.tolist()
    rolled = []
    for layer in layers:
        weights, m = layer.weights.tolist(), layer.width
        recurrent = None if layer.recurrent is None else layer.recurrent.tolist()
        constants = (layer.leak, layer.threshold, layer.reset, layer.bias)
        leak, threshold, reset, bias = ([Fraction(v) for v in part.tolist()] for part in constants)
        spikes = []
        for series in signal:
            u, s = [Fraction(0)] * m, [0] * m
            fired = []
            for step in series:
                now = []
                for j in range(m):
                    current = bias[j]
                    current += sum(
                        Fraction(x) * Fraction(row[j]) for x, row in zip(step, weights, strict=True)
                    )
                    if recurrent:
                        current += sum(
                            Fraction(row[j]) for f, row in zip(s, recurrent, strict=True) if f
                        )
                    kept = 0 if layer.hard and s[j] else u[j]
                    u[j] = leak[j] * kept + current - reset[j] * s[j]
                    now.append(int(u[j] > threshold[j] if layer.strict else u[j] >= threshold[j]))
                s = now
                fired.append(s)
            spikes.append(fired)
        rolled.append(np.array(spikes))
        signal = spikes
    return rolled


def eighths(low, high, shape):
    return hnp.arrays(np.int64, shape, elements=st.integers(low, high)).map(lambda k: k / 8)


@st.composite
def exact_layers(draw):
    """Layers of any kind whose membranes float64 holds: multiples of 1/8, leaks of 1/2."""
    widths = draw(st.lists(st.integers(1, 5), min_size=2, max_size=3))
    layers = []
    for fan_in, m in itertools.pairwise(widths):
        layers.append(
            Layer.build(
                draw(eighths(-16, 16, (fan_in, m))),
                leak=draw(hnp.arrays(np.int64, m, elements=st.integers(0, 2))) / 2,
                threshold=draw(eighths(-4, 16, m)),
                reset=draw(st.sampled_from(["delayed", "immediate", "hard", 0.0, 0.5])),
                bias=draw(eighths(-4, 4, m)),
                recurrent=draw(st.none() | eighths(-16, 16, (m, m))),
                strict=draw(st.booleans()),
            )
        )
    return layers


@examples(150)
@given(layers=exact_layers(), data=st.data())
def test_every_kind_of_layer_equals_its_twin_in_fractions(layers, data):
    shape = data.draw(st.tuples(st.integers(1, 3), st.integers(1, 6)))
    sequences = data.draw(eighths(-8, 8, (*shape, layers[0].fan_in)))
    for found, expected in zip(roll(sequences, layers), twin(sequences, layers), strict=True):
        assert np.array_equal(found, expected)


def test_kinds_of_layer_are_different_networks():
    # else the test above might compare kinds that never show
    sequences = on_grid(11, 20, 12, 6)
    (plain,) = bd.SampledWitnesses(6, (20,), 1, 0, NEURON).layers(0)
    rng = np.random.default_rng(0)
    others = {
        "hard": dataclasses.replace(plain, hard=True, reset=np.zeros(20)),
        "immediate": dataclasses.replace(plain, leak=np.full(20, 0.5), reset=np.full(20, 0.5)),
        "bias": dataclasses.replace(plain, bias=np.full(20, 0.25)),
        "recurrent": dataclasses.replace(plain, recurrent=rng.normal(size=(20, 20))),
        "leaks": dataclasses.replace(plain, leak=rng.random(20)),
        "thresholds": dataclasses.replace(plain, threshold=rng.random(20)),
    }
    rolled = {name: roll(sequences, [layer])[0] for name, layer in others.items()}
    rolled["plain"] = roll(sequences, [plain])[0]
    assert len({spikes.tobytes() for spikes in rolled.values()}) == len(rolled)


@pytest.mark.parametrize(("strict", "fires"), [(False, 1), (True, 0)])
def test_a_tie_fires_unless_strict(strict, fires):
    for threshold in (1.0, -0.5, 0.0):
        tie = np.array([[[threshold]]])
        above = np.nextafter(tie, np.inf)
        constants = (0.5, threshold, 0.0)
        assert scanned(tie, *constants, strict=strict).item() == fires
        assert scanned(above, *constants, strict=strict).item() == 1
        assert scanned(np.nextafter(tie, -np.inf), *constants, strict=strict).item() == 0


def test_threshold_units_see_one_step_at_a_time():
    sequences = on_grid(7, 30, 5, 6)
    bank = bd.SampledWitnesses(6, (9,), 1, 2, bd.THRESHOLD_UNIT, bias=True)
    (layer,) = bank.layers(0)
    (spikes,) = roll(sequences, [layer])
    assert np.array_equal(spikes, sequences @ layer.weights + layer.bias >= 0)


WIDTHS = [1, 7, 15, 16, 17, 63, 64, 65, 130]


@pytest.mark.parametrize("width", WIDTHS)
@pytest.mark.parametrize("recurrent", [False, True])
def test_layers_of_any_width_equal_their_neurons_alone(width, recurrent):
    sequences = on_grid(width, 10, 6, 20)
    rng = np.random.default_rng(width)
    below = Layer.build(rng.normal(size=(20, width)).round(3), 0.9, 1.0)
    above = Layer.build(
        rng.normal(size=(width, 3)).round(3),
        0.8,
        0.5,
        "hard",
        bias=rng.normal(size=3).round(3),
        recurrent=rng.normal(size=(3, 3)).round(3) if recurrent else None,
    )
    first, second = roll(sequences, [below, above])
    alone = [roll(sequences, [below.take([j])])[0] for j in range(width)]
    assert np.array_equal(first, np.concatenate(alone, axis=2))
    fed = roll(first.astype(np.float64), [above])[0]  # spikes as values, summed in another loop
    assert np.array_equal(second, fed)


def by_hand(spikes, every_step):
    """Rows t * n + i of D from spikes (n, T, m)."""
    rows = spikes.transpose(1, 0, 2).reshape(-1, spikes.shape[2])
    return rows if every_step else rows[-spikes.shape[0] :]


@pytest.mark.parametrize("n", [1, 63, 64, 65, 300, 513])
@pytest.mark.parametrize("every_step", [False, True])
@pytest.mark.parametrize("width", [1, 20, 65])
def test_packed_columns_are_the_final_spikes(n, every_step, width):
    sequences = on_grid(n, n, 5, 7)
    bank = bd.SampledWitnesses(7, (10, width), 1, n, Neuron(0.8, 0.5))
    words = roll_columns(sequences, bank.layers(0), every_step)
    rows = n * (5 if every_step else 1)
    expected = by_hand(roll(sequences, bank.layers(0))[-1], every_step)
    assert np.array_equal(bd.BinaryMatrix(words, rows).to_dense(np.uint8), expected)


@pytest.mark.parametrize("every_step", [False, True])
def test_memory_is_the_packed_result_and_a_block_a_thread(every_step):
    n, steps, hidden = 6000, 10, (64, 64)
    sequences = on_grid(9, n, steps, 8)
    layers = bd.SampledWitnesses(8, hidden, 1, 0, NEURON).layers(0)
    with bd.use_threads(2):
        roll_columns(sequences, layers, every_step)  # what compiling takes is not looked at
    block = 256 * steps * 8 * len(hidden)  # a word of spikes a sample, step and layer
    tracemalloc.start()
    try:
        with bd.use_threads(2):
            words = roll_columns(sequences, layers, every_step)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    weights = 2 * sum(layer.weights.nbytes for layer in layers)  # prepared for the kernels
    assert peak <= words.nbytes + 2 * block + weights + 200_000
    assert n * steps * 64 * 8 > 10 * peak  # the floats of one layer would be far more


@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_any_number_of_threads_fires_the_same(count, monkeypatch):
    monkeypatch.setattr("bidual.dictionaries.rollout._SAMPLES_PER_BLOCK", 16)
    monkeypatch.setattr("bidual.dictionaries.threads.threads._REGISTERS_PER_THREAD", 1)
    sequences = on_grid(8, 200, 9, 24)
    with bd.use_threads(1):
        alone = roll(sequences, BANK), roll_columns(sequences, BANK, True)
    with bd.use_threads(count):
        found = roll(sequences, BANK), roll_columns(sequences, BANK, True)
    assert all(np.array_equal(a, b) for a, b in zip(alone[0], found[0], strict=True))
    assert np.array_equal(alone[1], found[1])


@drawn
@given(layers=exact_layers(), data=st.data())
def test_smallest_margin_is_that_of_the_membranes(layers, data):
    layer = layers[0]
    sequences = data.draw(eighths(-8, 8, (2, 4, layer.fan_in)))
    (margin,) = smallest_margins(sequences, [layer])
    # below the margin nothing flips, at the margin something does
    (spikes,) = roll(sequences, [layer])
    moved = [
        roll(sequences, [dataclasses.replace(layer, threshold=layer.threshold + shift)])[0]
        for shift in (margin - 2.0**-30, 2.0**-30 - margin)
    ]
    if margin > 0:
        assert all(np.array_equal(spikes, other) for other in moved)
    membranes = closest(sequences, layer)
    assert margin == membranes


def closest(sequences, layer):
    """The smallest |u - threshold| of a layer, from its spikes and the recurrence in floats."""
    (spikes,) = roll(sequences, [layer])
    n, steps, m = spikes.shape
    before = np.zeros((n, m))
    u, smallest = np.zeros((n, m)), np.inf
    recurrent = np.zeros((m, m)) if layer.recurrent is None else layer.recurrent
    for t in range(steps):
        current = layer.bias + sequences[:, t] @ layer.weights + before @ recurrent
        kept = np.where(before * layer.hard > 0, 0.0, u)
        u = layer.leak * kept + current - layer.reset * before
        before = spikes[:, t].astype(float)
        smallest = min(smallest, np.abs(u - layer.threshold).min())
    return smallest


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"weights": np.ones(3)}, "weights"),
        ({"weights": np.ones((2, 0))}, "weights"),
        ({"weights": np.full((2, 3), np.nan)}, "weights"),
        ({"leak": [0.5, 0.5]}, "leak"),
        ({"leak": 1.5}, "leak"),
        ({"threshold": np.inf}, "threshold"),
        ({"threshold": np.ones((3, 1))}, "threshold"),
        ({"reset": "soft"}, "reset"),
        ({"reset": np.ones(2)}, "reset"),
        ({"reset": -1.0}, "reset"),
        ({"strict": np.array([True, False, True])}, "strict"),
        ({"strict": "no"}, "strict"),
        ({"bias": [1, 2, 3, 4]}, "bias"),
        ({"bias": np.nan}, "bias"),
        ({"recurrent": np.ones((3, 2))}, "recurrent"),
        ({"recurrent": np.full((3, 3), np.inf)}, "recurrent"),
    ],
)
def test_a_part_of_a_layer_that_does_not_fit_is_refused_by_name(change, expected):
    parts = {"weights": np.ones((2, 3)), "leak": 0.5, "threshold": 1.0}
    with pytest.raises(ValueError, match=f"^{expected}: expected"):
        Layer.build(**parts | change)


def test_neurons_of_a_recurrent_layer_are_not_taken_apart():
    layer = Layer.build(np.ones((2, 3)), 0.5, 1.0, recurrent=np.ones((3, 3)))
    with pytest.raises(ValueError, match=r"^neurons: expected a layer without recurrent"):
        layer.take([0])


@pytest.mark.parametrize("count", [3, 4, 7, 12])
@pytest.mark.parametrize("source", ["values", "spikes", "recurrent"])
def test_sums_off_the_grids_run_by_rising_index_from_the_bias(count, source):
    # so that they are the same for any blocks, threads and machine: the exact float is met
    ones = np.ones((1, 1, count))

    def in_order(terms):
        total = 0.0
        for term in terms:
            total += term
        return total

    for seed in itertools.count():  # until these other orders give other sums
        bias, *terms = np.random.default_rng(seed).normal(size=count + 1).tolist()
        expected = in_order([bias, *terms])
        others = [[*terms[:k], terms[k + 1], terms[k], *terms[k + 2 :]] for k in range(count - 1)]
        if all(in_order([bias, *other]) != expected for other in [*others, terms[::-1]][-3:]):
            break
    weights = np.array(terms)[:, None]
    for threshold, spike in ((expected, 1), (np.nextafter(expected, np.inf), 0)):
        layer = Layer.build(weights, 0.0, threshold, 0.0, bias)
        if source == "values":
            found = roll(ones, [layer])[0][0, 0, 0]
        elif source == "spikes":
            relay = Layer.build(np.eye(count), 0.0, 1.0, 0.0)
            found = roll(ones, [relay, layer])[1][0, 0, 0]
        else:
            # all fire at the first step, by their own inputs, and feed neuron 0 at the second
            recurrent = np.zeros((count, count))
            recurrent[:, 0] = weights[:, 0]
            inputs = np.concatenate([np.full((1, 1, count), 100.0), np.zeros((1, 1, count))], 1)
            layer = Layer.build(np.eye(count), 0.0, threshold, 0.0, bias, recurrent)
            found = roll(inputs, [layer])[0][0, 1, 0]
        assert found == spike


@pytest.mark.parametrize("large", [2.0**9, 2.0**10, 2.0**11, 2.0**30])
@pytest.mark.parametrize("source", ["weights", "recurrent", "bias"])
def test_sums_of_spikes_are_exact_on_the_grid_however_large(large, source):
    # 2**11 + 2**-14 has 26 bits, more than a float32 holds
    exact = large + 2.0**-14
    relay = Layer.build(np.eye(2), 0.0, 1.0, 0.0)
    steps = np.ones((1, 2, 2))
    for threshold, spike in ((exact, 1), (np.nextafter(exact, np.inf), 0)):
        parts = {
            "weights": {"weights": [[large], [2.0**-14]]},
            "bias": {"weights": [[2.0**-14], [0.0]], "bias": large},
            # neuron 1 fires at the first step, and adds to neuron 0 at the second
            "recurrent": {
                "weights": [[large, 1.0], [0.0, 1.0]],
                "recurrent": [[0.0, 0.0], [2.0**-14, 0.0]],
            },
        }[source]
        thresholds = [threshold, 1.0][: np.shape(parts["weights"])[1]]
        layer = Layer.build(**parts, leak=0.0, threshold=thresholds, reset=0.0)
        assert roll(steps, [relay, layer])[1][0, 1, 0] == spike


@pytest.mark.parametrize("run", [roll, smallest_margins, lambda *a: roll_columns(*a, True)])
def test_sequences_and_layers_that_do_not_fit_are_refused(run):
    one, other = Layer.build(np.ones((3, 2)), 0.5, 1.0), Layer.build(np.ones((4, 2)), 0.5, 1.0)
    sequences = np.ones((5, 6, 3))
    for wrong in ([other], [one, other], [], [one, one]):
        with pytest.raises(ValueError, match=r"^layers: expected fan-ins"):
            run(sequences, wrong)
    for wrong in (sequences[0], sequences.astype(np.float32), sequences > 0):
        with pytest.raises(ValueError, match=r"^sequences: expected float64"):
            run(wrong, [one])
    assert run(sequences, [one, Layer.build(np.ones((2, 4)), 0.5, 1.0)]) is not None


def test_arrays_of_a_layer_are_told_apart_from_what_is_wrong_with_them():
    layer = Layer.build(np.ones((2, 3)), 0.5, 1.0)
    with pytest.raises(ValueError, match=r"^weights: expected finite .* got NaN or infinity"):
        dataclasses.replace(layer, weights=np.full((2, 3), np.nan))
    with pytest.raises(ValueError, match=r"^leak: expected a float64 array, got list"):
        dataclasses.replace(layer, leak=[0.5, 0.5, 0.5])
    with pytest.raises(ValueError, match=r"^reset: expected 0 in a hard reset"):
        dataclasses.replace(layer, hard=True)
    assert repr(dataclasses.replace(layer, strict=True)) == "Layer(2 to 3 neurons, strict)"


def test_numbers_of_a_neuron_are_plain_so_that_equal_ones_are_written_alike():
    neuron = Neuron(np.float32(0.5), np.int64(1), np.int64(1), np.bool_(True))
    assert neuron == Neuron(0.5, 1.0, 1.0, True)
    assert [type(value) for value in dataclasses.astuple(neuron)] == [float, float, float, bool]


@pytest.mark.parametrize("reset", [None, [1.0], 1j, np.ones(3)])
def test_what_is_no_reset_is_refused(reset):
    with pytest.raises(ValueError, match=r"^reset: expected"):
        Neuron(0.5, 1.0, reset)


def test_layouts_of_sequences_compile_nothing_more():
    X = on_grid(1, 5, 4, 3)
    assert check_sequences(X.transpose(1, 0, 2)).flags.c_contiguous
    for wrong in (X.astype(complex), np.ma.masked_array(X, X > 0)):
        with pytest.raises(ValueError, match=r"^X: expected numbers"):
            check_sequences(wrong)
