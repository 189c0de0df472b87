"""A lowered program is the program: same values for any weights, same optimum, same duals."""

import gc
import sys

import numpy as np
import pytest
from scipy import sparse

import bidual as bd
from bidual.formulations.lowering.qp import from_form

cp = pytest.importorskip("cvxpy", reason="cvxpy is not installed")
clarabel = pytest.importorskip("clarabel", reason="clarabel is not installed")

LOSSES = {**bd.LOSSES, "huber of delta 0.3": bd.Huber(0.3)}
SQUARES = {"squared", "huber", "huber of delta 0.3", "squared_hinge"}
EXPONENTIALS = {"logistic": 2, "softmax": 1}  # cones a fit

each_loss = pytest.mark.parametrize("loss", LOSSES)
each_penalty = pytest.mark.parametrize("penalty", bd.PENALTIES)
each_intercept = pytest.mark.parametrize("intercept", [False, True], ids=["plain", "intercept"])
each_form = pytest.mark.parametrize("quadratic", [True, False], ids=["quadratic", "conic"])
each_size = pytest.mark.parametrize(
    ("loss", "outputs"),
    [(loss, outputs) for loss in LOSSES for outputs in (1, 3) if (loss, outputs) != ("softmax", 1)],
)

ASKED = 1e-9
ROOM = 100 * ASKED  # what is compared leaves the solver a factor of 100


def small_program(loss, penalty="l1", intercept=True, outputs=3):
    """9 rows, two of them of weight 0, and 4 atoms; half of lambda_max."""
    rng = np.random.default_rng([0, outputs])
    D = bd.BinaryMatrix.from_dense(rng.random((9, 4)) < 0.5)
    y = rng.normal(size=(9, outputs))
    y[:, 0] += 1.0
    if loss == "softmax":
        y = np.eye(outputs)[[0, 1, 2, 2, 1, 0, 0, 1, 1]]
    elif LOSSES[loss].labels:
        y = np.where(y > 0, 1.0, -1.0)
        y[:2] = [[1.0], [-1.0]]
    a = rng.uniform(0.05, 0.5, 9)
    a[[3, 8]] = 0.0
    program = bd.ConvexProgram(D, y, LOSSES[loss], 0.0, a, intercept, penalty=penalty)
    return program.with_strength(0.5 * program.lambda_max)


def columns_of(form, program):
    """Each column of a form with the outputs that it is about."""
    if form.width == program.outputs:
        assert form.linear.shape[1] == 1
        return [(0, list(range(program.outputs)))]
    assert form.width == 1
    assert form.linear.shape[1] == program.outputs
    return [(c, [c]) for c in range(program.outputs)]


def build(form, k):
    """Problem of column k as the first lines of formulations/lowering/conic.py describe it."""
    x = cp.Variable(form.matrix.shape[1])
    ends = np.cumsum([form.zero, form.nonnegative, *form.second_order, *[3] * form.exponential])
    assert ends[-1] == form.matrix.shape[0]
    # rows matrix x + s = bounds, written as matrix x - bounds = 0 so that the multipliers y
    # of the first rows are those of quadratic x + linear + matrix' y = 0
    equations = form.matrix[: form.zero] @ x == form.bounds[: form.zero, k]
    slack = form.bounds[:, k] - form.matrix @ x
    constraints = [equations]
    if form.nonnegative:
        constraints.append(slack[ends[0] : ends[1]] >= 0)
    start = ends[1]
    for size in form.second_order:
        constraints.append(cp.SOC(slack[start], slack[start + 1 : start + size]))
        start += size
    if form.exponential:
        triples = [slack[start + part :: 3] for part in range(3)]
        constraints.append(cp.ExpCone(*triples))
    objective = form.linear[:, k] @ x + form.offset[k]
    if form.quadratic.diagonal().any():
        objective += 0.5 * cp.quad_form(x, cp.psd_wrap(sparse.csc_matrix(form.quadratic)))
    return x, equations, objective, constraints


