"""The complete dictionary of a LIF layer: nothing missing, nothing twice, every witness true."""

import itertools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy.optimize import linprog
from sklearn.datasets import load_digits

from bidual.dictionaries import BinaryMatrix, Layer, roll
from bidual.dictionaries.complete import prefix_trie as tries
from bidual.dictionaries.complete import trajectories as module
from bidual.dictionaries.complete import trajectory_counting as counting
from bidual.dictionaries.complete.budget import Budget, BudgetExceeded
from bidual.dictionaries.complete.prefix_trie import (
    PrefixTrie,
    Refinement,
    check_neuron,
    plain_fraction,
)
from bidual.dictionaries.complete.trajectories import _listed, lif_trajectories
from bidual.dictionaries.complete.trajectory_cells import list_cells
from bidual.dictionaries.complete.trajectory_counting import (
    count_cells,
    count_lif_trajectories,
    most_cells,
)
from bidual.kernels.trajectories import count_cut_cells, replay

from covering import examples

drawn = examples(60)
leaks = st.sampled_from(["0", "1/3", "1/2", "9/10", "1"])
resets = st.sampled_from(["delayed", "immediate"])


def small_sequences(max_inputs=2, max_samples=3, max_steps=3, largest=3):
    shapes = st.tuples(
        st.integers(1, max_samples), st.integers(1, max_steps), st.integers(1, max_inputs)
    )
    return shapes.flatmap(
        lambda shape: hnp.arrays(np.int64, shape, elements=st.integers(-largest, largest))
    )


def strings(steps):
    """All binary strings of a length, one-hot: (2**T, T, 2)."""
    bits = np.array(list(itertools.product((0, 1), repeat=steps)))
    return np.stack([1 - bits, bits], axis=-1)


def columns(found):
    """The trajectories as a set of tuples."""
    return set(map(tuple, found.trajectories.to_dense(np.uint8).T.tolist()))


def fire(X, leak, reset, p, theta):
    """Spikes (n * T,) of one neuron by the recurrence in exact arithmetic, step by step."""
    leak = Fraction(leak)
    taken = theta if reset == "delayed" else leak * theta
    spikes = np.zeros(X.shape[:2], dtype=int)
    for i, sample in enumerate(X.tolist()):
        membrane, spike = Fraction(0), 0
        for t, x in enumerate(sample):
            current = sum((Fraction(a) * b for a, b in zip(x, p, strict=True)), Fraction(0))
            membrane = leak * membrane + current - taken * spike
            spike = int(membrane >= theta)
            spikes[i, t] = spike
    return tuple(spikes.T.ravel().tolist())


# the numbers of a second, independent implementation (plain Python, double description)
@pytest.mark.parametrize(
    ("steps", "leak", "trajectories", "final"),
    [
        (4, "9/10", 1611, 692),
        (4, "99/100", 1623, 686),
        (4, "1/2", 1156, 586),
        (4, "1", 317, 128),
        (5, "9/10", 9300, 5300),
        (5, "99/100", 9800, 5308),
        (5, "1/2", 5452, 3954),
        (5, "1", 1135, 416),
        (6, "9/10", 50632, 33554),
        (6, "99/100", 54962, 34584),
        (6, "1/2", 28112, 21144),
        (6, "1", 2415, 928),
    ],
)
def test_binary_strings_have_the_known_numbers(steps, leak, trajectories, final):
    X = strings(steps)
    found = lif_trajectories(X, leak)
    assert found.trajectories.shape == (steps * 2**steps, trajectories)
    assert found.witnesses.shape == (trajectories, 3)
    assert count_lif_trajectories(X, leak) == trajectories
    patterns, witnesses = found.final()
    assert patterns.shape == (2**steps, final)
    assert witnesses.shape == (final, 3)


def test_all_strings_share_their_prefixes():
    trie = PrefixTrie.of(strings(5))
    assert len(trie.parent) == 2**6 - 2
    assert (trie.parent < np.arange(len(trie.parent))).all()
    # walking up from the node of each sample and step gives the sample back, reversed
    for i, sample in enumerate(strings(5)):
        for t in range(5):
            node, back = trie.rows[t * 32 + i], []
            while node >= 0:
                back.append(trie.inputs[node].tolist())
                node = trie.parent[node]
            assert back[::-1] == sample[: t + 1].tolist()


