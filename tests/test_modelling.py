"""The program in CVXPY's words: the same numbers, compiled once, open to constraints."""

import sys

import numpy as np
import pytest

import bidual as bd

from covering import parameters
from programs import RANDOM, random_program

cp = pytest.importorskip("cvxpy", reason="cvxpy is not installed")
pytest.importorskip("clarabel", reason="clarabel is not installed")

TIGHT = {"solver": "CLARABEL", **dict.fromkeys(("tol_gap_abs", "tol_gap_rel", "tol_feas"), 1e-9)}
# relative to the objective: 1e-9 is a tolerance for one row or atom, and 55 add up, with weights
# that are not bounded by 1; mistakes in a statement are larger than 1e-3
ROOM = 1e-6

each_problem = pytest.mark.parametrize("problem", parameters(RANDOM))
each_loss = pytest.mark.parametrize("loss", bd.LOSSES)


def certificate_of(problem, program):
    """Certificate of what a solved problem's variables and first multipliers hold."""
    b = problem.var_dict["intercept"].value.ravel() if program.intercept else None
    return bd.certify(
        program,
        weights=problem.var_dict["weights"].value,
        intercept=b,
        dual_point=problem.constraints[0].dual_value,
    )


@each_problem
def test_the_objective_is_the_primal_wherever_the_variables_stand(problem):
    program = RANDOM[problem]
    stated = program.to_cvxpy()
    rng = np.random.default_rng(0)
    for _ in range(3):
        W = rng.normal(size=(15, program.outputs)) * 2.0
        b = rng.normal(size=program.outputs) * program.intercept
        stated.var_dict["weights"].value = W
        stated.var_dict["fits"].value = program.affine(W, b)
        if program.intercept:
            stated.var_dict["intercept"].value = b[None, :]
        (constraint,) = stated.constraints
        assert constraint.violation().max() < 1e-12
        assert stated.objective.value == pytest.approx(program.primal(W, b), rel=1e-12)


def test_delta_and_strength_are_told():
    D = bd.BinaryMatrix.from_dense([[1, 0], [1, 1], [0, 1]])
    program = bd.ConvexProgram(D, [9.0, 0.1, -9.0], bd.Huber(0.25), 0.5)
    stated = program.to_cvxpy()
    stated.var_dict["weights"].value = np.array([[1.0], [-2.0]])
    stated.var_dict["fits"].value = np.array([[1.0], [-1.0], [-2.0]])
    assert stated.objective.value == pytest.approx(program.primal([1.0, -2.0]), rel=1e-14)
    assert stated.param_dict["strength"].value == 0.5


@each_problem
def test_names_and_shapes_are_those_of_the_documentation(problem):
    program = RANDOM[problem]
    stated = program.to_cvxpy()
    n, atoms, outputs = 40, 15, program.outputs
    shapes = {"weights": (atoms, outputs), "fits": (n, outputs)}
    if program.intercept:
        shapes["intercept"] = (1, outputs)
    assert {name: v.shape for name, v in stated.var_dict.items()} == shapes
    parameters = {name: p.shape for name, p in stated.param_dict.items()}
    assert parameters == {"strength": ()}


@each_problem
def test_an_answer_and_its_multipliers_are_certified(problem):
    program = RANDOM[problem]
    stated = program.to_cvxpy()
    stated.solve(**TIGHT)
    certificate = certificate_of(stated, program)
    room = ROOM * max(program.reference, 1.0)
    assert certificate.absolute_gap <= room
    assert certificate.primal == pytest.approx(stated.value, rel=0, abs=room)
    # the multipliers of the first constraint prove it without the weights' help
    V = program.into_domain(stated.constraints[0].dual_value)
    np.testing.assert_allclose(V, stated.constraints[0].dual_value, rtol=0, atol=room)
    V = V * min(1.0, program.strength / program.largest_prices(V).max())
    assert program.dual(V) >= stated.value - room


