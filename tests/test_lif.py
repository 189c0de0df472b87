"""LIF states the program of its theorems: strength, rows at every step, weights, refused inputs."""

from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest

import bidual as bd
from bidual.certificates import completeness
from bidual.formulations import Recurrent
from bidual.solvers.growing.pricing import OneNeuron

N, T, D_IN = 5, 4, 3  # sequences, steps, inputs


def sequences(seed=0):
    return 2.0 * np.random.default_rng(seed).normal(size=(N, T, D_IN))


LAST = bd.LIF(hidden=(6, 4), leak=0.9, threshold=1.0)
EVERY = bd.LIF(hidden=(6, 4), leak=0.9, threshold=1.0, readout="every")
ATOMS_LAST = LAST.sample(sequences(), subnetworks=3, seed=1)
ATOMS_EVERY = EVERY.sample(sequences(), subnetworks=3, seed=1)
CLASSES = np.array([0, 1, 1, 0, 1])


def simulate(X, layers, leak, threshold, reset):
    """Final spikes (n, T, m) of one subnetwork: the recurrence of the paper, entry by entry."""
    signal = np.rint(X * 2**20) / 2**20
    for weights in layers:
        n, steps, m = signal.shape[0], signal.shape[1], weights.shape[1]
        spikes = np.zeros((n, steps, m))
        for i in range(n):
            for k in range(m):
                u = s = 0.0
                for t in range(steps):
                    u = leak * u + float(signal[i, t] @ weights[:, k]) - reset * s
                    s = float(u >= threshold)
                    spikes[i, t, k] = s
        signal = spikes
    return signal


def atoms_by_step(lif, dictionary, X):
    """D^t (n, P) for every step t, from the witnesses alone."""
    reset = lif.threshold if lif.reset == "delayed" else lif.reset
    columns = []
    for subnetwork, neuron in dictionary.origin:
        layers = [layer.weights for layer in dictionary.witnesses.layers(int(subnetwork))]
        spikes = simulate(X, layers, lif.leak, lif.threshold, reset)
        columns.append(spikes[:, :, neuron])
    return [np.stack([column[:, t] for column in columns], axis=1) for t in range(X.shape[1])]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"hidden": ()}, "hidden"),
        ({"hidden": (4, 0)}, "hidden"),
        ({"hidden": (-1,)}, "hidden"),
        ({"hidden": (True,)}, "hidden"),
        ({"leak": -0.01}, "leak"),
        ({"leak": 1.01}, "leak"),
        ({"leak": np.nan}, "leak"),
        ({"leak": (1.0, (0.0, 1.0))}, "leak"),
        ({"leak": "half"}, "leak"),
        ({"threshold": (0.5, 1.0, 2.0)}, "threshold"),
        ({"threshold": 0.0}, "threshold"),
        ({"threshold": -1.0}, "threshold"),
        ({"threshold": np.inf}, "threshold"),
        ({"threshold": np.nan}, "threshold"),
        ({"reset": -0.1}, "reset"),
        ({"reset": np.inf}, "reset"),
        ({"reset": np.nan}, "reset"),
        ({"readout": "first"}, "readout"),
        ({"readout": None}, "readout"),
        ({"p": 0.99}, "p"),
        ({"p": -np.inf}, "p"),
        ({"p": np.nan}, "p"),
        ({"p": "two"}, "p"),
        ({"p": True}, "p"),
        ({"gauge": "layer"}, "gauge"),
        ({"gauge": None}, "gauge"),
    ],
)
def test_a_part_out_of_its_range_is_refused_by_name(change, named):
    with pytest.raises(ValueError, match=f"^{named}: expected") as caught:
        bd.LIF(**{"hidden": (4, 2), **change})
    assert repr(change[named]) in str(caught.value) or str(change[named]) in str(caught.value)


@pytest.mark.parametrize("hidden", [(6.5, 4), (4, 2.5)])
def test_widths_that_are_not_whole_are_refused(hidden):
    with pytest.raises(ValueError, match=r"^hidden: "):
        bd.LIF(hidden=hidden)


@pytest.mark.parametrize(
    "fine",
    [
        {"leak": 0.0},
        {"leak": 1.0},
        {"reset": 0.0},
        {"reset": 0.5},
        {"p": 1.0},
        {"p": np.inf},
        {"hidden": [1]},
    ],
)
def test_the_ends_of_each_range_are_allowed(fine):
    lif = bd.LIF(**{"hidden": (4, 2), **fine})
    for name, value in fine.items():
        assert getattr(lif, name) == (tuple(value) if name == "hidden" else value)


def test_reset_is_the_threshold_unless_given():
    sampled = {
        reset: bd.LIF(hidden=(4,), leak=0.5, threshold=0.75, readout="every", **reset_given).sample(
            sequences(), 5
        )
        for reset, reset_given in (("unless", {}), ("given", {"reset": 0.75}), (0, {"reset": 0.0}))
    }
    dense = {reset: dictionary.atoms.to_dense() for reset, dictionary in sampled.items()}
    assert np.array_equal(dense["unless"], dense["given"])
    assert not np.array_equal(dense["unless"], dense[0])


