"""What is kept from one run to the next: answers, solvers, and what CVXPY has compiled."""

import numpy as np
import pytest

import bidual as bd
from bidual.solvers.backends import conic, scs_
from bidual.solvers.backends.conic import Request, point, scaled
from bidual.solvers.monitor import Monitor

from covering import parameters
from programs import RANDOM, random_program
from tolerances import GAPS

clarabel = pytest.importorskip("clarabel", reason="clarabel is not installed")

SMOOTH = ["squared", "huber", "squared_hinge"]
STARTS = [
    *[("osqp", loss) for loss in SMOOTH],  # on linear programs its counts are a matter of luck
    *[("scs", loss) for loss in bd.LOSSES],
    *[("highs", loss) for loss in ("absolute", "hinge")],  # its active sets know no start
]


@pytest.mark.parametrize(("name", "loss"), STARTS)
def test_a_start_nearby_saves_iterations(name, loss):
    if bd.BACKENDS[name].available() is not None:
        pytest.skip(bd.BACKENDS[name].available())
    program = random_program(loss, True, rows=60, atoms=40, share=0.1)
    near = bd.solve(program.with_strength(1.05 * program.strength), "clarabel", gap=1e-8)
    cold = bd.solve(program, name, gap=GAPS[name])
    warm = bd.solve(program, name, gap=GAPS[name], warm_start=near)
    assert cold.status is warm.status is bd.Status.CERTIFIED
    assert warm.iterations < cold.iterations


def lowered(problem):
    """Program of size 1, form, column and block, for each column of a random program."""
    program = scaled(RANDOM[problem]).program
    blocks = program.blocks if program.loss.one_matrix else program.blocks[:1]
    held = program.select([c for block in blocks for c in block])
    form = held.to_conic()
    return [(program, form, k, list(block)) for k, block in enumerate(blocks)]


def outside(form, slack):
    """By how much the slack of each row lies outside its cone, at most."""
    first, second = form.zero, form.zero + form.nonnegative
    missed = [np.abs(slack[:first]).max(initial=0.0), -slack[first:second].min(initial=0.0)]
    for size in form.second_order:
        missed.append(np.linalg.norm(slack[second + 1 : second + size]) - slack[second])
        second += size
    p, q, r = slack[second:].reshape(-1, 3).T
    missed += [(q * np.exp(p / q) - r).max(initial=0.0), -q.min(initial=0.0)]
    return max(missed)


@pytest.mark.parametrize("problem", parameters(RANDOM))
def test_a_start_is_feasible_and_has_the_value_of_its_weights(problem):
    rng = np.random.default_rng(0)
    for program, form, k, block in lowered(problem):
        W = rng.normal(size=(15, len(block))) * (rng.random((15, len(block))) < 0.5)
        b = rng.normal(size=len(block)) * program.intercept
        V = rng.normal(size=(40, len(block)))
        target = program.target[:, block]
        start = point(form, k, program.loss, target, W, b, V)
        np.testing.assert_array_equal(form.weights(start.x), W)
        np.testing.assert_array_equal(form.intercept(start.x), b)
        # sums of 15 numbers of size 1
        assert outside(form, form.bounds[:, k] - form.matrix @ start.x) < 1e-13
        value = 0.5 * start.x @ (form.quadratic @ start.x) + form.linear[:, k] @ start.x
        assert value + form.offset[k] == pytest.approx(
            program.select(block).primal(W, b), rel=1e-12
        )
        held = form.dual(start.multipliers)
        np.testing.assert_array_equal(held[form.rows], V[form.rows])


@pytest.mark.parametrize("problem", parameters(RANDOM))
def test_a_start_at_the_optimum_has_multipliers_of_the_optimum(problem):
    for program, form, k, block in lowered(problem):
        part = program.select(block)
        best = bd.solve(part, "clarabel", gap=1e-10)
        answer = best.weights, best.intercept, best.dual_point
        start = point(form, k, program.loss, part.target, *answer)
        slope = form.quadratic @ start.x + form.linear[:, k] + form.matrix.T @ start.multipliers
        # V is off by the root of the gap at most
        assert np.abs(slope).max() < 1e-4
        # equations leave their sign free; of exponential cones an entry is in no column
        y = start.multipliers
        first, second = form.zero, form.zero + form.nonnegative
        assert y[first:second].min(initial=0.0) > -1e-4
        for size in form.second_order:
            assert np.linalg.norm(y[second + 1 : second + size]) <= y[second] + 1e-4
            second += size


@pytest.mark.parametrize("problem", ["absolute, l1, 3 outputs", "softmax, l1, 3 outputs"])
def test_only_what_is_not_the_cold_start_is_a_start(problem):
    program = RANDOM[problem]
    backend = bd.BACKENDS["clarabel"]
    model, monitor = backend.compile(program), Monitor(program, 1e-6, np.inf)
    columns = [(part, k) for part in model.parts for k in range(len(part.blocks))]

    def started():
        for part, k in columns:
            conic._start(model, part, k, monitor)
        return [k in part.answers for part, k in columns]

    assert not any(started())
    monitor.weights[3, 0] = 1.0
    assert started() == [True] + [False] * (len(columns) - 1)


