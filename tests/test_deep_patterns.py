"""Deep and recurrent dictionaries are what networks of those widths can do: no more, no less."""

import itertools
import math
from fractions import Fraction

import numpy as np
import pytest
from scipy.optimize import linprog

from bidual.dictionaries.complete.arrangement import threshold_patterns
from bidual.dictionaries.complete.budget import Budget, BudgetExceeded
from bidual.dictionaries.complete.deep_patterns import deep_patterns, recurrent_patterns

from covering import slow

EXAMPLE = [[-1, 1], [0, 1], [1, 1]]


def fires(rows, pattern):
    """Whether some h has this pattern on the rows, by one LP."""
    rows, on = np.asarray(rows, dtype=float), np.array(pattern, dtype=bool)
    signed = np.vstack([-rows[on], rows[~on]])
    bounds = np.concatenate([np.zeros(on.sum()), -np.ones((~on).sum())])
    return linprog(np.zeros(rows.shape[1]), signed, bounds, bounds=(None, None)).status == 0


def lp_patterns(rows):
    return [p for p in itertools.product((0, 1), repeat=len(rows)) if fires(rows, p)]


def columns(matrix):
    return set(map(tuple, matrix.to_dense(np.uint8).T.tolist()))


def fractions(X):
    return np.vectorize(Fraction, otypes=[object])(X)


def replay_deep(X, found):
    """Columns of the networks of all witnesses, in Python ints."""
    out = []
    for j in range(found.patterns.shape[1]):
        spikes = np.asarray(X).astype(object)
        for weights in found.weights:
            spikes = (spikes @ weights[j] >= 0).astype(int).astype(object)
        assert spikes.shape[1] == 1
        out.append(spikes[:, 0].tolist())
    return np.array(out).T


def replay_recurrent(X, found):
    """Trajectories of neuron 0 of the last layer, rows step by step, for all witnesses."""
    X = np.asarray(X)
    out = []
    for j in range(found.trajectories.shape[1]):
        below = X.astype(object)
        for W, R in zip(found.input_weights, found.recurrent_weights, strict=True):
            above = np.zeros((*X.shape[:2], W.shape[2]), dtype=object)
            past = np.zeros((len(X), W.shape[2]), dtype=object)
            for t in range(X.shape[1]):
                past = (below[:, t] @ W[j] + past @ R[j] >= 0).astype(int).astype(object)
                above[:, t] = past
            below = above
        out.append(below[:, :, 0].T.ravel().tolist())
    return np.array(out).T


def test_worked_example_of_the_paper():
    # Ergen et al. (2023): P_1 = 6, and two neurons below reach all of {0,1}^3. The bias is
    # the column of ones of X; the second layer has none.
    assert threshold_patterns(EXAMPLE).patterns.shape == (3, 6)
    found = deep_patterns(EXAMPLE, (2,))
    assert columns(found.patterns) == set(itertools.product((0, 1), repeat=3))


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("hidden", [(1,), (2,), (3,), (1, 1), (2, 2), (2, 1, 2), (40,)])
def test_deep_witnesses_replay(seed, hidden):
    X = np.random.default_rng(seed).integers(-3, 4, (4, 2))
    found = deep_patterns(X, hidden)
    assert np.array_equal(replay_deep(X, found), found.patterns.to_dense(int))
    widths = (2, *hidden, 1)
    assert [w.shape[1:] for w in found.weights] == list(itertools.pairwise(widths))
    values = [int("".join(map(str, c[::-1])), 2) for c in found.patterns.to_dense(int).T.tolist()]
    assert values == sorted(set(values))


def brute_deep(rows, hidden):
    """All patterns by LPs, every group of neurons for every group below, repeats allowed."""
    if not hidden:
        return set(lp_patterns(rows))
    groups = itertools.combinations_with_replacement(lp_patterns(rows), hidden[0])
    return set().union(*(brute_deep(np.array(group).T, hidden[1:]) for group in groups))


@pytest.mark.parametrize("hidden", [(1,), (2,), (1, 1), (1, 2), *slow((2, 1))])
@pytest.mark.parametrize("X", [EXAMPLE, [[1, 2], [-1, 1], [2, -3]], [[1, 1], [-1, -1], [1, 0]]])
def test_deep_patterns_are_those_of_lps(X, hidden):
    assert columns(deep_patterns(X, hidden).patterns) == brute_deep(X, hidden)


