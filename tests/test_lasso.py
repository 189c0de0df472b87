"""lasso: its sweep against plain NumPy, its screening and working sets against other solvers."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import bidual as bd
from bidual.formulations.losses import Huber
from bidual.kernels import descent
from bidual.solvers import monitor, solve
from bidual.solvers.anderson import Anderson
from bidual.solvers.backends import lasso_
from bidual.solvers.monitor import Monitor

from programs import random_program

LOSSES = ("squared", "huber", "squared_hinge", "logistic")
ROUNDING = 1e-12  # of the reference, by which float64 may put a certified primal below a bound

grid = pytest.mark.parametrize(
    ("loss", "penalty", "intercept"),
    [
        (loss, penalty, intercept)
        for loss in LOSSES
        for penalty in ("l1", "group")
        for intercept in (False, True)
    ],
)


@st.composite
def programs(draw):
    """Small programs of every kind that lasso takes, with whatever columns and rows there are."""
    rows, atoms = draw(st.integers(1, 12)), draw(st.integers(1, 10))
    outputs = draw(st.integers(1, 3))
    D = draw(hnp.arrays(np.uint8, (rows, atoms), elements=st.integers(0, 1)))
    loss = draw(st.sampled_from(LOSSES))
    entries = (-1.0, 1.0) if bd.LOSSES[loss].labels else (-3.0, -0.5, 0.0, 1.0, 2.5)
    y = draw(hnp.arrays(np.float64, (rows, outputs), elements=st.sampled_from(entries)))
    a = draw(hnp.arrays(np.float64, rows, elements=st.sampled_from((0.0, 0.1, 1.0))))
    a[draw(st.integers(0, rows - 1))] = 1.0
    program = bd.ConvexProgram(
        bd.BinaryMatrix.from_dense(D),
        y,
        loss,
        draw(st.sampled_from((0.02, 0.2, 1.0))),
        a,
        draw(st.booleans()),
        penalty=draw(st.sampled_from(("l1", "group"))),
    )
    return program


def agree(one, other):
    """Whether no primal of two answers to a program lies below the other's bound."""
    room = ROUNDING * one.program.reference
    first, second = one.certificate, other.certificate
    return first.primal >= second.dual - room and second.primal >= first.dual - room


def swept(program, weights, intercept, kernel=descent.sweep):
    """W, b and fit after one sweep over the columns that move, and what it says it lowered."""
    columns, curvatures = moving(program)
    csc = program.design.take(columns).to_csc()
    W, b = weights[columns].copy(), intercept.copy()
    fit = np.array(program.affine(weights, intercept).T, order="C")
    lowered = kernel(
        program.loss.code,
        program.loss.delta,
        csc.indptr.astype(np.int64),
        csc.indices.astype(np.uint32),
        curvatures,
        np.array(program.target.T, order="C"),
        program.row_weights,
        program.strength,
        program.intercept,
        W,
        b,
        fit,
    )
    found = weights.copy()
    found[columns] = W
    return found, b, fit.T, lowered


def moving(program):
    """Columns that are not zero, nor constant beside an intercept; their curvatures, and b's."""
    a = program.row_weights
    D = program.design.to_dense()[a > 0]
    columns = np.flatnonzero(D.any(axis=0) & ~(D.all(axis=0) & program.intercept))
    held = np.append(a[a > 0] @ D[:, columns], a.sum())
    return columns, program.loss.curvature * held


def plain_sweep(program, weights, intercept):
    """The same sweep, matrix by matrix: each step solves its quadratic upper model."""
    D, a, L = program.design.to_dense(), program.row_weights, program.loss.curvature
    W, b, K = weights.copy(), intercept.copy(), program.loss.curvature * program.row_weights.sum()

    def slopes():
        return -a[:, None] * program.loss.gradient(D @ W + b, program.target)

    for j in moving(program)[0]:
        kappa = L * (a @ D[:, j])
        price, total = D[:, j] @ slopes(), slopes().sum(axis=0)
        if program.intercept:
            # the best b for a move of W_j is b + (total - kappa move) / K
            price, centred = price - kappa / K * total, kappa * (1 - kappa / K)
        else:
            centred = kappa
        point = W[j] + price / centred
        length = np.linalg.norm(point)
        new = point * max(1 - program.strength / (centred * length), 0) if length > 0 else point
        move = new - W[j]
        # a step of 0 leaves the intercept too: where rounding tells whether it is 0, as for a
        # column that is another once more, there are two sweeps
        if W[j].any():
            assume(np.abs(move).max() > 1e-12 * np.abs(W[j]).max())
        else:
            assume(abs(centred * length - program.strength) > 1e-12 * program.strength)
        if move.any():
            W[j] = new
            if program.intercept:
                b = b + (total - kappa * move) / K
    if program.intercept:
        b = b + slopes().sum(axis=0) / K
    return W, b


