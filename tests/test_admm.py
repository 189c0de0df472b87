"""The own ADMM: its linear algebra, its fixed points, and every program it claims to take."""

import itertools

import numpy as np
import pytest
from scipy import linalg

import bidual as bd
from bidual.solvers import solve
from bidual.solvers.backends.admm_ import (
    ADMM,
    Extrapolation,
    SplittingModel,
    first_rho,
    least_squares,
)
from bidual.solvers.monitor import Monitor

from covering import slow

BACKEND = ADMM()
SHAPES = {"tall": (40, 15), "wide": (15, 40)}
CELLS = list(itertools.product(bd.LOSSES, ("l1", "group"), (False, True)))
each_cell = pytest.mark.parametrize(("loss", "penalty", "intercept"), CELLS)
each_shape = pytest.mark.parametrize("shape", SHAPES)


def random_design(shape, seed=0):
    rng = np.random.default_rng(seed)
    return bd.BinaryMatrix.from_dense(rng.random(SHAPES[shape]) < 0.3)


def random_program(loss, penalty, intercept, shape="tall", seed=0, share=0.2, outputs=3):
    """Uneven row weights, some of them 0, and a strength that leaves some atoms."""
    rng = np.random.default_rng(seed + 100)
    design = random_design(shape, seed)
    n, atoms = design.shape
    z = design.matvec(rng.normal(size=(atoms, outputs))) + 0.3 * rng.normal(size=(n, outputs))
    if loss == "softmax":
        y = np.eye(outputs)[z.argmax(axis=1)]
    else:
        y = np.where(z > np.median(z, axis=0), 1.0, -1.0) if bd.LOSSES[loss].labels else z
    a = rng.random(n) * (rng.random(n) < 0.9)
    program = bd.ConvexProgram(
        design, y, loss, 0.0, row_weights=a / a.sum(), intercept=intercept, penalty=penalty
    )
    return program.with_strength(share * program.lambda_max)


def run(program, gap=1e-6, model=None, start=None, time_limit=np.inf):
    """Solve by a monitor of our own, which tells more than a solution; from a start if given."""
    monitor = Monitor(program, gap, time_limit)
    if start is not None:
        monitor.weights, monitor.intercept, monitor.dual_point = start
    word = BACKEND.solve(BACKEND.compile(program) if model is None else model, monitor, {})
    return monitor, word


def certified(monitor):
    return bd.certify(
        monitor.program,
        weights=monitor.weights,
        intercept=monitor.intercept,
        dual_point=monitor.dual_point,
    )


# --- one step's least squares


@pytest.mark.parametrize("wide", [False, True])
@each_shape
def test_both_woodbury_forms_solve_the_least_squares(shape, wide):
    rng = np.random.default_rng(1)
    design = random_design(shape)
    n, atoms = design.shape
    squares = least_squares(design, wide)
    t, s = rng.normal(size=(n, 3)), rng.normal(size=(atoms, 3))
    weights, fit = squares.solve(t, s)
    stacked = np.vstack([design.to_dense(), squares.kappa * np.eye(atoms)])
    wanted = linalg.lstsq(stacked, np.vstack([t, s]))[0]
    # the condition of the stacked matrix, some tens, times eps
    np.testing.assert_allclose(weights, wanted, atol=1e-12)
    np.testing.assert_allclose(fit, design.to_dense() @ wanted, atol=1e-12)


@pytest.mark.parametrize("extra", ["none", "a column of ones", "columns of zeros"])
@each_shape
def test_intercept_joins_by_its_schur_complement(shape, extra):
    rng = np.random.default_rng(2)
    dense = random_design(shape).to_dense()
    if extra == "a column of ones":
        dense[:, 0] = 1
    if extra == "columns of zeros":
        dense[:, :] = 0
    design = bd.BinaryMatrix.from_dense(dense)
    n, atoms = design.shape
    program = bd.ConvexProgram(design, rng.normal(size=(n, 2)), strength=1.0, intercept=True)
    model = BACKEND.compile(program)
    t, s = rng.normal(size=(n, 2)), rng.normal(size=(atoms, 2))
    weights, intercept, fit = model.fit(t, s)
    kappa = model.squares.kappa
    stacked = np.block([[dense, np.ones((n, 1))], [kappa * np.eye(atoms), np.zeros((atoms, 1))]])
    wanted = linalg.lstsq(stacked, np.vstack([t, s]))[0]
    np.testing.assert_allclose(np.vstack([weights, intercept]), wanted, atol=1e-12)
    np.testing.assert_allclose(fit, program.affine(weights, intercept), atol=1e-12)