def possible_by_linear_programs(X, leak, reset):
    """All trajectories, by one linear program for each one tried, from the recurrence alone.

    Spikes are chosen one by one; a partial choice stays if some (p, theta) has every
    u - theta >= 1 or <= -1 and theta >= 1, which loses nothing: scale (p, theta) up.
    """
    n, steps, inputs = X.shape
    leak = float(Fraction(leak))
    share = 1.0 if reset == "delayed" else leak
    partial = [((), ())]
    for i in range(n):
        for t in range(steps):
            extended = []
            for spikes, constraints in partial:
                own = spikes[len(spikes) - t :]
                row = np.zeros(inputs + 1)
                for s in range(t + 1):
                    row[:inputs] += leak ** (t - s) * X[i, s]
                    row[inputs] -= share * leak ** (t - s) * (own[s - 1] if s else 0)
                row[inputs] -= 1
                for spike in (0, 1):
                    added = (*constraints, tuple(row if spike == 0 else -row))
                    bounds = [(None, None)] * inputs + [(1, None)]
                    feasible = linprog(
                        np.zeros(inputs + 1), np.array(added), -np.ones(len(added)), bounds=bounds
                    )
                    if feasible.status == 0:
                        extended.append(((*spikes, spike), added))
            partial = extended
    found = {tuple(np.reshape(spikes, (n, steps)).T.ravel().tolist()) for spikes, _ in partial}
    assert len(found) == len(partial)
    return found


@pytest.mark.parametrize(
    ("shape", "leak", "reset"),
    [
        ((3, 3, 1), "9/10", "delayed"),
        ((3, 3, 1), "1/2", "immediate"),
        ((2, 3, 2), "9/10", "delayed"),
        ((3, 2, 2), "1/2", "immediate"),
        ((3, 3, 2), "1", "delayed"),
        ((2, 2, 3), "9/10", "immediate"),
        ((2, 3, 3), "1/2", "delayed"),
    ],
)
def test_list_is_what_linear_programs_find(shape, leak, reset):
    X = np.random.default_rng(sum(shape)).integers(-3, 4, shape)
    assert columns(lif_trajectories(X, leak, reset)) == possible_by_linear_programs(X, leak, reset)


@drawn
@given(X=small_sequences(), leak=leaks, reset=resets)
def test_witnesses_fire_as_listed_and_no_membrane_is_at_the_threshold(X, leak, reset):
    found = lif_trajectories(X, leak, reset)
    dense = found.trajectories.to_dense(int)
    for j, (*p, theta) in enumerate(found.witnesses.tolist()):
        assert theta > 0
        column = tuple(dense[:, j].tolist())
        assert fire(X, leak, reset, p, theta) == column
        # a lower or higher threshold by very little changes nothing: the cell is open
        assert fire(X, leak, reset, p, theta * (1 + Fraction(1, 10**12))) == column
    assert len(columns(found)) == dense.shape[1]


@drawn
@given(X=small_sequences(max_samples=4), leak=leaks, reset=resets, seed=st.integers(0, 2**32))
def test_random_neurons_ties_included_fire_as_one_of_the_list(X, leak, reset, seed):
    listed = columns(lif_trajectories(X, leak, reset))
    draw = np.random.default_rng(seed)
    for _ in range(60):
        p, theta = draw.integers(-6, 7, X.shape[2]).tolist(), int(draw.integers(1, 7))
        assert fire(X, leak, reset, p, theta) in listed


@drawn
@given(
    X=st.one_of(small_sequences(max_inputs=3), small_sequences(max_inputs=4, max_steps=2)),
    leak=leaks,
    reset=resets,
)
def test_double_description_and_planes_agree_with_each_other(X, leak, reset):
    # d >= 3: the list is by double description, the count by compiled polygons on planes
    found = lif_trajectories(X, leak, reset)
    assert found.trajectories.shape[1] == count_lif_trajectories(X, leak, reset)
    assert found.trajectories.shape[1] <= most_cells(
        PrefixTrie.of(X).refinement(*check_neuron(leak, reset))
    )