@pytest.mark.parametrize(
    ("p", "divisor"),
    # m = 32: with 1/p + 1/q = 1, m**(1/q) is m**0, m**(1/2), m**(2/3), m
    [(1.0, 1.0), (2.0, 5.656854249492381), (3.0, 10.079368399158986), (np.inf, 32.0)],
)
def test_strength_is_beta_over_the_width_to_the_one_over_q(p, divisor):
    lif = bd.LIF(hidden=(64, 32), p=p)
    assert lif.strength(0.1) == pytest.approx(0.1 / divisor, rel=1e-15, abs=0)
    if p == 1.0:
        assert lif.strength(0.1) == 0.1


@pytest.mark.parametrize("p", [1.0, 2.0, 3.0, np.inf])
def test_strength_is_the_least_decay_of_an_atom_built_of_m_copies(p):
    # an atom with weight 1 is m copies with 1 / m each (so is it rebuilt), of norm m^(1/p - 1)
    m, beta = 8, 0.3
    copies = np.full(m, 1.0 / m)
    decay = beta * np.linalg.norm(copies, ord=p)
    assert bd.LIF(hidden=(5, m), p=p).strength(beta) == pytest.approx(decay, rel=1e-14, abs=0)


def test_program_takes_beta_or_the_strength_itself():
    y = CLASSES
    assert LAST.program(ATOMS_LAST, y, beta=0.3).strength == pytest.approx(0.15, rel=1e-15, abs=0)
    assert LAST.program(ATOMS_LAST, y, strength=0.3).strength == 0.3
    assert LAST.program(ATOMS_LAST, y, beta=0.0).strength == 0.0
    assert LAST.program(ATOMS_LAST, y, strength=0.0).strength == 0.0


def test_program_of_the_last_step_is_the_mean_loss_over_samples():
    rng = np.random.default_rng(2)
    program = LAST.program(ATOMS_LAST, CLASSES, "hinge", strength=0.2, intercept=True)
    W, b = rng.normal(size=(ATOMS_LAST.atoms.shape[1], 1)), 0.3
    design = atoms_by_step(LAST, ATOMS_LAST, sequences())[-1]
    signs = np.where(CLASSES == 1, 1.0, -1.0)
    losses = np.maximum(0.0, 1.0 - signs * (design @ W[:, 0] + b))
    expected = losses.mean() + 0.2 * np.abs(W).sum()
    assert program.primal(W, b) == pytest.approx(expected, rel=1e-14)
    assert program.classes.tolist() == [0, 1]
    assert program.intercept
    assert program.loss.name == "hinge"


def test_every_row_of_the_dictionary_is_its_sample_at_its_step():
    assert ATOMS_EVERY.atoms.shape[0] == N * T
    dense = ATOMS_EVERY.atoms.to_dense()
    steps = atoms_by_step(EVERY, ATOMS_EVERY, sequences())
    assert any((steps[0] != step).any() for step in steps[1:])
    for t in range(T):
        for i in range(N):
            np.testing.assert_array_equal(dense[t * N + i], steps[t][i])


def test_a_target_of_every_step_lands_on_the_row_of_its_sample_and_step():
    y = np.arange(float(N * T)).reshape(N, T) / 7
    program = EVERY.program(ATOMS_EVERY, y, strength=0.1)
    assert program.target.shape == (N * T, 1)
    for t in range(T):
        for i in range(N):
            assert program.target[t * N + i, 0] == y[i, t]


def test_a_target_of_every_step_and_output_lands_on_the_row_of_its_sample_and_step():
    y = np.arange(float(N * T * 2)).reshape(N, T, 2) / 7
    program = EVERY.program(ATOMS_EVERY, y, strength=0.1)
    assert program.target.shape == (N * T, 2)
    for t in range(T):
        for i in range(N):
            np.testing.assert_array_equal(program.target[t * N + i], y[i, t])


@pytest.mark.parametrize(
    "y", [np.arange(float(N)), [0, 1, 1, 0, 1], ["a", "b", "c", "a", "b"]], ids=lambda y: str(y)
)
def test_one_entry_a_sequence_holds_at_all_its_steps(y):
    every = EVERY.program(ATOMS_EVERY, y, strength=0.1)
    last = LAST.program(ATOMS_LAST, y, strength=0.1)
    for t in range(T):
        np.testing.assert_array_equal(every.target[t * N : (t + 1) * N], last.target)
    if last.classes is not None:
        assert every.classes.tolist() == last.classes.tolist()


def test_labels_of_every_step_are_coded_over_all_steps_together():
    # class 2 is never seen at step 0, and still has an output there
    y = np.array([[0, 1, 2, 0], [1, 1, 0, 2], [0, 0, 2, 2], [1, 2, 1, 0], [0, 0, 0, 0]])
    program = EVERY.program(ATOMS_EVERY, y, "hinge", strength=0.1)
    assert program.classes.tolist() == [0, 1, 2]
    for t in range(T):
        for i in range(N):
            expected = np.where(np.arange(3) == y[i, t], 1.0, -1.0)
            np.testing.assert_array_equal(program.target[t * N + i], expected)