def least(objective, constraints):
    problem = cp.Problem(cp.Minimize(objective), constraints)
    asked = dict.fromkeys(("tol_gap_abs", "tol_gap_rel", "tol_feas"), ASKED)
    problem.solve(solver="CLARABEL", **asked)
    assert problem.status == "optimal"
    return float(problem.value)


@each_size
@each_penalty
@each_intercept
@each_form
def test_least_value_with_weights_fixed_is_the_primal(loss, outputs, penalty, intercept, quadratic):
    program = small_program(loss, penalty, intercept, outputs)
    form = program.to_conic(quadratic)
    rng = np.random.default_rng(1)
    W = rng.normal(size=(4, outputs)) * (rng.random((4, outputs)) < 0.8)
    b = rng.normal(size=outputs) * intercept
    found = 0.0
    for k, block in columns_of(form, program):
        x, _, objective, constraints = build(form, k)
        fixed = W[:, block].T.ravel()
        if intercept:
            fixed = np.append(fixed, b[block])
        found += least(objective, [*constraints, x[: fixed.size] == fixed])
    assert found == pytest.approx(program.primal(W, b), rel=ROOM)


@each_size
@each_penalty
@each_intercept
@each_form
def test_least_value_is_that_of_the_stated_problem_and_certified(
    loss, outputs, penalty, intercept, quadratic
):
    program = small_program(loss, penalty, intercept, outputs)
    form = program.to_conic(quadratic)
    W, b = np.zeros((4, outputs)), np.zeros(outputs)
    V = np.zeros((9, outputs))
    value = 0.0
    for k, block in columns_of(form, program):
        x, equations, objective, constraints = build(form, k)
        value += least(objective, constraints)
        multipliers = np.full(form.matrix.shape[0], np.nan)
        multipliers[: form.zero] = equations.dual_value
        W[:, block], b[block] = form.weights(x.value), form.intercept(x.value)
        V[:, block] = form.dual(multipliers)
    room = ROOM * program.reference
    # V alone, hardly moved, proves the value; the weights alone attain it
    inside = program.into_domain(V)
    np.testing.assert_allclose(inside, V, rtol=0, atol=ROOM)
    shrink = min(1.0, program.strength / program.largest_prices(inside).max())
    assert shrink > 1 - ROOM / program.strength
    assert program.dual(shrink * inside) == pytest.approx(value, rel=0, abs=room)
    certificate = bd.certify(program, weights=W, intercept=b, dual_point=V)
    assert certificate.absolute_gap <= room
    assert certificate.primal == pytest.approx(value, rel=0, abs=room)
    # CVXPY's own road from the program to a number
    stated = program.to_cvxpy()
    stated.solve(solver="CLARABEL", **dict.fromkeys(("tol_gap_abs", "tol_gap_rel"), ASKED))
    weights = stated.var_dict["weights"].value
    shift = stated.var_dict["intercept"].value.ravel() if intercept else None
    other = bd.certify(
        program, weights=weights, intercept=shift, dual_point=stated.constraints[0].dual_value
    )
    # answers to one program differ by no more than the larger of their gaps
    assert abs(other.primal - certificate.primal) <= max(
        other.absolute_gap, certificate.absolute_gap
    )
    assert other.absolute_gap <= room
    assert stated.value == pytest.approx(value, rel=0, abs=room)