@pytest.mark.parametrize("loss", bd.LOSSES)
def test_a_start_is_the_answer_that_the_monitor_holds(loss):
    program = random_program(loss, True, outputs=3, seed=5)
    if not bd.LOSSES[loss].labels and loss != "softmax":
        target = 7.0 + 1e3 * program.target
        parts = program.design, target, loss, program.strength, program.row_weights, True
        program = bd.ConvexProgram(*parts)
    model, monitor = bd.BACKENDS["clarabel"].compile(program), Monitor(program, 1e-6, np.inf)
    rng = np.random.default_rng(0)
    monitor.weights = rng.normal(size=(15, 3))
    monitor.intercept = 7.0 + rng.normal(size=3)
    monitor.dual_point = rng.normal(size=(40, 3)) * (program.row_weights > 0)[:, None]
    for part in model.parts:
        for k, block in enumerate(part.blocks):
            conic._start(model, part, k, monitor)
            x, y = part.answers[k].x, part.answers[k].multipliers
            answer = part.form.weights(x), part.form.intercept(x), part.form.dual(y)
            back = model.scaled.back(*answer, block)
            held = monitor.weights, monitor.intercept, monitor.dual_point
            for one, other in zip(back, held, strict=True):
                np.testing.assert_allclose(one, other[..., list(block)], rtol=1e-12, atol=1e-12)


def counted(monkeypatch, owner, name):
    """Calls of a class or function of a package from here on."""
    made, real = [], getattr(owner, name)

    def call(*parts, **named):
        made.append(parts)
        return real(*parts, **named)

    monkeypatch.setattr(owner, name, call)
    return made


def short_path(loss="squared"):
    program = random_program(loss, True, outputs=3)
    return program, program.lambda_max * np.array([0.8, 0.5, 0.2, 0.3])


@pytest.mark.parametrize("name", ["clarabel", "scs"])
@pytest.mark.parametrize("loss", ["squared", "absolute", "logistic"])
def test_one_solver_object_serves_a_path_and_all_its_outputs(monkeypatch, name, loss):
    package = pytest.importorskip(bd.BACKENDS[name].package)
    made = counted(monkeypatch, package, "SCS" if name == "scs" else "DefaultSolver")
    program, strengths = short_path(loss)
    found = bd.path(program, strengths, name, gap=1e-3)
    assert all(each.status is bd.Status.CERTIFIED for each in found)
    assert len(made) == 1


def test_scs_has_a_solver_a_tolerance(monkeypatch):
    scs = pytest.importorskip("scs", reason="scs is not installed")
    made = counted(monkeypatch, scs, "SCS")
    asked = []
    real = scs_.SCS.run
    monkeypatch.setattr(
        scs_.SCS,
        "run",
        lambda self, part, request: asked.append(request.tolerance) or real(self, part, request),
    )
    monkeypatch.setattr(scs_.SCS, "tightenings", (1e3, 1e-1))
    program, strengths = short_path()
    bd.path(program, strengths, "scs", gap=1e-6)
    assert len(asked) > len(set(asked)) > 1
    assert len(made) == len(set(asked))


def test_options_of_clarabel_that_hold_for_a_solver_make_another(monkeypatch):
    made = counted(monkeypatch, clarabel, "DefaultSolver")
    program, strengths = short_path()
    found = bd.path(program, strengths, "clarabel", equilibrate_enable=False)
    assert all(each.status is bd.Status.CERTIFIED for each in found)
    assert len(made) == 2  # the one that was built, and one with the option for all strengths


@pytest.mark.parametrize("name", ["clarabel", "scs", "osqp"])
def test_an_answer_stays_as_it_is_when_its_solver_goes_on(name):
    backend = bd.BACKENDS[name]
    if backend.available() is not None:
        pytest.skip(backend.available())
    (part,) = backend.compile(random_program("squared", True, outputs=3)).parts
    first = backend.run(part, Request(0, 1e-6, np.inf, {}))
    x, y = first.x.copy(), first.multipliers.copy()
    backend.run(part, Request(1, 1e-6, np.inf, {}))
    np.testing.assert_array_equal(first.x, x)
    np.testing.assert_array_equal(first.multipliers, y)


def test_cvxpy_compiles_in_compile_and_once_for_a_path(monkeypatch):
    pytest.importorskip("cvxpy", reason="cvxpy is not installed")
    from cvxpy.reductions.solvers.solving_chain import SolvingChain

    applied = counted(monkeypatch, SolvingChain, "apply")
    program, strengths = short_path()
    model = bd.BACKENDS["cvxpy"].compile(program)
    assert len(applied) == 1
    bd.BACKENDS["cvxpy"].solve(model, Monitor(program, 1e-6, np.inf), {})
    assert len(applied) == 1
    found = bd.path(program, strengths, "cvxpy", gap=1e-6)
    assert all(each.status is bd.Status.CERTIFIED for each in found)
    assert len(applied) == 2


def test_an_updated_model_leaves_the_one_before_it_as_it_was():
    pytest.importorskip("cvxpy", reason="cvxpy is not installed")
    backend = bd.BACKENDS["cvxpy"]
    program = random_program("squared", True)
    model = backend.compile(program)
    backend.update(model, program.with_strength(10 * program.strength))
    monitor = Monitor(program, 1e-6, np.inf)
    backend.solve(model, monitor, {})
    assert monitor.done


@pytest.mark.parametrize(("solver", "runs"), [("HIGHS", 1), ("CLARABEL", 3), ("SCS", 3)])
def test_cvxpy_runs_again_only_where_it_can_ask_for_more(monkeypatch, solver, runs):
    cvxpy = pytest.importorskip("cvxpy", reason="cvxpy is not installed")
    if solver not in cvxpy.installed_solvers():
        pytest.skip(f"CVXPY does not find {solver}")
    solved = counted(monkeypatch, cvxpy.Problem, "solve")
    limit = {"max_iter": 3} if solver == "CLARABEL" else {}
    limit = {"max_iters": 3} if solver == "SCS" else limit
    solution = bd.solve(random_program("squared"), "cvxpy", gap=1e-300, solver=solver, **limit)
    assert solution.status is not bd.Status.CERTIFIED
    assert len(solved) == runs