def test_step_weights_are_shared_out_among_samples():
    alpha = np.array([0.0, 1.0, 2.0, 5.0])
    program = EVERY.program(ATOMS_EVERY, CLASSES, strength=0.1, step_weights=alpha)
    for t in range(T):
        rows = program.row_weights[t * N : (t + 1) * N]
        np.testing.assert_allclose(rows, alpha[t] / (N * 8.0), rtol=1e-15)
    # the ramp: 2 t / (T + 1), t = 1 to T, whose mean is 1
    ramp = EVERY.program(ATOMS_EVERY, CLASSES, strength=0.1, step_weights="ramp")
    for t in range(T):
        rows = ramp.row_weights[t * N : (t + 1) * N]
        np.testing.assert_allclose(rows, 2 * (t + 1) / (T + 1) / (N * T), rtol=1e-15)
    # no step weights: the mean over all rows
    plain = EVERY.program(ATOMS_EVERY, CLASSES, strength=0.1)
    np.testing.assert_allclose(plain.row_weights, 1.0 / (N * T), rtol=1e-15)


@pytest.mark.parametrize("loss", bd.LOSSES)
def test_program_of_every_step_is_the_weighted_sum_of_the_steps_losses(loss):
    rng = np.random.default_rng(3)
    y = rng.normal(size=(N, T, 2))
    if bd.LOSSES[loss].labels:
        y = np.where(y > 0, 1.0, -1.0)
    if loss == "softmax":
        y = np.eye(2)[y.argmax(axis=2)]
    alpha, beta = np.array([0.5, 0.0, 2.0, 1.0]), 0.4
    options = {"beta": beta, "step_weights": alpha, "intercept": True}
    program = EVERY.program(ATOMS_EVERY, y, loss, **options)
    apart = EVERY.program(ATOMS_EVERY, y, loss, penalty="l1", **options)
    steps = atoms_by_step(EVERY, ATOMS_EVERY, sequences())
    for _ in range(3):
        W, b = rng.normal(size=(steps[0].shape[1], 2)), rng.normal(size=2)
        # sum_t alpha_t Loss_t(D^t W + b, Y_t) + beta / sqrt(m) times the norm of p = 2: the sum
        # of the lengths of rows; Loss_t is a mean over samples
        total = beta / 2.0 * np.sqrt((W**2).sum(axis=1)).sum()
        more = beta / 2.0 * np.abs(W).sum() - total
        for t in range(T):
            fit = steps[t] @ W + b
            step_loss = bd.LOSSES[loss].value(fit, y[:, t]).sum(axis=1).mean()
            total += alpha[t] / alpha.sum() * step_loss
        assert program.primal(W, b) == pytest.approx(total, rel=1e-13)
        assert apart.primal(W, b) == pytest.approx(total + more, rel=1e-13)


@pytest.mark.parametrize("gauge", ["subnetwork", "neuron"])
@pytest.mark.parametrize(
    ("p", "outputs", "penalty"),
    [(1.0, 3, "l1"), (2.0, 3, "group"), (1.0, 1, "l1"), (2.0, 1, "l1"), (3.0, 1, "l1")],
)
def test_the_penalty_is_the_one_that_p_gives(p, outputs, penalty, gauge):
    lif = replace(LAST, p=p, gauge=gauge)
    targets = np.ones((N, outputs))
    assert lif.program(ATOMS_LAST, targets, beta=0.1).penalty.name == penalty
    assert lif.penalty(outputs).name == penalty
    assert lif.program(ATOMS_LAST, targets, beta=0.1, penalty="l1").penalty.name == "l1"


@pytest.mark.parametrize("p", [1.5, 3.0, np.inf])
def test_other_p_of_several_outputs_are_refused_and_taken_for_each_output_apart(p):
    lif = replace(LAST, p=p)
    with pytest.raises(
        ValueError, match=rf"^penalty: expected p = 1 or 2 .* got p = {p:g}; programs"
    ):
        lif.program(ATOMS_LAST, np.ones((N, 2)), beta=0.1)
    with pytest.raises(ValueError, match=r"^penalty: expected 'l1'"):
        lif.program(ATOMS_LAST, np.ones((N, 2)), beta=0.1, penalty="group")
    apart = lif.program(ATOMS_LAST, np.ones((N, 2)), beta=0.1, penalty="l1")
    assert apart.strength == lif.strength(0.1)


@pytest.mark.parametrize("p", [1.0, 1.5, 2.0, np.inf])
def test_one_amplitude_a_neuron_gives_no_width_factor(p):
    assert bd.LIF((64, 32), p=p, gauge="neuron").strength(0.1) == 0.1


def test_the_group_norm_is_that_of_p_2():
    targets = np.ones((N, 2))
    program = LAST.program(ATOMS_LAST, targets, strength=0.1, penalty="group")
    W = np.arange(2.0 * ATOMS_LAST.atoms.shape[1]).reshape(-1, 2)
    rest = program.primal(W) - program.with_strength(0.0).primal(W)
    assert rest == pytest.approx(0.1 * np.sqrt((W**2).sum(axis=1)).sum(), rel=1e-12)
    with pytest.raises(ValueError, match=r"^penalty: expected 'l1' for p = 1"):
        replace(LAST, p=1.0).program(ATOMS_LAST, targets, strength=0.1, penalty="group")


def test_row_weights_go_to_the_rows_as_they_are():
    rows = np.arange(1.0, N * T + 1)
    program = EVERY.program(ATOMS_EVERY, CLASSES, strength=0.1, row_weights=rows)
    np.testing.assert_array_equal(program.row_weights, rows)
    samples = np.arange(1.0, N + 1)
    program = LAST.program(ATOMS_LAST, CLASSES, strength=0.1, row_weights=samples)
    np.testing.assert_array_equal(program.row_weights, samples)