@each_size
@each_penalty
@each_intercept
@each_form
def test_first_rows_say_that_the_fits_are_those_of_the_weights(
    loss, outputs, penalty, intercept, quadratic
):
    program = small_program(loss, penalty, intercept, outputs)
    form = program.to_conic(quadratic)
    n, width = 7, form.width
    first = form.matrix[: n * width].toarray()
    D = program.design.to_dense()[form.rows]
    weights, behind = 4 * width, 4 * width + width * intercept
    np.testing.assert_array_equal(first[:, :weights], np.kron(np.eye(width), D))
    if intercept:
        ones = np.kron(np.eye(width), np.ones((n, 1)))
        np.testing.assert_array_equal(first[:, weights:behind], ones)
    assert not first[:, behind : behind + form.norms].any()
    fits = behind + form.norms
    np.testing.assert_array_equal(first[:, fits : fits + n * width], -np.eye(n * width))
    assert not first[:, fits + n * width :].any()
    assert not form.bounds[: n * width].any()
    # the costs of the norms are the strength, those of weights and intercepts nothing
    np.testing.assert_array_equal(form.linear[behind:fits], program.strength)
    assert not form.linear[:behind].any()


@each_size
@each_penalty
@each_intercept
@each_form
def test_rows_columns_and_cones_add_up(loss, outputs, penalty, intercept, quadratic):
    program = small_program(loss, penalty, intercept, outputs)
    form = program.to_conic(quadratic)
    assert form.rows.tolist() == [0, 1, 2, 4, 5, 6, 7]  # the others weigh nothing
    assert (form.row_count, form.atoms, form.has_intercept) == (9, 4, intercept)
    together = penalty == "group" or loss in ("softmax", "squared_hinge")
    assert form.width == (outputs if together else 1)
    columns = 1 if together else outputs
    M, N = form.matrix.shape
    assert form.zero + form.nonnegative + sum(form.second_order) + 3 * form.exponential == M
    assert form.bounds.shape == (M, columns)
    assert form.linear.shape == (N, columns)
    assert form.quadratic.shape == (N, N)
    assert form.offset.shape == (columns,)
    for part in (form.quadratic, form.matrix):
        assert part.format == "csc"
        assert part.dtype == np.float64
    off_diagonal = form.quadratic - sparse.diags_array(form.quadratic.diagonal())
    assert abs(off_diagonal).sum() == 0
    # cones: one a row of weights, one for the squares of each output, one or two a fit
    grouped = penalty == "group" and outputs > 1
    norms = [outputs + 1] * 4 if grouped else []
    assert form.norms == (4 if grouped else 4 * form.width)
    squares = [] if quadratic or loss not in SQUARES else [7 + 2] * form.width
    assert list(form.second_order) == norms + squares
    assert form.exponential == EXPONENTIALS.get(loss, 0) * 7 * form.width
    curved = np.count_nonzero(form.quadratic.diagonal())
    assert curved == (7 * form.width if quadratic and loss in SQUARES else 0)
    kinds = {"second_order": norms + squares, "exponential": form.exponential}
    assert program.cones(quadratic) == {name for name, found in kinds.items() if found}


@each_loss
@each_intercept
@each_form
def test_outputs_that_separate_differ_in_vectors_alone(loss, intercept, quadratic):
    program = small_program(loss, "l1", intercept)
    whole = program.to_conic(quadratic)
    for k, block in columns_of(whole, program):
        alone = program.select(block).to_conic(quadratic)
        assert alone.linear.shape[1] == 1
        np.testing.assert_array_equal(alone.matrix.toarray(), whole.matrix.toarray())
        np.testing.assert_array_equal(alone.quadratic.toarray(), whole.quadratic.toarray())
        np.testing.assert_array_equal(alone.linear[:, 0], whole.linear[:, k])
        np.testing.assert_array_equal(alone.bounds[:, 0], whole.bounds[:, k])
        assert alone.offset[0] == pytest.approx(whole.offset[k], rel=1e-15, abs=0)


@each_size
@each_penalty
@each_form
def test_another_strength_is_a_fresh_lowering_that_shares_the_rest(
    loss, outputs, penalty, quadratic
):
    program = small_program(loss, penalty, True, outputs)
    form = program.to_conic(quadratic)
    before = form.linear.copy()
    other = form.with_strength(0.125)
    fresh = program.with_strength(0.125).to_conic(quadratic)
    np.testing.assert_array_equal(other.linear, fresh.linear)
    np.testing.assert_array_equal(other.matrix.toarray(), fresh.matrix.toarray())
    for name in ("quadratic", "offset", "matrix", "bounds"):
        assert getattr(other, name) is getattr(form, name)
    np.testing.assert_array_equal(form.linear, before)
    assert other.linear[:, 0].flags.c_contiguous