@pytest.mark.parametrize("inputs", [1, 2, 3, 4])
def test_rows_that_coincide_after_some_histories_are_counted_once(inputs):
    """With leak 1/2, (2v, 0) and (0, v) end in the same membrane unless 2v fired."""
    v = np.random.default_rng(inputs).integers(-3, 4, (2, inputs))
    X = np.stack([[2 * v[0], 0 * v[0]], [0 * v[0], v[0]], [2 * v[1], 0 * v[1]], [v[0], v[1]]])
    for samples in (X, X[::-1]):
        found = lif_trajectories(samples, "1/2")  # checks itself against the count
        assert found.trajectories.shape[1] == count_lif_trajectories(samples, "1/2")
        dense = found.trajectories.to_dense(int)
        together = dense[[0, 4]] if samples is X else dense[[3, 7]]
        other = dense[5] if samples is X else dense[6]
        silent = together[0] == 0
        assert np.array_equal(together[1][silent], other[silent])


@drawn
@given(X=small_sequences(), leak=leaks, reset=resets)
def test_integers_of_any_size_give_what_the_compiled_code_gives(X, leak, reset):
    fast = lif_trajectories(X, leak, reset)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tries, "_COMPILED", 0)
        patch.setattr(module, "list_compiled_cells", None)
        patch.setattr(counting, "list_compiled_cells", None)
        patch.setattr(counting, "count_cut_cells", None)
        slow = lif_trajectories(X, leak, reset)
    assert slow.trajectories.shape == fast.trajectories.shape
    assert np.array_equal(slow.trajectories.to_dense(int), fast.trajectories.to_dense(int))


@pytest.mark.parametrize("bits", [20, 40, 52])
def test_nearly_parallel_lines_are_told_apart(bits):
    """Cells thinner than floats can tell: signs and inner points fall back to integers."""
    large = 2**bits
    X = np.array([[[large, large + 1]], [[large + 1, large]], [[large - 1, large]], [[1, 1]]])
    X = np.concatenate([X, [[[large, large]]], [[[3, 3]]]])
    refinement = PrefixTrie.of(X).refinement(*check_neuron(0, "delayed"))
    assert refinement.compiled() is not None
    fast = lif_trajectories(X, 0)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(tries, "_COMPILED", 0)
        slow = lif_trajectories(X, 0)
    assert np.array_equal(fast.trajectories.to_dense(int), slow.trajectories.to_dense(int))
    dense = fast.trajectories.to_dense(int)
    for j, (*p, theta) in enumerate(fast.witnesses.tolist()):
        assert fire(X, 0, "delayed", p, theta) == tuple(dense[:, j].tolist())


@pytest.mark.parametrize("seed", range(5))
def test_nearly_concurrent_lines_need_more_than_64_bits(seed):
    """Determinants of 100 bits that are nought to floats: lines that all but share a point."""
    draw = np.random.default_rng(seed)
    limit = 2**56
    rows = [draw.integers(-limit, limit, 3).tolist() for _ in range(2)]
    for weights in ((1, 1), (1, -1), (-1, 1)):
        for by in (-1, 0, 1):
            row = [sum(w * r[i] for w, r in zip(weights, rows, strict=False)) for i in range(3)]
            row[draw.integers(3)] += by
            rows.append(row)
    matrix = np.array(rows, dtype=object)
    count = len(rows)
    zeros = np.zeros(count, dtype=object)
    refinement = Refinement(
        parent=np.full(count, -1),
        normals=matrix[:, :2],
        base=-matrix[:, 2],
        unit=zeros + 1,
        scale=zeros,
        carry=1,
        fixed=np.full(count, -1, dtype=np.int8),
    )
    assert refinement.compiled() is not None
    keys, points = _listed(refinement, 500)
    assert keys[:, 0].tolist() == [key for key, _, _ in list_cells(refinement)]
    signs = points.astype(object) @ matrix.T  # (cells, rows), never 0
    assert np.array_equal(signs > 0, keys >> np.arange(count, dtype=np.uint64) & np.uint64(1) == 1)
    assert (points[:, 2] > 0).all()
    assert (signs != 0).all()
    cells, _ = count_cells(refinement, 10**6, np.inf, 60.0)
    assert cells == len(keys)


def test_cells_without_a_point_in_floats_get_one_in_integers(monkeypatch):
    compiled = module.list_compiled_cells

    def without_points(*arguments):
        result = compiled(*arguments)
        arguments[-1][:] = 0
        return result

    expected = lif_trajectories(strings(3), "9/10")
    monkeypatch.setattr(module, "list_compiled_cells", without_points)
    found = lif_trajectories(strings(3), "9/10")
    assert np.array_equal(found.trajectories.to_dense(int), expected.trajectories.to_dense(int))
    dense = found.trajectories.to_dense(int)
    for j in range(0, dense.shape[1], 10):
        *p, theta = found.witnesses[j].tolist()
        assert fire(strings(3), "9/10", "delayed", p, theta) == tuple(dense[:, j].tolist())