def test_the_design_is_the_dictionary_itself():
    assert LAST.program(ATOMS_LAST, CLASSES, strength=0.1).design is ATOMS_LAST.atoms


GOOD = {"beta": 1.0}
ROWS, STEPS = np.ones(N * T), np.ones(T)
# formulation, dictionary, y, arguments and the name that the error begins with
BAD = {
    "every step over last steps": (EVERY, ATOMS_LAST, CLASSES, GOOD, "dictionary"),
    "last step over every step": (LAST, ATOMS_EVERY, CLASSES, GOOD, "dictionary"),
    "neither beta nor strength": (LAST, ATOMS_LAST, CLASSES, {}, "beta, strength"),
    "both": (LAST, ATOMS_LAST, CLASSES, {"beta": 1.0, "strength": 1.0}, "beta, strength"),
    "both zero": (LAST, ATOMS_LAST, CLASSES, {"beta": 0.0, "strength": 0.0}, "beta, strength"),
    "negative beta": (LAST, ATOMS_LAST, CLASSES, {"beta": -1e-9}, "beta"),
    "no number as beta": (LAST, ATOMS_LAST, CLASSES, {"beta": "0.1"}, "beta"),
    "a truth value as beta": (LAST, ATOMS_LAST, CLASSES, {"beta": True}, "beta"),
    "a truth value as strength": (LAST, ATOMS_LAST, CLASSES, {"strength": True}, "strength"),
    "NaN beta": (LAST, ATOMS_LAST, CLASSES, {"beta": np.nan}, "beta"),
    "infinite beta": (LAST, ATOMS_LAST, CLASSES, {"beta": np.inf}, "beta"),
    "negative strength": (LAST, ATOMS_LAST, CLASSES, {"strength": -1e-9}, "strength"),
    "NaN strength": (LAST, ATOMS_LAST, CLASSES, {"strength": np.nan}, "strength"),
    "infinite strength": (LAST, ATOMS_LAST, CLASSES, {"strength": np.inf}, "strength"),
    "short y": (LAST, ATOMS_LAST, CLASSES[:-1], GOOD, "y"),
    "long y": (LAST, ATOMS_LAST, np.r_[CLASSES, 0], GOOD, "y"),
    "y of every step for the last": (LAST, ATOMS_LAST, np.zeros((N, T, 2)), GOOD, "y"),
    "a number as y": (LAST, ATOMS_LAST, 1.0, GOOD, "y"),
    "a single class": (LAST, ATOMS_LAST, [0] * N, GOOD, "y"),
    "0/1 for hinge": (LAST, ATOMS_LAST, 1.0 * CLASSES, {**GOOD, "loss": "hinge"}, "y"),
    "NaN in y": (LAST, ATOMS_LAST, [0.0, np.nan, 1.0, 0.0, 1.0], GOOD, "y"),
    "short y, every step": (EVERY, ATOMS_EVERY, CLASSES[:-1], GOOD, "y"),
    "y by rows": (EVERY, ATOMS_EVERY, np.zeros(N * T), GOOD, "y"),
    "y of too few steps": (EVERY, ATOMS_EVERY, np.zeros((N, T - 1)), GOOD, "y"),
    "steps before samples": (EVERY, ATOMS_EVERY, np.zeros((T, N)), GOOD, "y"),
    "y of four dimensions": (EVERY, ATOMS_EVERY, np.zeros((N, T, 2, 1)), GOOD, "y"),
    "y without outputs": (EVERY, ATOMS_EVERY, np.zeros((N, T, 0)), GOOD, "y"),
    "unknown loss": (LAST, ATOMS_LAST, CLASSES, {**GOOD, "loss": "hing"}, "loss"),
    "row weights of another length": (
        (LAST, ATOMS_LAST, CLASSES, {**GOOD, "row_weights": np.ones(N + 1)}, "row_weights")
    ),
    "row weights of samples, every step": (
        (EVERY, ATOMS_EVERY, CLASSES, {**GOOD, "row_weights": np.ones(N)}, "row_weights")
    ),
    **{
        f"row weights {weights!r}": (
            (LAST, ATOMS_LAST, CLASSES, {**GOOD, "row_weights": weights}, "row_weights")
        )
        for weights in (1.0, "heavy", [1, 1, 1, 1, np.nan], [1, 1, 1, 1, -1], [0] * N)
    },
    "step weights for the last step": (
        (LAST, ATOMS_LAST, CLASSES, {**GOOD, "step_weights": STEPS}, "step_weights")
    ),
    "step weights beside row weights": (
        EVERY,
        ATOMS_EVERY,
        CLASSES,
        {**GOOD, "step_weights": STEPS, "row_weights": ROWS},
        "step_weights",
    ),
    **{
        f"step weights {weights}": (
            (EVERY, ATOMS_EVERY, CLASSES, {**GOOD, "step_weights": weights}, "step_weights")
        )
        for weights in (
            1.0,
            [1, 1, 1],
            [[1, 1, 1, 1]],
            [0, 0, 0, 0],
            [1, -1, 1, 1],
            [1, np.nan, 1, 1],
            [1, np.inf, 1, 1],
            [1, "heavy", 1, 1],
            "ramps",
        )
    },
}