@each_loss
@each_penalty
@each_form
def test_columns_of_the_vectors_are_contiguous(loss, penalty, quadratic):
    # OSQP takes a vector's memory and not its strides: it would solve another problem in silence
    form = small_program(loss, penalty).to_conic(quadratic)
    for array in (form.linear, form.bounds):
        for k in range(array.shape[1]):
            assert array[:, k].flags.c_contiguous
            assert array[:, k].strides == (8,)


@each_loss
@each_penalty
@each_form
def test_no_python_runs_by_entries_rows_or_atoms(loss, penalty, quadratic):
    def calls(factor):
        small = small_program(loss, penalty)
        D = bd.BinaryMatrix.from_dense(np.tile(small.design.to_dense(), (factor, factor)))
        target = np.tile(small.target, (factor, 1))
        a = np.tile(small.row_weights, factor)
        program = bd.ConvexProgram(D, target, small.loss, 0.1, a, True, penalty=penalty)
        program.to_conic(quadratic)  # what is compiled or imported at first is
        count = 0

        def count_calls(frame, event, argument):
            nonlocal count
            count += event in ("call", "c_call")

        gc.disable()  # what it calls is not the lowering's
        sys.setprofile(count_calls)
        try:
            program.to_conic(quadratic)
        finally:
            sys.setprofile(None)
            gc.enable()
        return count

    assert calls(10) == calls(2)


def test_the_quadratic_form_is_the_one_asked_for_by_default():
    program = small_program("squared")
    assert program.to_conic().quadratic.diagonal().any()
    np.testing.assert_array_equal(
        program.to_conic().matrix.toarray(), program.to_conic(True).matrix.toarray()
    )


def test_parts_of_a_solution_are_read_from_their_places():
    form = small_program("squared", outputs=1).to_conic()
    x = np.arange(float(form.matrix.shape[1]))
    assert form.weights(x).tolist() == [[0.0], [1.0], [2.0], [3.0]]
    assert form.intercept(x).tolist() == [4.0]
    V = form.dual(np.arange(1.0, 1.0 + form.matrix.shape[0]))
    # minus the multipliers of the rows that carry weight, 0 for the others
    assert V[:, 0].tolist() == [-1.0, -2.0, -3.0, 0.0, -4.0, -5.0, -6.0, -7.0, 0.0]
    without = small_program("squared", intercept=False).to_conic()
    assert without.intercept(np.ones(without.matrix.shape[1])).tolist() == [0.0]


def test_parts_of_a_solution_of_several_outputs_are_read_output_by_output():
    form = small_program("squared", "group").to_conic()
    x = np.arange(float(form.matrix.shape[1]))
    assert form.weights(x).tolist() == [[j, 4 + j, 8 + j] for j in range(4)]
    assert form.intercept(x).tolist() == [12.0, 13.0, 14.0]
    V = form.dual(np.arange(form.matrix.shape[0]))
    assert V[0].tolist() == [0.0, -7.0, -14.0]
    assert V[7].tolist() == [-6.0, -13.0, -20.0]
    assert not V[[3, 8]].any()