def test_a_float_leak_is_the_fraction_that_it_is():
    exactly = Fraction(0.9)
    assert exactly != Fraction(9, 10)
    X = strings(3)
    refinement = PrefixTrie.of(X).refinement(*check_neuron(0.9, "delayed"))
    assert refinement.compiled() is None  # 106 bits
    found = lif_trajectories(X, 0.9)
    dense = found.trajectories.to_dense(int)
    for j in range(0, dense.shape[1], 7):
        *p, theta = found.witnesses[j].tolist()
        assert fire(X, exactly, "delayed", p, theta) == tuple(dense[:, j].tolist())
    assert columns(lif_trajectories(X, 0.5)) == columns(lif_trajectories(X, (1, 2)))


@given(bottom=st.integers(1, 1000), part=st.floats(0, 1))
def test_a_leak_is_meant_as_a_plain_fraction_or_as_the_decimal_it_is_written_as(bottom, part):
    plain = Fraction(round(part * bottom), bottom)
    assert plain_fraction(float(plain)) == plain
    meant = plain_fraction(part)
    assert float(meant) == part
    assert meant.denominator <= 1000 or meant == Fraction(str(part))


def test_inputs_in_other_units_only_scale_the_witnesses():
    X = np.random.default_rng(3).integers(-4, 5, (4, 3, 2))
    whole = lif_trajectories(X, "9/10")
    for unit in (6, 0.125, 0.75):
        scaled = lif_trajectories(X * unit, "9/10")
        assert np.array_equal(whole.trajectories.to_dense(int), scaled.trajectories.to_dense(int))
        dense = scaled.trajectories.to_dense(int)
        for j in range(0, dense.shape[1], 20):
            *p, theta = scaled.witnesses[j].tolist()
            assert fire(X * unit, "9/10", "delayed", p, theta) == tuple(dense[:, j].tolist())


@pytest.mark.parametrize("reset", ["delayed", "immediate"])
@pytest.mark.parametrize("inputs", [1, 2, 3])
def test_rolling_out_a_layer_of_the_witnesses_gives_the_dictionary(inputs, reset):
    """leak 1/2 and small integers: every membrane is exact in float64."""
    X = np.random.default_rng(inputs).integers(-3, 4, (4, 3, inputs)) / 4
    found = lif_trajectories(X, 0.5, reset)
    weights = found.witnesses[:, :-1].T.astype(np.float64)
    layer = Layer.build(weights, 0.5, found.witnesses[:, -1].astype(np.float64), reset)
    (spikes,) = roll(X, [layer])
    rolled = spikes.transpose(1, 0, 2).reshape(12, -1)
    assert np.array_equal(rolled, found.trajectories.to_dense(np.uint8))


def test_digits_are_counted_listed_and_replayed():
    images = load_digits().images
    two = lif_trajectories(images[:10, :4, 2:4], "9/10")
    assert two.trajectories.shape == (40, count_lif_trajectories(images[:10, :4, 2:4], "9/10"))
    three = lif_trajectories(images[:3, :4, 2:5], "9/10")
    assert three.trajectories.shape[1] == count_lif_trajectories(images[:3, :4, 2:5], "9/10")
    assert len(columns(three)) == three.trajectories.shape[1]


def test_final_patterns_are_the_distinct_last_rows():
    X = np.random.default_rng(5).integers(-2, 3, (9, 3, 2))
    found = lif_trajectories(X, "9/10")
    last = found.trajectories.to_dense(int)[-9:]
    patterns, witnesses = found.final()
    listed = set(map(tuple, patterns.to_dense(int).T.tolist()))
    assert listed == set(map(tuple, last.T.tolist()))
    assert len(listed) == patterns.shape[1] == len(witnesses)
    for column, (*p, theta) in zip(patterns.to_dense(int).T, witnesses.tolist(), strict=True):
        assert fire(X, "9/10", "delayed", p, theta)[-9:] == tuple(column.tolist())


def test_no_input_no_spike():
    found = lif_trajectories(np.zeros((2, 3, 2)), "9/10")
    assert found.trajectories.shape == (6, 1)
    assert found.trajectories.density == 0.0