@pytest.mark.parametrize(("lif", "atoms", "y", "arguments", "named"), BAD.values(), ids=BAD)
# an infinite step weight divided by itself must not be the way to find it out
@pytest.mark.filterwarnings("error::RuntimeWarning")
def test_bad_input_of_a_program_is_refused_by_name(lif, atoms, y, arguments, named):
    with pytest.raises(ValueError, match=f"^{named}: "):
        lif.program(atoms, y, **arguments)


def test_arguments_that_the_refused_ones_differ_from_are_taken():
    rows = {"beta": 1.0, "row_weights": ROWS}
    for arguments in (GOOD, {"strength": 1.0}, {"beta": 1.0, "step_weights": STEPS}, rows):
        assert EVERY.program(ATOMS_EVERY, CLASSES, **arguments).target.shape == (N * T, 1)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        (np.full((N, T, D_IN), np.nan), "finite"),
        (np.where(np.arange(N * T * D_IN) == 7, np.inf, 0.0).reshape(N, T, D_IN), "finite"),
        (np.zeros((N, T)), r"\(n, T, d\)"),
        (np.zeros((N, T, D_IN, 1)), r"\(n, T, d\)"),
        (np.zeros(N), r"\(n, T, d\)"),
        (1.0, r"\(n, T, d\)"),
        (np.zeros((0, T, D_IN)), "at least one"),
        (np.zeros((N, 0, D_IN)), "at least one"),
        (np.zeros((N, T, 0)), "at least one"),
        (np.full((N, T, D_IN), 1e200), r"at most 2\*\*500"),
        (np.zeros((N, T, D_IN)), "fires"),
    ],
    ids=[
        "NaN",
        "infinite",
        "two dimensions",
        "four dimensions",
        "one dimension",
        "a number",
        "no sequences",
        "no steps",
        "no inputs",
        "too large",
        "silent",
    ],
)
def test_bad_sequences_are_refused_by_name(X, message):
    with pytest.raises(ValueError, match=f"^X: .*{message}"):
        LAST.sample(X, subnetworks=2)


@pytest.mark.parametrize(
    ("arguments", "named"),
    [({"subnetworks": 0}, "subnetworks"), ({"seed": -1}, "seed"), ({"seed": 2**64}, "seed")],
)
def test_bad_sampling_is_refused_by_name(arguments, named):
    with pytest.raises(ValueError, match=f"^{named}: "):
        LAST.sample(sequences(), **arguments)


def test_the_sampled_dictionary_follows_leak_threshold_and_reset():
    # same witnesses, other neurons: each dictionary is that of its own recurrence
    seen = set()
    for constants in (
        {"leak": 0.9, "threshold": 1.0},
        {"leak": 0.5, "threshold": 1.0},
        {"leak": 0.9, "threshold": 2.0},
        {"leak": 0.9, "threshold": 1.0, "reset": 0.5},
    ):
        lif = bd.LIF(hidden=(6, 4), readout="every", **constants)
        dictionary = lif.sample(sequences(), subnetworks=3, seed=1)
        stacked = np.vstack(atoms_by_step(lif, dictionary, sequences()))
        np.testing.assert_array_equal(dictionary.atoms.to_dense(), stacked)
        seen.add(stacked.tobytes())
    assert len(seen) == 4


def test_a_solution_over_another_dictionary_is_refused():
    other = LAST.sample(sequences(), subnetworks=3, seed=2)
    solution = bd.solve(LAST.program(other, CLASSES, strength=0.1))
    with pytest.raises(ValueError, match=r"^solution: belongs to another dictionary; pass the"):
        LAST.network(ATOMS_LAST, solution)


def test_a_dictionary_read_again_rebuilds_the_same_network(tmp_path):
    ATOMS_LAST.save(tmp_path / "atoms.bd")
    again = bd.SpikeDictionary.load(tmp_path / "atoms.bd").verify(sequences())
    solution = bd.solve(LAST.program(ATOMS_LAST, CLASSES, strength=0.1))
    X = sequences()
    expected = solution.network().decision_function(X)
    np.testing.assert_array_equal(LAST.network(again, solution).decision_function(X), expected)


def test_a_complete_dictionary_holds_all_that_is_sampled_of_one_layer():
    lif = bd.LIF((7,), leak=0.5, readout="every")
    X = np.eye(2)[np.array(list(np.ndindex(2, 2, 2)))]
    complete = lif.complete(X)
    held, sampled = (
        {column.tobytes() for column in each.atoms.to_dense(np.uint8).T}
        for each in (complete, lif.sample(X, 200))
    )
    assert len(sampled) > 20
    assert sampled <= held
    with pytest.raises(bd.BudgetExceeded):
        lif.complete(X, budget=bd.Budget(patterns=5))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"hidden": (2, 2)}, "hidden"),
        ({"leak": (0.5, 0.9)}, "leak"),
        ({"reset": "hard"}, "reset"),
        ({"reset": 0.5}, "reset"),
    ],
)
def test_what_can_not_be_listed_is_refused_by_name(change, named):
    lif = bd.LIF(**{"hidden": (2,), **change})
    with pytest.raises(ValueError, match=f"^{named}: expected .* for a complete dictionary"):
        lif.complete(sequences())