@pytest.mark.slow
def test_four_points_by_lps():
    X = np.random.default_rng(2).integers(-3, 4, (4, 2))
    assert columns(deep_patterns(X, (2,)).patterns) == brute_deep(X, (2,))


def test_no_network_falls_outside():
    rng = np.random.default_rng(0)
    X = rng.integers(-3, 4, (5, 2))
    found = columns(deep_patterns(X, (2, 2)).patterns)
    for _ in range(3000):
        spikes = X
        for fan_in, width in [(2, 2), (2, 2), (2, 1)]:
            spikes = (spikes @ rng.integers(-9, 10, (fan_in, width)) >= 0).astype(int)
        assert tuple(spikes[:, 0]) in found


def test_columns_of_different_layers_below_do_not_meet():
    # (13) as printed takes any two columns of D^(2), whichever neurons below made them
    X = np.array([[-2, 1], [-1, 1], [0, 1], [1, 1], [2, 1], [3, 1]])
    first = threshold_patterns(X).patterns.to_dense(int)
    second = columns(deep_patterns(X, (1,)).patterns)
    printed = {
        pattern
        for pair in itertools.combinations(sorted(second), 2)
        for pattern in columns(threshold_patterns(np.array(pair).T).patterns)
    }
    found = columns(deep_patterns(X, (1, 2)).patterns)
    assert found < printed
    assert found == set(map(tuple, first.T.tolist()))  # one neuron below passes no more on


def brute_recurrent(X, width):
    """Trajectories of all joint behaviours of a layer, one LP a neuron each; (n, T, m) arrays."""
    X = np.asarray(X)
    n, steps, _ = X.shape
    found = []
    for bits in itertools.product((0, 1), repeat=n * steps * width):
        H = np.array(bits).reshape(n, steps, width)
        past = np.concatenate([np.zeros((n, 1, width)), H[:, :-1]], axis=1)
        rows = np.concatenate([X, past], axis=2).reshape(n * steps, -1)
        if all(fires(rows, H[:, :, j].ravel()) for j in range(width)):
            found.append(H)
    return found


def step_by_step(spikes):
    """Rows t * n + i of each neuron of (n, T, m)."""
    return [tuple(spikes[:, :, j].T.ravel().tolist()) for j in range(spikes.shape[2])]


@pytest.mark.parametrize(
    ("shape", "width"),
    [
        *[((1, 3, 1), 1), ((2, 3, 1), 1), ((3, 2, 2), 1), ((2, 2, 1), 2)],
        *[
            pytest.param(*sizes, marks=pytest.mark.slow)
            for sizes in [
                ((2, 3, 2), 1),
                ((1, 4, 1), 2),
                ((1, 3, 2), 2),
                ((2, 2, 2), 2),
                ((1, 2, 1), 3),
            ]
        ],
    ],
)
@pytest.mark.parametrize("seed", [0, *slow(1)])
def test_recurrent_trajectories_are_those_of_lps(shape, width, seed):
    X = np.random.default_rng(seed).integers(-2, 3, shape)
    found = recurrent_patterns(X, (width,))
    expected = {column for H in brute_recurrent(X, width) for column in step_by_step(H)}
    assert columns(found.trajectories) == expected
    n = shape[0]
    assert columns(found.patterns) == {column[-n:] for column in expected}
    assert np.array_equal(replay_recurrent(X, found), found.trajectories.to_dense(int))


@pytest.mark.parametrize(
    ("X", "hidden"),
    [
        ([[[1, 0], [0, 1]], [[-1, 1], [1, 1]]], (1, 1)),
        ([[[1, 0], [0, 1], [-1, 1]]], (1, 2)),
        ([[[1, 0], [-1, 1], [-1, -1]]], (2, 1)),
    ],
)
@pytest.mark.slow
def test_deep_recurrent_trajectories_are_those_of_lps(X, hidden):
    expected = {
        column
        for below in {H.tobytes(): H for H in brute_recurrent(X, hidden[0])}.values()
        for H in brute_recurrent(below, hidden[1])
        for column in step_by_step(H)
    }
    assert columns(recurrent_patterns(X, hidden).trajectories) == expected