def start(program, seed):
    """A point of some zero rows and an intercept where there is one."""
    rng = np.random.default_rng(seed)
    W = rng.normal(size=(program.design.shape[1], program.outputs))
    W[rng.random(len(W)) < 0.5] = 0.0
    return W, rng.normal(size=program.outputs) * program.intercept


def coupled(program):
    """The program with the row norm, which is what one sweep over several outputs minimises."""
    return program if program.outputs == 1 or not program.penalty.separable else program.select([0])


@settings(deadline=None)  # the first example compiles
@given(programs(), st.integers(0, 9), st.booleans())
def test_a_sweep_equals_its_plain_twin(program, seed, python):
    program = coupled(program)
    W, b = start(program, seed)
    kernel = descent.sweep.py_func if python else descent.sweep
    found, intercept, fit, _ = swept(program, W, b, kernel)
    weights, plain = plain_sweep(program, W, b)
    # up to 10 steps, each off by the rounding of a sum of 12 slopes over a curvature >= 0.01
    np.testing.assert_allclose(found, weights, rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(intercept, plain, rtol=1e-9, atol=1e-10)
    np.testing.assert_allclose(fit, program.affine(found, intercept), rtol=1e-9, atol=1e-10)


@settings(deadline=None)
@given(programs(), st.integers(0, 9))
def test_a_sweep_lowers_the_objective_by_at_least_what_it_says(program, seed):
    program = coupled(program)
    W, b = start(program, seed)
    before = program.primal(W, b)
    found, intercept, _, lowered = swept(program, W, b)
    assert lowered >= 0
    assert program.primal(found, intercept) <= before - lowered + 1e-12 * before


@grid
def test_a_sweep_leaves_the_optimum_where_it_is(loss, penalty, intercept):
    program = coupled(random_program(loss, intercept, 3, penalty=penalty))
    answer = solve(program, "lasso", gap=1e-12)
    _, _, _, lowered = swept(program, answer.weights, answer.intercept)
    # what is above the optimum is all that there is to lower
    assert lowered <= answer.certificate.absolute_gap + ROUNDING * program.reference


def test_one_step_on_one_column_is_exact_for_the_squared_loss():
    # the upper model is then the objective itself
    for penalty in ("l1", "group"):
        for intercept in (False, True):
            program = random_program("squared", intercept, 3, penalty=penalty, atoms=1)
            for block in program.blocks:
                part = program.select(block)
                W, b, _, _ = swept(part, np.zeros((1, len(block))), part.null_intercept)
                assert bd.certify(part, weights=W, intercept=b).relative_gap < 1e-12


@settings(deadline=None)
@given(programs())
def test_answers_agree_with_an_interior_point_solver(program):
    ours = solve(program, "lasso", gap=1e-9)
    if program.reference < 1e-15:
        # targets that an intercept fits: rounding is all that is left, and it ends there
        assert 0 <= ours.certificate.primal < 1e-15
        return
    assert ours.status is bd.Status.CERTIFIED, ours
    assert agree(ours, solve(program, "clarabel", gap=1e-6))


def screened(program, gap):
    """Columns that the rule drops at an answer with about that gap, of a program of one block."""
    rough = solve(program, "lasso", gap=gap)
    certificate = bd.certify(program, rough)
    lengths = np.linalg.norm(program.design.rmatvec(certificate.dual_point), axis=1)
    dense, a = program.design.to_dense(), program.row_weights
    centred = dense - a @ dense / a.sum() if program.intercept else dense
    curvatures = program.loss.curvature * (a @ centred**2)
    return ~lasso_._may_matter(program, certificate, lengths, curvatures)


def test_the_radius_of_screening_can_be_no_smaller():
    # V* = y / 4 has price 1; the gap of V = t V* at W = 0 is (1 - t)^2 / 2, the radius 1 - t
    program = bd.ConvexProgram(bd.BinaryMatrix.from_dense(np.ones((4, 1))), np.ones(4), "squared")
    for t in (0.0, 0.5, 0.99):
        for strength, may in ((1 - 1e-9, True), (1 + 1e-9, False)):
            # from 1 on W = 0 is the optimum, and below it is not
            at = program.with_strength(strength)
            certificate = bd.certify(at, weights=[0.0])
            shrunk = replace(certificate, absolute_gap=0.5 * (1 - t) ** 2)
            # what rounding is allowed for moves the radius by 1e-13 of its square's inverse
            found = lasso_._may_matter(at, shrunk, np.array([t]), np.ones(1))
            assert found.tolist() == [may]


@settings(deadline=None)
@given(programs(), st.sampled_from((0.3, 1e-1, 1e-2, 1e-3)))
def test_screened_columns_are_not_needed(program, gap):
    program = coupled(program)
    assume(program.reference > 1e-15)  # else W = 0 fits but for rounding
    dropped = screened(program, gap)
    if dropped.all():
        kept = bd.certify(
            program,
            weights=np.zeros((dropped.size, program.outputs)),
            intercept=program.null_intercept,
        )
        assert kept.absolute_gap <= 1e-9 * program.reference
        return
    whole = solve(program, "clarabel", gap=1e-8)
    V = whole.dual_point
    slack = program.strength - np.linalg.norm(program.design.rmatvec(V), axis=1)
    # a column's share of the gap is at least its weight times its slack
    carried = np.linalg.norm(whole.weights, axis=1)[dropped]
    room = whole.certificate.absolute_gap + ROUNDING * program.reference
    assert (carried * slack[dropped] <= room).all()
    # and without them nothing is lost
    rest = bd.ConvexProgram(
        program.design.take(~dropped),
        program.target,
        program.loss,
        program.strength,
        program.row_weights,
        program.intercept,
        penalty=program.penalty,
    )
    without = solve(rest, "clarabel", gap=1e-8)
    assert without.certificate.dual <= whole.certificate.primal + ROUNDING * program.reference


@grid
def test_at_the_optimum_only_columns_at_their_constraint_are_left(loss, penalty, intercept):
    program = random_program(loss, intercept, 3, penalty=penalty)
    program = program.select(program.blocks[0])
    answer = solve(program, "lasso", gap=1e-13)
    lengths = np.linalg.norm(program.design.rmatvec(answer.dual_point), axis=1)
    # radii sqrt(2 (1e-13 + 1e-13) reference curvature) are below 1e-6 of sqrt(reference curvature)
    reach = 1e-6 * np.sqrt(program.reference * program.loss.curvature * program.row_weights.sum())
    close = lengths >= program.strength - reach
    assert 0 < close.sum() < close.size
    np.testing.assert_array_equal(~screened(program, 1e-13), close)


@grid
def test_screening_changes_nothing_but_the_work(monkeypatch, loss, penalty, intercept):
    program = random_program(loss, intercept, 3, penalty=penalty, atoms=60)
    with_it = solve(program, "lasso", gap=1e-9)
    monkeypatch.setattr(lasso_, "_may_matter", lambda program, *rest: np.ones(60, dtype=bool))
    without = solve(program, "lasso", gap=1e-9)
    assert with_it.status is without.status is bd.Status.CERTIFIED
    assert agree(with_it, without)


def test_working_sets_double_what_is_in_use_and_are_solved_to_a_share(monkeypatch):
    program = random_program("squared", True, 2, penalty="group", rows=80, atoms=400, share=0.05)
    sets, gaps, left = [], [], []
    descend, certify = lasso_._descend, Monitor.offer

    def spy(alone, curvatures, weights, intercept, goal, late):
        sets.append((alone.design, np.count_nonzero(weights.any(axis=1))))
        W, b, stalled = descend(alone, curvatures, weights, intercept, goal, late)
        left.append(bd.certify(alone, weights=W, intercept=b).absolute_gap)
        return W, b, stalled

    def heard(monitor, *arguments, **named):
        certificate = certify(monitor, *arguments, **named)
        gaps.append(certificate.absolute_gap)
        return certificate

    monkeypatch.setattr(lasso_, "_descend", spy)
    monkeypatch.setattr(Monitor, "offer", heard)
    answer = solve(program, "lasso", gap=1e-9)
    assert answer.status is bd.Status.CERTIFIED
    assert answer.iterations == len(sets) > 3
    sizes = [design.shape[1] for design, _ in sets]
    assert sizes[0] == lasso_._FIRST
    assert max(sizes) < 400
    # the last of them may be all that screening leaves
    assert all(size >= 2 * in_use for size, (_, in_use) in zip(sizes[:-1], sets, strict=False))
    asked = 1e-9 * program.reference
    for gap, rest in zip(gaps, left, strict=False):
        assert rest <= max(gap / 3, asked)


def test_the_first_working_set_is_what_is_closest_to_its_constraint(monkeypatch):
    rng = np.random.default_rng(1)
    D = rng.random((80, 400)) < rng.uniform(0.02, 0.9, 400)  # columns of many lengths
    y = np.where(rng.random((80, 3)) < 0.4, 1.0, -1.0)
    program = bd.ConvexProgram(
        bd.BinaryMatrix.from_dense(D), y, "logistic", intercept=True, penalty="group"
    )
    program = program.with_strength(0.3 * program.lambda_max)
    designs = []
    descend = lasso_._descend
    monkeypatch.setattr(lasso_, "_descend", lambda *a: designs.append(a[0].design) or descend(*a))
    solve(program, "lasso", gap=1e-6)
    V = bd.certify(program, weights=np.zeros((400, 3)), intercept=program.null_intercept).dual_point
    slacks, spreads = program.strength - np.linalg.norm(D.T @ V, axis=1), D.std(axis=0)
    closest, *others = (
        np.sort(np.argsort(slacks / spreads**power)[: lasso_._FIRST]) for power in (1, 0, 2)
    )
    assert not any(np.array_equal(closest, other) for other in others)
    np.testing.assert_array_equal(designs[0].to_dense(), D[:, closest])


def test_extrapolation_saves_sweeps(monkeypatch):
    program = random_program("squared", True, 1, rows=80, atoms=60, share=0.01)
    sweep, counts = descent.sweep, []

    def counted(*arguments):
        counts[-1] += 1
        return sweep(*arguments)

    monkeypatch.setattr(lasso_.descent, "sweep", counted)
    for mix in (Anderson.mix, lambda self, image: False):
        monkeypatch.setattr(Anderson, "mix", mix)
        counts.append(0)
        assert solve(program, "lasso", gap=1e-9).status is bd.Status.CERTIFIED
    assert counts[0] < 0.5 * counts[1]


@grid
def test_a_warm_start_at_the_optimum_ends_in_two_rounds(loss, penalty, intercept):
    program = random_program(loss, intercept, 3, penalty=penalty, atoms=60)
    optimum = solve(program, "lasso", gap=1e-9)
    assert solve(program, "lasso", gap=1e-9, warm_start=optimum).iterations == 0
    blocks = len(program.blocks)
    assert solve(program, "lasso", gap=1e-10, warm_start=optimum).iterations <= 2 * blocks
    foreign = solve(program, "clarabel", gap=1e-7)
    tighter = solve(program, "lasso", gap=1e-9, warm_start=foreign)
    assert tighter.status is bd.Status.CERTIFIED


def test_a_start_close_by_costs_fewer_rounds():
    program = random_program("logistic", True, 1, atoms=200, rows=80, share=0.1)
    near = solve(program.with_strength(1.02 * program.strength), "lasso", gap=1e-8)
    warm = solve(program, "lasso", gap=1e-8, warm_start=near)
    cold = solve(program, "lasso", gap=1e-8)
    assert 0 < warm.iterations < cold.iterations
    assert agree(warm, cold)


def test_an_update_redoes_nothing_of_the_matrix_and_answers_alike():
    lasso = bd.BACKENDS["lasso"]
    program = random_program("huber", True, 3, penalty="group")
    model = lasso.compile(program)
    lower = program.with_strength(0.5 * program.strength)
    updated = lasso.update(model, lower)
    assert updated.program is lower
    assert updated.curvatures is model.curvatures
    for loss in LOSSES:
        program = random_program(loss)
        held = program.row_weights @ np.c_[program.design.to_dense(), np.ones(40)]
        found = lasso.compile(program).curvatures
        np.testing.assert_allclose(found, program.loss.curvature * held, rtol=1e-12)


def test_the_wrong_intercept_is_mended_where_no_column_can_do_anything():
    D = bd.BinaryMatrix.from_dense(np.c_[np.zeros(4), np.ones(4)])
    program = bd.ConvexProgram(D, [1.0, 2.0, 3.0, 6.0], "squared", 0.1, intercept=True)
    monitor = Monitor(program, 1e-9, np.inf)
    monitor.weights[:], monitor.intercept[:] = 1.0, 7.0
    monitor.absolute_gaps[:] = np.inf
    lasso = bd.BACKENDS["lasso"]
    assert lasso.solve(lasso.compile(program), monitor, {}) == "gap reached"
    assert not monitor.weights.any()
    np.testing.assert_array_equal(monitor.intercept, [3.0])


@pytest.mark.parametrize("seed", range(5))
def test_a_column_of_ones_beside_an_intercept_is_left_alone_at_any_strength(seed):
    # its price is all rounding, which is above so small a strength
    y = np.random.default_rng(seed).normal(size=50)
    D = bd.BinaryMatrix.from_dense(np.c_[np.ones(50), np.zeros(50)])
    answer = solve(bd.ConvexProgram(D, y, "squared", 1e-30, intercept=True), "lasso")
    assert not answer.weights.any()
    assert answer.intercept == pytest.approx(y.mean())


@pytest.mark.parametrize("delta", [0.1, 1.0, 10.0])
def test_huber_takes_its_delta_along(delta):
    program = random_program("squared", True, 1)
    huber = bd.ConvexProgram(
        program.design, program.target, Huber(delta), 0.0, program.row_weights, True
    )
    huber = huber.with_strength(0.1 * huber.lambda_max)
    ours = solve(huber, "lasso", gap=1e-9)
    assert ours.status is bd.Status.CERTIFIED
    assert agree(ours, solve(huber, "clarabel", gap=1e-7))


@grid
def test_a_gap_below_rounding_ends_and_is_told(loss, penalty, intercept):
    program = random_program(loss, intercept, 3, penalty=penalty)
    answer = solve(program, "lasso", gap=1e-30)
    assert "no further progress in float64" in answer.message
    assert answer.status is bd.Status.INACCURATE
    # what is left is the rounding of sums of a hundred terms
    assert answer.certificate.relative_gap < 1e-13


@pytest.mark.parametrize("offset", [1e3, 1e6, 1e9])
def test_targets_far_from_zero_end_too(offset):
    program = random_program("squared", True, 1)
    far = bd.ConvexProgram(
        program.design,
        program.target + offset,
        "squared",
        program.strength,
        program.row_weights,
        True,
    )
    answer = solve(far, "lasso", gap=1e-30)
    # fits are rounded to 1e-16 of the offset, and gaps are about linear in them
    assert answer.certificate.relative_gap < 1e-14 * offset + 1e-13


def test_time_is_shared_between_outputs(monkeypatch):
    # nearly separable: descent crawls on every output, and the last one gets its turn
    looks = itertools.count()
    monkeypatch.setattr(monitor, "now", lambda: 1e-3 * next(looks))
    rng = np.random.default_rng(0)
    D = bd.BinaryMatrix.from_dense(rng.integers(0, 2, (12, 10)))
    y = np.where(rng.random((12, 3)) < 0.5, 1.0, -1.0)
    program = bd.ConvexProgram(D, y, "logistic", 0.0)
    program = program.with_strength(1e-6 * program.lambda_max)
    answer = solve(program, "lasso", gap=1e-12, time_limit=0.6)
    assert next(looks) < 1000  # each output's descent ends at its share, and little comes after
    assert answer.status is bd.Status.TIME_LIMIT
    assert answer.weights.any(axis=0).all()


def test_an_output_whose_share_was_too_short_goes_on_with_what_others_left(monkeypatch):
    turns, late = [], [True, True]

    def block(model, k, monitor, turn):
        turns.append((k, round(turn.remaining)))
        return "time limit" if k == 0 and late and late.pop() else "gap reached"

    monkeypatch.setattr(lasso_, "_solve_block", block)
    answer = solve(random_program("squared", outputs=3), "lasso", time_limit=600.0)
    # seconds in whole numbers: each turn takes none
    assert turns == [(0, 200), (1, 300), (2, 600), (0, 600), (0, 600)]
    assert answer.message == "gap reached"


def test_what_it_does_not_take_is_told():
    lasso = bd.BACKENDS["lasso"]
    for loss, word in (("hinge", "kink"), ("absolute", "kink"), ("softmax", "couples")):
        assert word in lasso.accepts(random_program(loss, outputs=3))
    for loss in LOSSES:
        program = random_program(loss)
        assert lasso.accepts(program) is None
        assert "strength above 0" in lasso.accepts(program.with_strength(0.0))
    with pytest.raises(ValueError, match="options: lasso takes none"):
        solve(random_program("squared"), "lasso", max_iter=3)