@each_loss
@each_penalty
@each_form
def test_an_all_zero_atom_and_strength_zero_lower_too(loss, penalty, quadratic):
    D = bd.BinaryMatrix.from_dense([[1, 0], [0, 0], [1, 0]])
    target = np.array([[1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    if loss == "softmax":
        target = np.eye(2)[[0, 1, 0]]
    program = bd.ConvexProgram(D, target, LOSSES[loss], 0.0, [0.5, 0.2, 0.3], penalty=penalty)
    W = np.array([[0.25, -1.0], [3.0, 0.5]])
    form = program.to_conic(quadratic)
    found = 0.0
    for k, block in columns_of(form, program):
        x, _, objective, constraints = build(form, k)
        fixed = x[: 2 * len(block)] == W[:, block].T.ravel()
        found += least(objective, [*constraints, fixed])
    assert found == pytest.approx(program.primal(W), rel=ROOM)


@each_size
@each_penalty
def test_a_quadratic_program_is_the_quadratic_form_or_refused_by_name(loss, outputs, penalty):
    program = small_program(loss, penalty, True, outputs)
    form = program.to_conic()
    if loss in EXPONENTIALS or (penalty == "group" and outputs > 1):
        with pytest.raises(
            ValueError, match=r"^form: expected only linear constraints, got .* cones"
        ):
            from_form(form)
        cone = "exponential" if loss in EXPONENTIALS else "second_order"
        with pytest.raises(
            ValueError, match=rf"program: .*{program.loss.name} \+ {penalty}.*{cone} cone"
        ):
            program.to_qp()
        return
    qp = program.to_qp()
    for mine, theirs in ((qp.quadratic, form.quadratic), (qp.matrix, form.matrix)):
        np.testing.assert_array_equal(mine.toarray(), theirs.toarray())
    np.testing.assert_array_equal(qp.linear, form.linear)
    np.testing.assert_array_equal(qp.offset, form.offset)
    np.testing.assert_array_equal(qp.upper, form.bounds)
    np.testing.assert_array_equal(qp.lower[: form.zero], form.bounds[: form.zero])
    assert (qp.lower[form.zero :] == -np.inf).all()
    assert form.zero + form.nonnegative == form.matrix.shape[0]
    assert qp.lower[:, 0].flags.c_contiguous
    assert qp.form.rows.tolist() == form.rows.tolist()


def solve_with_rows(form, rows, bounds):
    """Clarabel on the first column of a form with linear inequalities of one's own behind it."""
    matrix = sparse.vstack([form.matrix, rows], format="csc")
    cones = [
        clarabel.ZeroConeT(form.zero),
        clarabel.NonnegativeConeT(form.nonnegative),
        *(clarabel.SecondOrderConeT(size) for size in form.second_order),
        *(clarabel.ExponentialConeT() for _ in range(form.exponential)),
        clarabel.NonnegativeConeT(rows.shape[0]),
    ]
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    ends = np.append(form.bounds[:, 0], bounds)
    answer = clarabel.DefaultSolver(
        form.quadratic, form.linear[:, 0], matrix, ends, cones, settings
    ).solve()
    assert str(answer.status) == "Solved"
    return np.array(answer.x), answer.obj_val + form.offset[0]


@each_loss
@each_penalty
@each_form
def test_constraints_of_ones_own_fit_behind_the_rows(loss, penalty, quadratic):
    # a nonnegative readout within a budget on synapses, here and in CVXPY's words
    program = small_program(loss, penalty).with_strength(0.0)
    program = program.select(program.blocks[0])
    form = program.to_conic(quadratic)
    weights, N = 4 * form.width, form.matrix.shape[1]
    rows = sparse.vstack([-sparse.eye_array(weights, N), sparse.csc_array((1, N))], format="lil")
    rows[weights, :weights] = 1.0
    x, value = solve_with_rows(form, sparse.csc_array(rows), np.append(np.zeros(weights), 0.5))
    problem = program.to_cvxpy()
    W = problem.var_dict["weights"]
    own = cp.Problem(problem.objective, [*problem.constraints, W >= 0, cp.sum(W) <= 0.5])
    # both stop at 1e-8, their default, of the objective
    assert own.solve(solver="CLARABEL") == pytest.approx(value, rel=0, abs=1e-6)
    assert form.weights(x).min() >= -1e-6
    assert form.weights(x).sum() <= 0.5 + 1e-6