@pytest.mark.parametrize("hidden", [(1,), (2,), (1, 1), (2, 1), (1, 1, 1)])
@pytest.mark.parametrize("seed", range(3))
def test_recurrent_witnesses_replay_and_no_network_falls_outside(hidden, seed):
    rng = np.random.default_rng(seed)
    X = rng.integers(-3, 4, (2, 3, 2)) / 4  # spikes are not scaled with the inputs
    found = recurrent_patterns(X, hidden)
    trajectories = found.trajectories.to_dense(int)
    assert np.array_equal(replay_recurrent(fractions(X), found), trajectories)
    ends = found.patterns.to_dense(int)
    assert np.array_equal(trajectories[-2:, found.origin], ends)
    assert set(map(tuple, trajectories[-2:].T)) == set(map(tuple, ends.T))
    assert len(columns(found.patterns)) == ends.shape[1]
    inside = columns(found.trajectories)
    for _ in range(500):
        below = X
        for width in hidden:
            W = rng.integers(-9, 10, (below.shape[2], width))
            R = rng.integers(-9, 10, (width, width))
            above = np.zeros((2, 3, width))
            past = np.zeros((2, width))
            for t in range(3):
                past = (below[:, t] @ W + past @ R >= 0).astype(float)
                above[:, t] = past
            below = above
        assert tuple(below[:, :, 0].T.ravel().astype(int)) in inside


def test_one_neuron_by_hand():
    # first step a = [w1 >= 0], b = [w2 >= 0]; second [w2 + r a >= 0], [w2 + r b >= 0]
    X = [[[1, 0], [0, 1]], [[0, 1], [0, 1]]]
    expected = {(0, 0, 0, 0), (1, 0, 0, 0), (1, 0, 1, 0), (0, 1, 1, 0), (0, 1, 1, 1)}
    expected |= {(1, 1, 0, 0), (1, 1, 1, 1)}
    assert columns(recurrent_patterns(X, (1,)).trajectories) == expected


def test_one_step_is_feedforward():
    X = np.random.default_rng(0).integers(-3, 4, (5, 1, 2))
    found = recurrent_patterns(X, (2,))
    assert columns(found.patterns) == columns(threshold_patterns(X[:, 0]).patterns)
    assert columns(found.patterns) == columns(found.trajectories)


def test_budget_is_refused():
    X = np.random.default_rng(0).integers(-99, 100, (30, 3))
    with pytest.raises(BudgetExceeded):
        deep_patterns(X, (5,))
    with pytest.raises(BudgetExceeded):
        deep_patterns(X, (2, 2), Budget(patterns=1000))
    with pytest.raises(BudgetExceeded):
        recurrent_patterns(X.reshape(3, 10, 3), (3,))
    with pytest.raises(BudgetExceeded):
        recurrent_patterns(X[:4].reshape(2, 2, 3), (2, 1), Budget(patterns=30))
    for function, sequences in ((deep_patterns, EXAMPLE), (recurrent_patterns, [EXAMPLE])):
        with pytest.raises(ValueError, match=r"^budget: expected a Budget, got 100"):
            function(sequences, (1,), 100)


def test_estimates_name_joint_states_before_each_layer():
    told = []
    deep_patterns(EXAMPLE, (2, 1), report=told.append)
    # 5 patterns of neurons that spike, by two; then one of the patterns above each pair
    assert told[0].patterns == math.comb(5, 2)
    assert len(told) == 2
    with pytest.raises(BudgetExceeded) as refusal:
        deep_patterns(EXAMPLE, (2,), Budget(patterns=9))
    assert "has up to 10 joint states of neurons, each with up to 7 patterns" in str(refusal.value)
    assert str(told[0]) in str(refusal.value)
    steps = []
    X = np.random.default_rng(0).integers(-99, 100, (60, 2, 8))
    with pytest.raises(BudgetExceeded, match="up to 1 joint states of neurons, each with up to"):
        recurrent_patterns(X, (4,), report=steps.append)
    assert [estimate.patterns for estimate in steps] == [1]
    assert not any(estimate.exact for estimate in told + steps)
    recurrent_patterns([[[1, 0], [0, 1]]], (1,), report=steps.append)
    assert len(steps) > 2


@pytest.mark.parametrize(
    ("function", "X", "hidden", "match"),
    [
        (deep_patterns, EXAMPLE, (), "hidden"),
        (deep_patterns, EXAMPLE, (0,), "hidden"),
        (deep_patterns, [EXAMPLE], (1,), "X"),
        (recurrent_patterns, EXAMPLE, (1,), "X"),
        (recurrent_patterns, [[[np.nan]]], (1,), "X"),
        (recurrent_patterns, [EXAMPLE], (1.5,), "hidden"),
    ],
)
def test_arguments_are_checked(function, X, hidden, match):
    with pytest.raises(ValueError, match=f"^{match}: expected"):
        function(X, hidden)
