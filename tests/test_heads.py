"""Heads: the joint objective of several heads is the weighted sum of their programs."""

import numpy as np
import pytest

import bidual as bd

X, DIGIT = bd.tasks.addition(base=3, digits=2, samples=60)
CARRY = bd.tasks.addition(base=3, digits=2, samples=60, head="carry")[1]
TARGETS = {"sum": DIGIT, "carry": CARRY}
LOSSES = {"sum": "softmax", "carry": "hinge"}
WEIGHTS = {"sum": 1.0, "carry": 0.25}
LIFS = bd.LIF(hidden=(8, 4), leak=0.5, readout="every")
ATOMS = LIFS.sample(X, subnetworks=6, seed=0)


def two_heads(beta=0.05, **options):
    return LIFS.heads(ATOMS, TARGETS, LOSSES, WEIGHTS, beta=beta, **options)


def test_the_joint_objective_of_networks_is_the_weighted_sum_of_the_programs():
    # sum_h weight_h L_h + beta R, from the networks alone, R the sum over all subnetworks
    heads = two_heads(intercept=True)
    solutions = {name: bd.solve(program, gap=1e-6) for name, program in heads.items()}
    networks = heads.networks(solutions)
    joint = 0.0
    for name, network in networks.items():
        classes = network.classes
        outputs = network.decision_function(X)
        if name == "sum":
            labels = TARGETS[name][..., None] == classes
            shifted = outputs - outputs.max(axis=2, keepdims=True)
            loss = np.log(np.exp(shifted).sum(axis=2)) - (shifted * labels).sum(axis=2)
        else:
            signs = np.where(TARGETS[name] == classes[1], 1.0, -1.0)
            loss = np.maximum(0.0, 1.0 - signs * outputs[..., 0])
        joint += WEIGHTS[name] * loss.mean()
        flat = network.readout_weights.reshape(len(network.readout_weights), -1)
        joint += 0.05 * np.linalg.norm(flat, axis=1).sum()
    assert heads.primal(solutions) == pytest.approx(joint, rel=1e-12)
    reference = sum(WEIGHTS[name] * heads[name].reference for name in heads)
    assert 0 <= heads.primal(solutions) - heads.dual(solutions) <= 1e-6 * reference


def test_no_other_networks_have_a_smaller_joint_objective():
    heads = two_heads()
    solutions = {name: bd.solve(program, gap=1e-6) for name, program in heads.items()}
    rng = np.random.default_rng(0)
    for size in (0.01, 0.1, 1.0):
        value = 0.0
        for name, program in heads.items():
            W = solutions[name].weights
            moved = W + size * np.abs(W).max() * rng.normal(size=W.shape)
            value += WEIGHTS[name] * program.primal(moved)
        assert value > heads.dual(solutions)


def test_each_head_has_the_strength_of_its_share():
    heads = two_heads(beta=0.05)
    assert heads["sum"].strength == pytest.approx(0.05 / 2, rel=1e-15)  # m = 4, p = 2
    assert heads["carry"].strength == pytest.approx(0.05 / 2 / 0.25, rel=1e-15)
    direct = LIFS.heads(ATOMS, TARGETS, LOSSES, WEIGHTS, strength=0.05)
    assert [direct[name].strength for name in ("sum", "carry")] == [0.05, 0.2]
    plain = LIFS.heads(ATOMS, TARGETS, "hinge", strength=0.05)
    assert plain.weights == {"sum": 1.0, "carry": 1.0}
    assert [plain[name].loss.name for name in plain] == ["hinge", "hinge"]
    assert plain["sum"].outputs == 3
    assert plain["carry"].outputs == 1


def test_heads_are_a_mapping_that_says_what_it_is():
    heads = two_heads()
    assert list(heads) == ["sum", "carry"]
    assert len(heads) == 2
    assert repr(heads) == "Heads(1 x sum, 0.25 x carry)"
    assert heads["sum"].loss.name == "softmax"
    assert two_heads(step_weights="ramp")["sum"].row_weights[0] < 1 / heads["sum"].design.shape[0]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"targets": {}}, "^targets: expected a mapping of at least one"),
        ({"targets": DIGIT}, "^targets: expected a mapping"),
        ({"targets": {"sum": DIGIT}}, "^loss: expected one entry for each .*'sum'"),
        ({"loss": {"sum": "softmax"}}, "^loss: expected one entry for each .*got .'sum'"),
        ({"weights": {"sum": 1.0}}, "^weights: expected one entry for each"),
        ({"weights": 2.0}, "^weights: expected one entry for each"),
        ({"weights": {"sum": 1.0, "carry": 0.0}}, "^weights: expected finite .*'carry'"),
        ({"weights": {"sum": np.nan, "carry": 1.0}}, "^weights: expected finite .*'sum'"),
        ({"weights": {"sum": np.inf, "carry": 1.0}}, "^weights: expected finite .*'sum'"),
        ({"strength": 1.0}, "^beta, strength: expected exactly one"),
        ({"beta": None}, "^beta, strength: expected exactly one"),
        ({"beta": -1.0}, "^beta: expected a finite number"),
        ({"beta": "0.1"}, "^beta: expected a finite number .* got '0.1'"),
        ({"beta": None, "strength": "0.1"}, "^strength: expected a finite number"),
        ({"targets": {"sum": DIGIT, "carry": CARRY[:5]}}, "^y: expected .*head 'carry'"),
    ],
)
def test_bad_heads_are_refused_by_name(change, message):
    arguments = {"targets": TARGETS, "loss": LOSSES, "weights": WEIGHTS, "beta": 0.1, **change}
    with pytest.raises(ValueError, match=message):
        LIFS.heads(ATOMS, **arguments)


def test_solutions_of_other_heads_are_refused_by_name():
    heads, others = two_heads(), two_heads(beta=0.5)
    solutions = {name: bd.solve(program, gap=1e-2) for name, program in others.items()}
    for call in (heads.primal, heads.dual, heads.networks):
        with pytest.raises(
            ValueError, match=r"^solutions: expected a solution of the program of head"
        ):
            call(solutions)
        with pytest.raises(
            ValueError, match=r"^solutions: expected one entry for each of the heads"
        ):
            call({"sum": solutions["sum"]})