@each_problem
def test_it_compiles_once_for_all_strengths(problem):
    program = RANDOM[problem]
    stated = program.to_cvxpy()
    assert stated.is_dcp(dpp=True)
    compiled = stated.get_problem_data("CLARABEL")[0]["param_prob"]
    stated.solve(**TIGHT)
    other = program.with_strength(0.3 * program.strength)
    stated.param_dict["strength"].value = other.strength
    stated.solve(**TIGHT)
    assert stated.get_problem_data("CLARABEL")[0]["param_prob"] is compiled
    again = certificate_of(stated, other)
    room = ROOM * max(other.reference, 1.0)
    assert again.absolute_gap <= room
    fresh = other.to_cvxpy()
    fresh.solve(**TIGHT)
    assert fresh.get_problem_data("CLARABEL")[0]["param_prob"] is not compiled
    # two answers to one program differ by no more than the larger gap
    found = certificate_of(fresh, other)
    assert abs(found.primal - again.primal) <= max(found.absolute_gap, again.absolute_gap)
    assert stated.value == pytest.approx(fresh.value, rel=0, abs=room)


@pytest.mark.parametrize("loss", bd.LOSSES)
@pytest.mark.parametrize("penalty", bd.PENALTIES)
def test_a_nonnegative_readout_has_no_negative_entry_and_costs(loss, penalty):
    program = random_program(loss, True, 3, penalty=penalty, share=0.05)
    stated = program.to_cvxpy()
    W = stated.var_dict["weights"]
    positive = cp.Problem(stated.objective, [*stated.constraints, W >= 0])
    value = positive.solve(**TIGHT)
    room = ROOM * max(program.reference, 1.0)
    assert W.value.min() >= -room
    free = bd.solve(program, "clarabel", gap=1e-8)
    assert free.weights.min() < -1e-3  # where the constraint has something to forbid
    assert value > free.certificate.primal + room
    # what is read from the variables is what is paid
    b = stated.var_dict["intercept"].value.ravel()
    assert program.primal(W.value, b) == pytest.approx(value, rel=0, abs=room)


@pytest.mark.parametrize("penalty", bd.PENALTIES)
def test_a_nonnegative_readout_is_that_of_scikit_learn(penalty):
    from sklearn.linear_model import Lasso

    rng = np.random.default_rng(3)
    D = rng.random((40, 15)) < 0.3
    y = D @ rng.normal(size=15) + 0.3 * rng.normal(size=40)
    program = bd.ConvexProgram(
        bd.BinaryMatrix.from_dense(D), y, "squared", 0.02, intercept=True, penalty=penalty
    )
    stated = program.to_cvxpy()
    W = stated.var_dict["weights"]
    value = cp.Problem(stated.objective, [*stated.constraints, W >= 0]).solve(**TIGHT)
    # its objective is ours where rows weigh 1/N; tol bounds its gap relative to |y|^2
    lasso = Lasso(alpha=0.02, positive=True, tol=1e-12, max_iter=100_000).fit(D.astype(float), y)
    attained = program.primal(lasso.coef_, [lasso.intercept_])
    assert value == pytest.approx(attained, rel=0, abs=ROOM)
    assert (W.value < 1e-6).sum() >= 3


@each_loss
@pytest.mark.parametrize("penalty", bd.PENALTIES)
def test_a_budget_on_synapses_is_the_strength_of_its_multiplier(loss, penalty):
    # least loss with norm <= budget is the program at strength = multiplier, less strength * budget
    program = random_program(loss, True, 3, penalty=penalty).with_strength(0.0)
    stated = program.to_cvxpy()
    W = stated.var_dict["weights"]
    norm = cp.norm1(W) if penalty == "l1" else cp.mixed_norm(W, 2, 1)
    budget = norm <= 1.5
    value = cp.Problem(stated.objective, [*stated.constraints, budget]).solve(**TIGHT)
    strength = float(budget.dual_value)
    assert strength > 1e-3  # the budget is spent
    assert norm.value == pytest.approx(1.5, rel=1e-6)
    penalised = bd.solve(program.with_strength(strength), "clarabel", gap=1e-8).certificate
    room = ROOM * max(program.reference, 1.0)
    assert penalised.dual - room <= value + 1.5 * strength <= penalised.primal + room


def test_without_cvxpy_its_name_is_told(monkeypatch):
    monkeypatch.delitem(sys.modules, "bidual.formulations.lowering.modelling", raising=False)
    monkeypatch.setitem(sys.modules, "cvxpy", None)
    with pytest.raises(ModuleNotFoundError, match="cvxpy"):
        random_program("squared").to_cvxpy()