def test_final_neurons_that_hear_each_other_have_no_copies_to_count_on():
    bank = bd.SampledWitnesses(D_IN, (6, 4), 3, 1, bd.Neuron(0.9, 1.0), recurrent=True)
    dictionary = bd.SpikeDictionary.sample(sequences(), bank)
    with pytest.raises(
        ValueError, match=r"^dictionary: expected final neurons without recurrent input"
    ):
        LAST.program(dictionary, CLASSES, beta=0.1)
    # where no copies are counted on, the rebuilt network costs what the program says
    for lif in (replace(LAST, p=1.0), replace(LAST, gauge="neuron")):
        program = lif.program(dictionary, CLASSES, "hinge", beta=0.1)
        solution = bd.solve(program, gap=1e-6)
        network = lif.network(dictionary, solution)
        value = lif.primal(sequences(), CLASSES, "hinge", beta=0.1).reduced(network)
        assert value == pytest.approx(program.primal(solution.weights), rel=1e-12)
    assert LAST.program(dictionary, CLASSES, strength=0.1).strength == 0.1


def test_networks_that_are_none_of_the_problem_are_refused_by_name():
    training = LAST.primal(sequences(), CLASSES, "hinge", beta=0.1)
    solution = bd.solve(LAST.program(ATOMS_LAST, CLASSES, "hinge", strength=0.1))
    network = LAST.network(ATOMS_LAST, solution)
    assert training.reduced(network) > 0
    with pytest.raises(ValueError, match=r"^network: expected readout .last., got .every."):
        training.reduced(replace(network, readout="every"))
    with pytest.raises(ValueError, match=r"^network: expected a readout without a leak, got 0\.5"):
        training.reduced(replace(network, readout_leak=0.5))
    with pytest.raises(ValueError, match=r"^network: expected no intercept"):
        training.reduced(replace(network, intercept=np.ones(1)))
    two = replace(network, intercept=np.zeros(2), readout_weights=np.zeros((*_shape(network), 2)))
    with pytest.raises(ValueError, match=r"^network: expected 1 outputs, got 2"):
        training.reduced(two)
    for scale in (0.0, -1.0, np.inf, np.nan):
        with pytest.raises(ValueError, match=r"^scale: expected a finite number > 0"):
            training.full(network, scale)


def _shape(network):
    return network.readout_weights.shape[:2]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"X": np.full((N, T, D_IN), np.nan)}, "X"),
        ({"X": np.zeros((N, T))}, "X"),
        ({"X": np.zeros((N, T, D_IN, 1))}, "X"),
        ({"X": "sequences"}, "X"),
        ({"y": CLASSES[:-1]}, "y"),
        ({"row_weights": np.full(N, np.nan)}, "row_weights"),
        ({"row_weights": -np.ones(N)}, "row_weights"),
        ({"row_weights": np.zeros(N)}, "row_weights"),
        ({"row_weights": np.ones(N + 1)}, "row_weights"),
        ({"row_weights": np.ones((N, 2))}, "row_weights"),
        ({"row_weights": 1.0}, "row_weights"),
        ({"row_weights": "heavy"}, "row_weights"),
        ({"step_weights": np.ones(T)}, "step_weights"),
    ],
)
def test_bad_input_of_the_problem_itself_is_refused_by_name(change, named):
    with pytest.raises(ValueError, match=f"^{named}: expected"):
        LAST.primal(**{"X": sequences(), "y": CLASSES, "beta": 0.1, **change})


def test_what_is_no_dictionary_no_network_and_no_solution_is_refused_by_name():
    for call in (LAST.program, LAST.bidual, LAST.dual):
        with pytest.raises(TypeError, match=r"^dictionary: expected a SpikeDictionary, got str"):
            call("x", CLASSES, beta=0.1)
    with pytest.raises(TypeError, match=r"^dictionary: expected a SpikeDictionary, got BinaryMatr"):
        LAST.heads(ATOMS_LAST.atoms, {"one": CLASSES}, beta=0.1)
    solution = bd.solve(LAST.program(ATOMS_LAST, CLASSES, strength=0.1))
    with pytest.raises(TypeError, match=r"^dictionary: expected a SpikeDictionary, got NoneType"):
        LAST.network(None, solution)
    with pytest.raises(ValueError, match=r"^solution: belongs to another dictionary; pass the"):
        LAST.network(ATOMS_LAST, None)
    training = LAST.primal(sequences(), CLASSES, beta=0.1)
    for value in (training.data_loss, training.reduced, training.full):
        with pytest.raises(TypeError, match=r"^network: expected a Network, got str"):
            value("x")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"leak": 0.8}, r"neurons of leak 0.9, got leak 0.8, threshold 1, reset 1 in layer 1"),
        ({"leak": (0.85, 0.95)}, r"neurons of leak 0.9, got leak 0.85 to 0.95,"),
        ({"reset": "immediate"}, r"neurons of threshold 1 and reset 'delayed', got .* reset 0.9"),
        ({"reset": "hard"}, r"neurons of reset 'delayed', got .* a hard reset"),
        ({"reset": 0.5}, r"neurons of threshold 1 and reset 'delayed', got .* reset 0.5"),
        ({"hidden": (5, 4)}, r"layers of \(6, 4\) neurons, got \(5, 4\)"),
        ({"hidden": (4,)}, r"layers of \(6, 4\) neurons, got \(4,\)"),
        ({"hidden": (6, 6, 4)}, r"layers of \(6, 4\) neurons, got \(6, 6, 4\)"),
    ],
)
def test_a_dictionary_of_another_class_is_refused(change, expected):
    sampled = replace(LAST, **change).sample(sequences(), 3)
    bank = sampled.witnesses
    listed = bd.GivenWitnesses([bank.layers(k) for k in range(3)])
    written = replace(sampled, witnesses=listed)  # layers alone, not the law they were drawn by
    for dictionary in (sampled, written):
        if dictionary is written and "leak" in change:
            expected = "neurons of leak 0.9, got leak 0.8"  # drawn within the range
        for call in (LAST.program, LAST.dual, LAST.bidual):
            with pytest.raises(ValueError, match=f"^dictionary: expected {expected}"):
                call(dictionary, CLASSES, strength=0.1)
    program = bd.ConvexProgram(sampled.atoms, np.where(CLASSES == 1, 1.0, -1.0), strength=0.1)
    with pytest.raises(ValueError, match=r"^dictionary: expected"):
        LAST.network(sampled, bd.solve(program))