@pytest.mark.parametrize(
    ("budget", "named"),
    [
        (Budget(patterns=1000), "patterns 1,000"),
        (Budget(seconds=1e-4), "seconds 0.0001"),
        (Budget(nbytes=10_000), "nbytes 10,000"),
    ],
)
def test_a_budget_refuses_before_listing(monkeypatch, budget, named):
    monkeypatch.setattr(module, "list_compiled_cells", None)
    told = []
    with pytest.raises(BudgetExceeded, match=named) as refusal:
        lif_trajectories(strings(5), "9/10", budget=budget, report=told.append)
    (estimate,) = told
    assert estimate.patterns >= 9300
    assert str(estimate) in str(refusal.value)
    assert f"{estimate.patterns:,} patterns" in str(refusal.value)
    if estimate.exact:
        assert estimate.patterns == 9300


def test_counting_stops_at_its_budget():
    # 2**16 steps of histories for a million prefixes: the bound must come before the count ends
    X = np.random.default_rng(0).integers(0, 2, (5000, 16, 2))
    told = []
    with pytest.raises(BudgetExceeded, match="up to"):
        lif_trajectories(X, "1/2", budget=Budget(seconds=1.0), report=told.append)
    assert not told[0].exact
    with pytest.raises(BudgetExceeded, match="the count stopped at"):
        count_lif_trajectories(strings(5), "9/10", budget=Budget(patterns=9299))
    assert count_lif_trajectories(strings(5), "9/10", budget=Budget(patterns=9300)) == 9300
    refinement = PrefixTrie.of(strings(4)).refinement(*check_neuron("9/10", "delayed"))
    cells, steps = count_cells(refinement, 10**6, np.inf, 60.0)
    assert cells < steps < cells * len(refinement.parent)
    assert count_cells(refinement, 10**6, steps, 60.0) == (cells, steps)
    assert count_cells(refinement, 10**6, steps - 1, 60.0) is None
    X = np.random.default_rng(0).integers(-9, 10, (20, 4, 3))
    with pytest.raises(BudgetExceeded, match="the count stopped at"):
        count_lif_trajectories(X, "1/2", budget=Budget(seconds=0.01))


@pytest.mark.parametrize("steps", [8, 15])
def test_histories_count_as_work_by_their_length(steps):
    # of the 2**depth histories of a constant current most end at once, but all are set up
    refinement = PrefixTrie.of(np.ones((1, steps, 2))).refinement(*check_neuron("1/2", "delayed"))
    c, depth = refinement.compiled(), steps - 1
    arrays = (c.parent, c.normals, c.base, c.unit, c.scale, c.carry)
    _, work = count_cut_cells(depth, *arrays, 2**62, 2**62)
    assert work >= 2**depth * (depth + 1)
    _, stopped = count_cut_cells(depth, *arrays, 2**62, 100)
    assert 100 < stopped <= 100 + 2 * (depth + 1)


def test_without_a_count_the_bound_serves(monkeypatch):
    expected = columns(lif_trajectories(strings(3), "9/10"))
    monkeypatch.setattr(module, "count_cells", lambda *arguments: None)
    told = []
    found = lif_trajectories(strings(3), "9/10", report=told.append)
    assert not told[0].exact
    assert told[0].patterns > len(expected)
    assert columns(found) == expected


def test_a_wrong_list_is_noticed(monkeypatch):
    compiled, count = module.list_compiled_cells, module.count_cells

    def spoil(change):
        def spoilt(*arguments):
            found = compiled(*arguments)
            change(arguments[-2], arguments[-1])
            return found

        return spoilt

    def last_witness(keys, points):
        points[-1] = points[-2]

    def twice(keys, points):
        keys[7], points[7] = keys[6], points[6]

    for change, message in (
        (last_witness, "does not fire as listed"),
        (twice, "expected distinct"),
    ):
        monkeypatch.setattr(module, "list_compiled_cells", spoil(change))
        with pytest.raises(RuntimeError, match=message):
            lif_trajectories(strings(3), "9/10")
    monkeypatch.setattr(module, "list_compiled_cells", compiled)
    for wrong, message in ((1, "by the count, listed [0-9]+"), (-1, "by the count, listed more")):
        monkeypatch.setattr(
            module, "count_cells", lambda *args, off=wrong: (count(*args)[0] + off, 1)
        )
        with pytest.raises(RuntimeError, match=message):
            lif_trajectories(strings(3), "9/10")


