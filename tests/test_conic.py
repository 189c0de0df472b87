"""A lowered program is the program: same values for any weights, same optimum, same duals."""

import numpy as np
import pytest
from scipy import sparse

import bidual as bd

cp = pytest.importorskip("cvxpy")

each_loss = pytest.mark.parametrize("loss", bd.LOSSES)
each_intercept = pytest.mark.parametrize("intercept", [False, True], ids=["plain", "intercept"])
each_form = pytest.mark.parametrize("quadratic", [True, False], ids=["quadratic", "conic"])
each_count = pytest.mark.parametrize("outputs", [1, 2, 3])

# what the solver is asked for; comparisons leave it a factor of 100
TIGHT = {"solver": "CLARABEL", "tol_gap_abs": 1e-9, "tol_gap_rel": 1e-9, "tol_feas": 1e-9}


def small_program(loss, intercept, outputs, seed=0):
    """9 rows, two of them of weight 0, and 4 atoms; half of lambda_max."""
    rng = np.random.default_rng([seed, outputs])
    D = bd.BinaryMatrix.from_dense(rng.random((9, 4)) < 0.5)
    y = rng.normal(size=(9, outputs))
    y[:, 0] += 1.0
    if bd.LOSSES[loss].labels:
        y = np.where(y > 0, 1.0, -1.0)
        y[:2] = [[1.0], [-1.0]]
    a = rng.uniform(0.05, 0.5, 9)
    a[[3, 8]] = 0.0
    program = bd.ConvexProgram(D, y, loss, 0.0, a, intercept)
    return program.with_strength(0.5 * program.lambda_max)


def build(form, c):
    """Problem of output c as the first lines of formulations/conic.py describe it."""
    x = cp.Variable(form.matrix.shape[1])
    ends = np.cumsum([form.zero, form.nonnegative, *form.second_order, *[3] * form.exponential])
    assert ends[-1] == form.matrix.shape[0]
    # rows matrix x + s = bounds, written as matrix x - bounds = 0 so that the multipliers y
    # of the first rows are those of quadratic x + linear + matrix' y = 0
    equations = form.matrix[: form.zero] @ x == form.bounds[: form.zero, c]
    slack = form.bounds[:, c] - form.matrix @ x
    constraints = [equations, slack[ends[0] : ends[1]] >= 0]
    start = ends[1]
    for size in form.second_order:
        constraints.append(cp.SOC(slack[start], slack[start + 1 : start + size]))
        start += size
    for _ in range(form.exponential):
        constraints.append(cp.ExpCone(slack[start], slack[start + 1], slack[start + 2]))
        start += 3
    objective = form.linear[:, c] @ x + form.offset[c]
    if form.quadratic.nnz and form.quadratic.diagonal().any():
        objective += 0.5 * cp.quad_form(x, cp.psd_wrap(sparse.csc_matrix(form.quadratic)))
    return x, equations, objective, constraints


def least(objective, constraints):
    problem = cp.Problem(cp.Minimize(objective), constraints)
    problem.solve(**TIGHT)
    assert problem.status == "optimal"
    return float(problem.value)


@each_loss
@each_intercept
@each_form
@each_count
def test_least_value_with_weights_fixed_is_the_primal(loss, intercept, quadratic, outputs):
    program = small_program(loss, intercept, outputs)
    form = program.to_conic(quadratic)
    rng = np.random.default_rng(1)
    W = rng.normal(size=(4, outputs)) * (rng.random((4, outputs)) < 0.8)
    b = rng.normal(size=outputs) * intercept
    for c in range(outputs):
        x, _, objective, constraints = build(form, c)
        fixed = [form.weights(x) == W[:, c]]
        if intercept:
            fixed.append(x[form.weight_count] == b[c])
        found = least(objective, [*constraints, *fixed])
        assert found == pytest.approx(program.select([c]).primal(W[:, c], b[c]), rel=1e-7)


@each_loss
@each_intercept
@each_form
@each_count
def test_least_value_over_all_is_the_certified_optimum(loss, intercept, quadratic, outputs):
    program = small_program(loss, intercept, outputs)
    form = program.to_conic(quadratic)
    for c in range(outputs):
        part = program.select([c])
        x, equations, objective, constraints = build(form, c)
        value = least(objective, constraints)
        multipliers = np.full(form.matrix.shape[0], np.nan)
        multipliers[: form.zero] = equations.dual_value
        # the answer and its dual prove each other, in the program as it was
        weights, shift = form.weights(x.value), form.intercept(x.value)
        V = form.dual(multipliers)
        assert V.shape == (9,)
        inside = part.into_domain(V[:, None])
        np.testing.assert_allclose(inside[:, 0], V, rtol=0, atol=1e-7)
        shrink = min(1.0, part.strength / np.abs(part.design.rmatvec(inside)).max())
        assert shrink > 1 - 1e-7
        room = 1e-7 * part.reference
        assert part.dual(shrink * inside) == pytest.approx(value, rel=0, abs=room)
        assert part.primal(weights, shift) == pytest.approx(value, rel=0, abs=room)
        certified = bd.solve(part, gap=1e-8)
        assert certified.status is bd.Status.CERTIFIED
        assert certified.certificate.primal == pytest.approx(value, rel=0, abs=room)


@each_loss
@each_intercept
@each_form
def test_first_rows_say_that_the_fits_are_those_of_the_weights(loss, intercept, quadratic):
    program = small_program(loss, intercept, 2)
    form = program.to_conic(quadratic)
    rows, atoms = form.rows.size, 4
    first = form.matrix[:rows].toarray()
    start = atoms + intercept
    np.testing.assert_array_equal(first[:, :atoms], program.design.to_dense()[form.rows])
    if intercept:
        np.testing.assert_array_equal(first[:, atoms], np.ones(rows))
    np.testing.assert_array_equal(first[:, start : start + atoms], np.zeros((rows, atoms)))
    fits = first[:, start + atoms : start + atoms + rows]
    np.testing.assert_array_equal(fits, -np.eye(rows))
    assert not first[:, start + atoms + rows :].any()
    assert not form.bounds[:rows].any()