def test_dictionaries_of_recurrent_threshold_units_and_of_lif_neurons_are_told_apart():
    recurrent = Recurrent((6, 4))
    theirs = recurrent.sample(sequences(), 3)
    with pytest.raises(ValueError, match=r"^dictionary: expected neurons of leak 0.9, got leak 0,"):
        LAST.program(theirs, CLASSES, beta=0.1)
    with pytest.raises(ValueError, match=r"^dictionary: expected neurons of thresholds above 0"):
        bd.LIF((6, 4), leak=0.0).program(theirs, CLASSES, beta=0.1)
    with pytest.raises(ValueError, match=r"^dictionary: expected threshold units .*got leak 0.9"):
        recurrent.program(ATOMS_LAST, CLASSES, beta=0.1)


def of_the_class(tmp_path):
    """Dictionaries that are LAST's, whatever they come from."""
    X = sequences()
    layers = [ATOMS_LAST.witnesses.layers(k) for k in range(3)]
    single = {part: np.float64(np.float32(0.9)) for part in ("leak",)}
    trained = [
        [
            bd.Layer.build(3 * layer.weights, **single, threshold=3.0, bias=0.25, strict=True)
            for layer in each
        ]
        for each in layers
    ]
    ATOMS_LAST.save(tmp_path / "atoms")
    return {
        "sampled": ATOMS_LAST,
        "of another final width": replace(LAST, hidden=(6, 9)).sample(X, 3),
        "of another threshold": replace(LAST, threshold=(0.5, 2.0)).sample(X, 3),
        "loaded": bd.SpikeDictionary.load(tmp_path / "atoms").verify(X),
        "trained in float32": bd.SpikeDictionary.sample(X, bd.GivenWitnesses(trained)),
        "grown": bd.grow(LAST, X, CLASSES, beta=0.05, atoms=4, rounds=2).dictionary,
    }


@pytest.mark.slow
def test_dictionaries_of_the_class_are_taken_wherever_they_come_from(tmp_path):
    for name, dictionary in of_the_class(tmp_path).items():
        program = LAST.program(dictionary, CLASSES, "hinge", beta=0.05)
        solution = bd.solve(program, gap=1e-6)
        network = LAST.network(dictionary, solution)
        fit = dictionary.atoms.to_dense() @ solution.weights
        assert np.abs(network.decision_function(sequences()) - fit).max() <= 1e-12, name
        assert network.hidden == LAST.hidden, name
        value = LAST.primal(sequences(), CLASSES, "hinge", beta=0.05).reduced(network)
        assert value == pytest.approx(program.primal(solution.weights), rel=1e-12), name


def test_a_class_takes_constants_within_its_ranges_and_resets_as_shares_of_the_threshold():
    wide = replace(LAST, leak=(0.85, 0.95))
    assert wide.program(ATOMS_LAST, CLASSES, beta=0.1).strength == 0.05
    half = bd.LIF((6, 4), leak=0.9, threshold=1.0, reset=0.5)
    doubled = bd.LIF((6, 4), leak=0.9, threshold=2.0, reset=1.0)
    assert half.program(doubled.sample(sequences(), 3), CLASSES, beta=0.1).strength == 0.05
    drawn = bd.LIF((6, 4), leak=0.9, threshold=(1.0, 2.0), reset=0.5)
    assert drawn.program(half.sample(sequences(), 3), CLASSES, beta=0.1).strength == 0.05
    with pytest.raises(ValueError, match=r"threshold 1 to 2 and reset 0.5, got"):
        drawn.program(replace(half, reset=0.2).sample(sequences(), 3), CLASSES, beta=0.1)
    with pytest.raises(ValueError, match=r"reset 'hard', got"):
        replace(half, reset="hard").program(half.sample(sequences(), 3), CLASSES, beta=0.1)