@pytest.mark.parametrize("shape", [*SHAPES, "square"])
def test_compile_factors_the_smaller_matrix(shape):
    n, atoms = SHAPES.get(shape, (20, 20))
    rng = np.random.default_rng(3)
    design = bd.BinaryMatrix.from_dense(rng.integers(0, 2, (n, atoms)))
    squares = BACKEND.compile(bd.ConvexProgram(design, rng.normal(size=n))).squares
    assert squares.factor[0].shape == (min(n, atoms), min(n, atoms))
    assert squares.wide == (n < atoms)


@each_shape
@pytest.mark.parametrize("intercept", [False, True])
def test_both_woodbury_forms_take_the_same_steps(shape, intercept):
    program = random_program("logistic", "l1", intercept, shape)
    found = []
    for wide in (False, True):
        model = BACKEND.compile(program)
        squares = least_squares(program.design, wide)
        model = SplittingModel(program, squares, model.response, model.left, model.pivot)
        found.append(run(program, 1e-8, model)[0])
    assert found[0].iterations == found[1].iterations
    # rounding, 1e-13 of a step, adds up over a hundred steps and an extrapolation's condition
    np.testing.assert_allclose(found[0].weights, found[1].weights, atol=1e-8)
    np.testing.assert_allclose(
        found[0].absolute_gaps, found[1].absolute_gaps, rtol=1e-2, atol=1e-12
    )


# --- answers


@each_shape
@each_cell
def test_every_program_is_certified(loss, penalty, intercept, shape):
    program = random_program(loss, penalty, intercept, shape)
    assert BACKEND.accepts(program) is None
    monitor, word = run(program)
    assert monitor.done, f"{word}, gap {program.relative(float(monitor.absolute_gaps.sum()))}"
    certificate = certified(monitor)
    assert certificate.relative_gap <= 1e-6 * (1 + 1e-9)
    assert word == f"gap reached after {monitor.iterations} steps"
    # smooth losses take tens of steps, kinks some thousands; twice what was measured
    kinked = not np.isfinite(program.loss.curvature)
    assert monitor.iterations <= (6000 if kinked else 600)


@each_cell
def test_a_start_at_the_optimum_stays_there(loss, penalty, intercept):
    # the signs and scales of both multipliers: only the right ones make it a fixed point
    program = random_program(loss, penalty, intercept)
    close, _ = run(program, 1e-9)
    assert close.done
    start = close.weights.copy(), close.intercept.copy(), close.dual_point.copy()
    monitor, _ = run(program, 1e-8, start=start)
    assert monitor.iterations == 2
    assert monitor.done


@pytest.mark.parametrize(
    "loss",
    slow("squared", "logistic", "softmax"),
)
def test_balancing_rho_keeps_the_multipliers(loss):
    # at the optimum residuals are rounding, so rho moves wildly; the unscaled V must not
    program = random_program(loss, "l1", True)
    close, _ = run(program, 1e-11)
    assert close.done
    monitor = Monitor(program, 1e-17, np.inf)
    monitor.weights, monitor.intercept = close.weights.copy(), close.intercept.copy()
    monitor.dual_point = close.dual_point.copy()
    gaps, offer = [], monitor.offer
    monitor.offer = lambda *answer: gaps.append(offer(*answer).absolute_gaps.sum())
    BACKEND.solve(BACKEND.compile(program), monitor, {})
    assert len(gaps) > 8  # certificates, which four balancings fall between
    assert max(gaps) <= 1e-9 * program.reference


@pytest.mark.parametrize("penalty", ["l1", "group"])
@pytest.mark.parametrize("loss", ["huber", "softmax"])
def test_steps_iterate_a_map_of_copy_plus_dual(loss, penalty, monkeypatch):
    # the map itself, Douglas-Rachford's, at a point that an extrapolation might ask for
    program = random_program(loss, penalty, True)
    model = BACKEND.compile(program)
    n, kappa, rho = 40, model.squares.kappa, first_rho(program)
    point = np.random.default_rng(8).normal(size=(55, 3))
    seen = []

    class Stop(Exception):
        pass

    def move(self, state, guess):
        seen.append(state)
        if len(seen) == 2:
            raise Stop
        return point

    monkeypatch.setattr(Extrapolation, "next", move)
    with pytest.raises(Stop):
        run(program, model=model)
    copy = np.vstack(
        [
            program.loss.prox(point[:n], program.target, program.row_weights / rho),
            program.penalty.prox(point[n:], program.strength / kappa / rho),
        ]
    )
    dual = point - copy
    weights, _, fit = model.fit(copy[:n] - dual[:n], copy[n:] - dual[n:])
    wanted = 1.6 * np.vstack([fit, kappa * weights]) - 0.6 * copy + dual
    np.testing.assert_allclose(seen[1], wanted, atol=1e-12)