@pytest.mark.parametrize(("above", "fires"), [(-1, 1), (0, 1), (1, 0)])
def test_replay_tells_what_floats_and_64_bits_alone_cannot(above, fires):
    """Products of 71 bits that cancel to 2 p, one unit from the threshold or at it."""
    p = 2**20 + 1
    sequences = np.array([[[2**50 + 1], [2**50 - 1]]])  # one step, two inputs, one sample
    witnesses = np.array([[p, -p, 2 * p + above]])
    slack = 4 * 12 * 2.0**52 / 2**53
    for listed in (0, 1):
        words = np.full((1, 8), listed, dtype=np.uint64)
        found = replay(sequences, np.array([1]), 1, 1, 1, witnesses, slack, words)
        assert found == (-1 if listed == fires else 0)


def test_a_wrong_witness_of_many_bits_is_noticed(monkeypatch):
    # too large for the compiled replay
    inner_point = module.inner_point
    monkeypatch.setattr(module, "inner_point", lambda *a: tuple(x << 80 for x in inner_point(*a)))
    monkeypatch.setattr(tries, "_COMPILED", 0)
    found = lif_trajectories(strings(2), "9/10")
    assert found.witnesses.dtype == object
    dense = found.trajectories.to_dense(int)
    for j, (*p, theta) in enumerate(found.witnesses.tolist()):
        assert fire(strings(2), "9/10", "delayed", p, theta) == tuple(dense[:, j].tolist())
    monkeypatch.setattr(module, "inner_point", lambda *a: (0, 0, 1 << 80))
    with pytest.raises(RuntimeError, match="witness 1 does not fire as listed"):
        lif_trajectories(strings(2), "9/10")


@pytest.mark.parametrize(
    ("X", "leak", "reset", "named"),
    [
        ([[1, 2]], "1/2", "delayed", "X: expected sequences"),
        (np.zeros((0, 2, 1)), "1/2", "delayed", "X: expected sequences"),
        ([[[np.nan]]], "1/2", "delayed", "X: expected finite"),
        ([[["a"]]], "1/2", "delayed", "X: expected numbers"),
        ([[[1]]], "x", "delayed", "leak: expected a rational"),
        ([[[1]]], (1, 0), "delayed", "leak: expected a rational"),
        ([[[1]]], None, "delayed", "leak: expected a rational"),
        ([[[1]]], float("nan"), "delayed", "leak: expected a rational"),
        ([[[1]]], np.float32("inf"), "delayed", "leak: expected a rational"),
        ([[[1]]], "3/2", "delayed", "leak: expected a number"),
        ([[[1]]], -1, "delayed", "leak: expected a number"),
        ([[[1]]], 1, "hard", "reset: expected"),
    ],
)
def test_wrong_arguments_are_named(X, leak, reset, named):
    for function in (lif_trajectories, count_lif_trajectories):
        with pytest.raises(ValueError, match=named):
            function(X, leak, reset)


def test_budgets_are_optional_and_of_their_class():
    for function in (lif_trajectories, count_lif_trajectories):
        function([[[1]]], "1/2", budget=None)
        with pytest.raises(ValueError, match=r"^budget: expected a Budget, got 100"):
            function([[[1]]], "1/2", budget=100)


@pytest.mark.parametrize(
    ("leak", "exact"),
    [
        (np.int64(1), Fraction(1)),
        (np.uint8(0), Fraction(0)),
        ((np.int64(9), np.int32(10)), Fraction(9, 10)),
        (np.float32(0.9), Fraction(float(np.float32(0.9)))),
        (np.longdouble("0.5"), Fraction(1, 2)),
    ],
)
def test_numpy_scalars_are_the_numbers_that_they_are(leak, exact):
    share, taken = check_neuron(leak, "immediate")
    assert share == taken == exact
    assert {type(share.numerator), type(share.denominator)} == {int}
    X = np.random.default_rng(0).integers(0, 3, (4, 6, 1))
    assert columns(lif_trajectories(X, leak)) == columns(lif_trajectories(X, exact))


def test_the_result_is_a_binary_matrix_of_one_bit_an_entry():
    found = lif_trajectories(strings(4), "9/10")
    assert isinstance(found.trajectories, BinaryMatrix)
    assert found.trajectories.nbytes == 1611 * 64
    assert found.witnesses.dtype == np.int64