@pytest.mark.parametrize("reset", ["delayed", "immediate", "hard", 0.25])
def test_final_neurons_that_hear_themselves_alone_have_copies_whatever_their_reset(reset):
    lif = replace(LAST, reset=reset)
    bank = bd.SampledWitnesses(D_IN, (6, 4), 4, 1, lif.neuron, recurrent=True)
    alone = [
        [below, replace(final, recurrent=np.diag(np.diag(final.recurrent)))]
        for below, final in map(bank.layers, range(4))
    ]
    dictionary = bd.SpikeDictionary.sample(sequences(), bd.GivenWitnesses(alone))
    program = lif.program(dictionary, CLASSES, "hinge", beta=0.05)
    solution = bd.solve(program, gap=1e-9)
    network = lif.network(dictionary, solution)
    assert len(network.subnetworks) > 0
    assert np.ptp(network.readout_weights, axis=1).max() == 0  # the same on each copy
    value = lif.primal(sequences(), CLASSES, "hinge", beta=0.05).reduced(network)
    assert value == pytest.approx(program.primal(solution.weights), rel=1e-12)


ALL_OF_3 = np.eye(2)[np.array(list(np.ndindex(2, 2, 2)))]


@pytest.mark.parametrize(
    ("leak", "meant"),
    [
        (1 / 3, "1/3"),
        (2 / 7, "2/7"),
        (0.9, "9/10"),
        (np.float64(0.9), "9/10"),
        (Fraction(1, 3), "1/3"),
        (0.12345, "0.12345"),
        (1021 / 1024, "1021/1024"),
        (1, "1"),
    ],
)
@pytest.mark.parametrize("reset", ["delayed", "immediate"])
def test_listing_and_growing_read_a_leak_as_one_fraction(leak, meant, reset):
    lif = bd.LIF((2,), leak=leak, reset=reset)
    complete, expected = lif.complete(ALL_OF_3), bd.complete_lif(ALL_OF_3, meant, reset)
    assert np.array_equal(complete.atoms.words, expected.atoms.words)
    assert complete.record.fraction == Fraction(meant)
    for record in (lif.record(), lif.sample(ALL_OF_3, 30).record, complete.record):
        assert OneNeuron.of(record).leak == Fraction(meant)


def test_the_bound_of_growing_and_the_proof_in_integers_are_of_the_same_leak(tmp_path):
    y = ALL_OF_3[:, 0, 1].astype(int) ^ ALL_OF_3[:, -1, 1].astype(int)
    lif = bd.LIF((1,), leak=1 / 3)
    program = lif.program(lif.complete(ALL_OF_3), y, "hinge", strength=0.05)
    solution = bd.solve(program, gap=1e-9)
    grown = bd.grow(lif, ALL_OF_3, y, "hinge", strength=0.05, gap=1e-9, pricing="exact")
    room = 1e-9 * program.reference
    assert abs(grown.bound - solution.certificate.primal) <= 2 * room
    certificate = bd.certify(program, solution, exact=True)
    certificate.save(tmp_path / "xor.cert", bd.completeness(program, ALL_OF_3, leak="1/3"))
    assert "u[t] = 1/3 u[t-1]" in completeness.check(str(tmp_path / "xor.cert"))


@pytest.mark.parametrize("beta", [-1.0, np.nan, np.inf, "0.1", None, True])
def test_a_problem_with_another_beta_than_a_number_is_refused(beta):
    with pytest.raises(ValueError, match=r"^beta: expected a finite number >= 0"):
        LAST.primal(sequences(), CLASSES, beta=beta)


def test_dual_points_outside_are_told_apart():
    # hinge: 0 <= y v <= 1 / n, and an intercept asks for a sum of 0
    y = np.where(CLASSES == 1, 1.0, -1.0)
    dual = LAST.dual(ATOMS_LAST, y, "hinge", beta=0.02, intercept=True)
    inside = dual.make_feasible(y / N)
    point = dual.at(inside)
    assert point.feasible
    assert point.value == dual.program.dual(inside)
    assert abs(inside.sum()) <= 1e-15
    assert not dual.at(-y / N).feasible  # outside the conjugate's domain
    assert dual.at(-y / N).value == -np.inf
    assert not dual.at(y / N).feasible  # of another sum than 0
    far = inside * 2
    dear = dual.at(far)
    assert dear.price == pytest.approx(2 * point.price, rel=1e-15)
    assert point.price == pytest.approx(0.02, rel=1e-12)  # the price binds
    assert not dear.feasible
    assert dear.value == pytest.approx(2 * point.value, rel=1e-12)  # (y v summed) still told
    with pytest.raises(ValueError, match=r"^V: expected shape"):
        dual.at(np.zeros(N + 1))


def test_a_network_of_another_class_has_no_objective_in_this_one():
    X, y = bd.tasks.first_last_xor(steps=4)
    narrow, wide = bd.LIF((1,), leak=0.5), bd.LIF((16,), leak=0.5)
    atoms = narrow.complete(X)
    solution = bd.solve(wide.program(atoms, y, "hinge", beta=0.05), gap=1e-9)
    network = wide.network(atoms, solution)
    assert wide.primal(X, y, "hinge", beta=0.05).reduced(network) > 0
    with pytest.raises(ValueError, match=r"network: expected layers of \(1,\), got \(16,\)"):
        narrow.primal(X, y, "hinge", beta=0.05).reduced(network)