def test_a_start_leaves_its_arrays_alone():
    program = random_program("squared", "l1", True)
    monitor = Monitor(program, 1e-12, np.inf)
    rng = np.random.default_rng(4)
    start = rng.normal(size=(15, 3)), rng.normal(size=3), 1e-3 * rng.normal(size=(40, 3))
    kept = [part.copy() for part in start]
    monitor.weights, monitor.intercept, monitor.dual_point = (part.copy() for part in start)
    monitor.absolute_gaps = np.zeros(3)  # nothing is better, so nothing may be written
    BACKEND.solve(BACKEND.compile(program), monitor, {})
    for found, wanted in zip(
        (monitor.weights, monitor.intercept, monitor.dual_point), kept, strict=True
    ):
        assert (found == wanted).all()


@pytest.mark.parametrize(
    ("loss", "penalty", "intercept"),
    [cell for cell in CELLS if np.isfinite(bd.LOSSES[cell[0]].curvature)],
)
def test_a_near_start_saves_steps_of_smooth_losses(loss, penalty, intercept):
    # with kinks the steps depend on when the last kink is found, and anything may happen
    program = random_program(loss, penalty, intercept)
    before, _ = run(program.with_strength(1.02 * program.strength), 1e-8)
    cold, _ = run(program)
    warm, _ = run(program, start=(before.weights, before.intercept, before.dual_point))
    assert warm.done
    assert warm.iterations <= cold.iterations


@each_shape
@each_cell
def test_an_updated_model_answers_as_a_fresh_one(loss, penalty, intercept, shape, monkeypatch):
    program = random_program(loss, penalty, intercept, shape)
    other = program.with_strength(0.5 * program.strength)
    model = BACKEND.compile(program)
    fresh = BACKEND.compile(other)

    def refuse(*args, **kwargs):
        raise AssertionError("the matrix was counted or factored again")

    monkeypatch.setattr("bidual.solvers.backends.admm_.cho_factor", refuse)
    monkeypatch.setattr(bd.BinaryMatrix, "gram", refuse)
    updated = BACKEND.update(model, other)
    assert model.program is program
    assert updated.program is other
    # one step each from the same start: the same numbers, to the last
    found = [run(other, 1e-3, model) for model in (updated, fresh)]
    assert (found[0][0].weights == found[1][0].weights).all()
    assert (found[0][0].dual_point == found[1][0].dual_point).all()
    assert found[0][1] == found[1][1]


@pytest.mark.slow
def test_no_penalty_is_least_squares():
    # at strength 0 only the primal can be told: the bound is 0
    program = random_program("squared", "l1", True).with_strength(0.0)
    monitor, word = run(program)
    root = np.sqrt(program.row_weights)[:, None]
    dense = np.hstack([program.design.to_dense(), np.ones((40, 1))])
    wanted = linalg.lstsq(root * dense, root * program.target)[0]
    least = program.primal(wanted[:-1], wanted[-1])
    assert word.startswith("no better gap")
    found = program.primal(monitor.weights, monitor.intercept)
    assert found == pytest.approx(least, rel=1e-9)


# --- what it tells


def test_residuals_stand_in_the_history_and_fall():
    program = random_program("logistic", "l1", True)
    solution = solve(program, "admm", gap=1e-9)
    residuals = np.array([progress.residuals for progress in solution.history])
    assert residuals.shape == (len(solution.history), 2)
    assert (residuals > 0).all()
    assert (residuals[-1] < 1e-2 * residuals[0]).all()


def test_steps_are_counted_and_certified_at_2_and_every_25(monkeypatch):
    offered = []
    program = random_program("hinge", "l1", False)
    monitor = Monitor(program, 1e-7, np.inf)
    monkeypatch.setattr(monitor, "offer", lambda *args: offered.append(monitor.iterations) or None)
    word = BACKEND.solve(BACKEND.compile(program), monitor, {})
    assert offered == [2, *range(25, monitor.iterations + 1, 25)]
    # the first certificate counts as better than none; 200 more without a better gap end it
    assert word == f"no better gap in 5000 steps, after {monitor.iterations}"
    assert len(offered) == 201


def test_time_limit_is_looked_at_every_step():
    monitor, word = run(random_program("absolute", "l1", True), 1e-15, time_limit=1e-9)
    assert word == "time limit after 1 steps"
    assert monitor.history


def test_options_are_refused():
    program = random_program("squared", "l1", False)
    with pytest.raises(ValueError, match="admm takes none, got \\['rho'\\]"):
        solve(program, "admm", rho=1.0)