@each_loss
@each_intercept
@each_form
def test_rows_and_columns_add_up(loss, intercept, quadratic):
    program = small_program(loss, intercept, 3)
    form = program.to_conic(quadratic)
    assert form.rows.tolist() == [0, 1, 2, 4, 5, 6, 7]
    assert form.row_count == 9
    assert (form.weight_count, form.has_intercept) == (4, intercept)
    M, N = form.matrix.shape
    rows = form.zero + form.nonnegative + sum(form.second_order) + 3 * form.exponential
    assert rows == M
    assert form.bounds.shape == (M, 3)
    assert form.linear.shape == (N, 3)
    assert form.quadratic.shape == (N, N)
    assert form.offset.shape == (3,)
    a = program.row_weights[form.rows, None]
    epigraph = program.loss.epigraph(program.target[form.rows], a, quadratic)
    assert 4 + intercept + 4 + 7 + epigraph.auxiliary.shape[0] == N  # w, b, t, z, the loss's own
    added = sum(block.bounds.shape[0] for block in epigraph.blocks)
    assert 7 + 2 * 4 + added == M  # fits, both sides of |w|, and the loss
    for part in (form.quadratic, form.matrix):
        assert part.format == "csc"
        assert part.dtype == np.float64
    off_diagonal = form.quadratic - sparse.diags_array(form.quadratic.diagonal())
    assert abs(off_diagonal).sum() == 0


@pytest.mark.parametrize(
    ("loss", "quadratic", "second_order", "exponential"),
    [
        ("squared", True, (), 0),
        ("squared", False, (9,), 0),  # tau + 1/2, tau - 1/2 and 7 residuals
        ("hinge", True, (), 0),
        ("hinge", False, (), 0),
        ("logistic", True, (), 14),  # two a row
        ("logistic", False, (), 14),
    ],
)
def test_blocks_are_where_the_loss_needs_them(loss, quadratic, second_order, exponential):
    form = small_program(loss, True, 1).to_conic(quadratic)
    assert form.second_order == second_order
    assert form.exponential == exponential
    curved = form.quadratic.diagonal()
    if loss == "squared" and quadratic:
        np.testing.assert_array_equal(
            curved[9:16], small_program(loss, True, 1).row_weights[form.rows]
        )
        assert np.count_nonzero(curved) == 7
    else:
        assert not curved.any()


@each_loss
@each_intercept
@each_form
def test_outputs_differ_in_vectors_alone(loss, intercept, quadratic):
    program = small_program(loss, intercept, 3)
    whole = program.to_conic(quadratic)
    for c in range(3):
        alone = program.select([c]).to_conic(quadratic)
        np.testing.assert_array_equal(alone.matrix.toarray(), whole.matrix.toarray())
        np.testing.assert_array_equal(alone.quadratic.toarray(), whole.quadratic.toarray())
        np.testing.assert_array_equal(alone.linear[:, 0], whole.linear[:, c])
        np.testing.assert_array_equal(alone.bounds[:, 0], whole.bounds[:, c])
        assert alone.offset[0] == pytest.approx(whole.offset[c], rel=1e-15, abs=0)


@each_loss
@each_form
def test_columns_of_the_vectors_are_contiguous(loss, quadratic):
    # OSQP takes a vector's memory and not its strides: it would solve another problem in silence
    form = small_program(loss, True, 3).to_conic(quadratic)
    for array in (form.linear, form.bounds):
        for c in range(3):
            assert array[:, c].flags.c_contiguous
            assert array[:, c].strides == (8,)


@each_loss
def test_the_quadratic_form_is_the_one_asked_for_by_default(loss):
    program = small_program(loss, False, 1)
    default, asked = program.to_conic(), program.to_conic(True)
    np.testing.assert_array_equal(default.matrix.toarray(), asked.matrix.toarray())
    np.testing.assert_array_equal(default.quadratic.toarray(), asked.quadratic.toarray())


def test_parts_of_a_solution_are_read_from_their_places():
    form = small_program("squared", True, 1).to_conic()
    x = np.arange(float(form.matrix.shape[1]))
    assert form.weights(x).tolist() == [0.0, 1.0, 2.0, 3.0]
    assert form.intercept(x) == 4.0
    V = form.dual(np.arange(1.0, 1.0 + form.matrix.shape[0]))
    # minus the multipliers of the rows that carry weight, 0 for the others
    assert V.tolist() == [-1.0, -2.0, -3.0, 0.0, -4.0, -5.0, -6.0, -7.0, 0.0]
    without = small_program("squared", False, 1).to_conic()
    assert without.intercept(np.ones(without.matrix.shape[1])) == 0.0


@each_loss
@each_form
def test_an_all_zero_atom_and_strength_zero_lower_too(loss, quadratic):
    D = bd.BinaryMatrix.from_dense([[1, 0], [0, 0], [1, 0]])
    program = bd.ConvexProgram(D, [1.0, -1.0, -1.0], loss, 0.0, [0.5, 0.2, 0.3])
    x, _, objective, constraints = build(program.to_conic(quadratic), 0)
    fixed = [program.to_conic(quadratic).weights(x) == np.array([0.25, 3.0])]
    assert least(objective, [*constraints, *fixed]) == pytest.approx(
        program.primal([0.25, 3.0]), rel=1e-7
    )