def in_units(loss, unit):
    rng = np.random.default_rng(11)
    design = random_design("tall")
    y = unit * (design.matvec(rng.normal(size=(15, 1))) + 0.3 * rng.normal(size=(40, 1)))
    chosen = bd.Huber(delta=unit) if loss == "huber" else loss
    program = bd.ConvexProgram(design, y, chosen, 0.0, intercept=True)
    return program.with_strength(0.2 * program.lambda_max)


@pytest.mark.parametrize("unit", [1e-100, 1e-6, 1e3, 1e6, 1e100])
@pytest.mark.parametrize("loss", ["squared", "absolute", "huber"])
@pytest.mark.filterwarnings("error")
def test_units_of_targets_do_not_matter(loss, unit):
    here, one = (run(in_units(loss, u))[0] for u in (unit, 1.0))
    assert here.done
    # Beside the power of two next to it, below, a unit changes rounding alone. That moves a few
    # certificates; of a loss with kinks the way there, and how long it is, differs from then on.
    assert here.iterations <= (2 * one.iterations if loss == "absolute" else one.iterations + 100)
    # a power of two rounds nothing: every step is the same one in other units
    unit = 2.0 ** round(np.log2(unit))
    here = run(in_units(loss, unit))[0]
    assert here.iterations == one.iterations
    assert (here.weights == unit * one.weights).all()
    assert (here.intercept == unit * one.intercept).all()


@each_cell
def test_first_rho_is_the_slope_of_the_squared_loss_and_of_labels(loss, penalty, intercept):
    program = random_program(loss, penalty, intercept)
    mean = program.row_weights.mean()
    if loss == "absolute":
        # of the rows off the kink, which the median is at
        size = np.abs(program.target - program.null_intercept)
        mean *= (program.row_weights @ (size > 0)).sum() / (program.row_weights @ size).sum()
    if loss == "huber":  # flatter than a square beyond delta
        assert 0 < first_rho(program) < mean
    else:
        assert first_rho(program) == pytest.approx(mean, rel=1e-12)


def test_targets_that_are_all_one_number_have_a_rho():
    design = random_design("tall")
    program = bd.ConvexProgram(design, np.full(40, 3.0), "absolute", 0.1, intercept=True)
    assert first_rho(program) == pytest.approx(1 / 40)


def test_huge_targets_neither_crash_nor_pass_as_solved():
    # squares of residuals overflow; what is certified still is
    design = random_design("tall")
    y = 1e150 * np.random.default_rng(5).normal(size=40)
    monitor, _ = run(bd.ConvexProgram(design, y, "squared", 1e149, intercept=True))
    certificate = certified(monitor)
    assert monitor.done == (certificate.relative_gap <= 1e-6)


# --- extrapolation


def plain(monkeypatch):
    """Make every step from here on a plain one."""
    monkeypatch.setattr(Extrapolation, "next", lambda self, state, guess: None)


@each_shape
@pytest.mark.slow
def test_extrapolation_saves_steps_of_the_absolute_loss(shape, monkeypatch):
    programs = [
        random_program("absolute", penalty, intercept, shape, seed)
        for penalty, intercept, seed in itertools.product(("l1", "group"), (False, True), range(2))
    ]
    guessed = [run(program)[0].iterations for program in programs]
    plain(monkeypatch)
    plainly = [run(program)[0].iterations for program in programs]
    # a third was measured, and of the slowest a tenth
    assert np.log(guessed).mean() < np.log(plainly).mean() - np.log(2)
    assert max(guessed) < 0.2 * max(plainly)


def tiny_program(number):
    """One to six rows and atoms, uneven row weights: all cells in turn."""
    rng = np.random.default_rng(number)
    loss, penalty, intercept = CELLS[number % len(CELLS)]
    n, atoms = rng.integers(1, 7, 2)
    outputs = int(rng.integers(2 if loss == "softmax" else 1, 4))
    design = bd.BinaryMatrix.from_dense(rng.random((n, atoms)) < 0.5)
    if loss == "softmax":
        y = np.eye(outputs)[rng.integers(0, outputs, n)]
    elif bd.LOSSES[loss].labels:
        y = rng.choice([-1.0, 1.0], (n, outputs))
    else:
        y = rng.normal(size=(n, outputs))
    a = 10 ** rng.uniform(-3, 0, n)
    program = bd.ConvexProgram(design, y, loss, 0.0, a, intercept, penalty=penalty)
    return program.with_strength(10 ** rng.uniform(-2, -0.1) * program.lambda_max)


# those that ended far from certified when a guess could go any distance, or patience was shorter
HARD = [508, 565, 719, 892, 1021, 1087, 1273, 1451, 1564, 6633, 8733, 12261]


@pytest.mark.parametrize(
    "number",
    [*range(4), *HARD[:2], *slow(*HARD[2:], *range(4, 100))],
)
def test_tiny_programs_are_certified(number):
    program = tiny_program(number)
    solution = solve(program, "admm", gap=1e-6)
    if program.strength == 0:  # W = 0 is optimal at every strength, but no gap proves it at 0
        program = program.with_strength(1.0)
        solution = solve(program, "admm", gap=1e-6)
    assert solution.status is bd.Status.CERTIFIED, str(solution)


def test_two_rows_of_very_uneven_weights_are_certified():
    # guesses went 1e13 steps away, where the hinge is flat and every step is short
    design = bd.BinaryMatrix.from_dense([[1, 0], [0, 1]])
    program = bd.ConvexProgram(design, [1.0, -1.0], "hinge", 0.0, [1.0, 1e-3], True)
    monitor, word = run(program.with_strength(0.1 * program.lambda_max))
    assert monitor.done, word
    assert monitor.iterations <= 150  # what plain steps take


def test_extrapolation_solves_a_linear_map_of_its_size():
    # a spiral, as ADMM's for losses with kinks: slow by itself, exact after as many steps
    rng = np.random.default_rng(6)
    turn = -np.roll(np.eye(9), 1, axis=0)  # an isometry, its angles evenly spread
    state, centre = rng.normal(size=(9, 1)), rng.normal(size=(9, 1))
    extrapolation = Extrapolation(state)
    for step in range(1, 11):
        state = centre + 0.999 * turn @ (state - centre)
        guess = extrapolation.next(state)
        assert (guess is None) == (step < 10)
    assert np.linalg.norm(state - centre) > 1.0
    # the ridge, 1e-11, times the square of a condition of some tens
    np.testing.assert_allclose(guess, centre, atol=1e-6)


@pytest.mark.parametrize("slowdown", [0.0, 1e-8])
def test_extrapolation_leaves_out_of_reach_what_steps_hardly_tell(slowdown):
    # moves along a line that shrink by next to nothing point 1e8 of them ahead, or to nowhere
    extrapolation = Extrapolation(np.zeros((2, 1)))
    position = 0.0
    for step in range(30):
        position += (1.0 - slowdown) ** step
        guess = extrapolation.next(np.array([[position], [2.0 * position]]))
        assert guess is None or np.linalg.norm(guess) <= 1e4 * np.linalg.norm(np.ones((10, 2)) * 2)


def test_extrapolation_makes_no_new_guess_unless_asked():
    rng = np.random.default_rng(9)
    extrapolation = Extrapolation(np.zeros((4, 1)))
    states = rng.normal(size=(25, 4, 1)).cumsum(axis=0)
    assert all(extrapolation.next(state, False) is None for state in states)


def test_steps_become_plain_while_no_gap_is_better(monkeypatch):
    allowed, kept = [], Extrapolation.next

    def listen(self, state, guess):
        allowed.append(guess)
        return kept(self, state, guess)

    monkeypatch.setattr(Extrapolation, "next", listen)
    program = random_program("hinge", "l1", False)
    monitor = Monitor(program, 1e-7, np.inf)
    monkeypatch.setattr(monitor, "offer", lambda *args: None)
    BACKEND.solve(BACKEND.compile(program), monitor, {})
    # the first certificate, at 2, counts as better than none; the tenth after it is at 250,
    # and steps 25, 50, 100 and 200 balance rho instead
    assert allowed == 245 * [True] + (len(allowed) - 245) * [False]
    assert len(allowed) > 2000


def test_extrapolation_takes_a_guess_back_from_which_steps_grow():
    rng = np.random.default_rng(7)
    extrapolation = Extrapolation(np.zeros((4, 1)))
    states = list(rng.normal(size=(11, 4, 1)).cumsum(axis=0))
    guesses = [extrapolation.next(state) for state in states[:10]]
    assert all(guess is None for guess in guesses[:9])
    longest = np.linalg.norm(states[9] - states[8])
    beyond = guesses[9] + 1.01 * longest * np.eye(4)[:, :1]
    assert extrapolation.next(beyond) is states[9]
    # and goes on from there
    assert extrapolation.next(states[10]) is None


def test_extrapolation_stays_at_a_fixed_point():
    state = np.ones((3, 2))
    extrapolation = Extrapolation(state)
    for _ in range(25):
        guess = extrapolation.next(state)
        assert guess is None or (guess == state).all()
