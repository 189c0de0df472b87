"""Targets of any size: solvers have absolute tolerances, and programs have units."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import bidual as bd
from bidual.solvers.backends.conic import scaled

from covering import examples
from programs import random_program
from tolerances import GAPS

CONIC = [
    pytest.param(
        name,
        marks=[pytest.mark.skip(reason=missing)] if (missing := backend.available()) else [],
    )
    for name, backend in bd.BACKENDS.items()
    if name in ("osqp", "clarabel", "scs", "highs", "ecos", "mosek", "cvxpy")
]
NUMBERS = ["squared", "absolute", "huber"]

each_backend = pytest.mark.parametrize("name", CONIC)
each_number = pytest.mark.parametrize("loss", NUMBERS)


def resized(loss, size, intercept=True, penalty="l1", delta=None, share=0.2):
    """The random program with targets in other units, and Huber's delta with them unless given."""
    plain = random_program(loss, intercept, penalty=penalty)
    if loss == "huber":
        loss = bd.Huber(size if delta is None else delta)
    parts = plain.design, size * plain.target, loss, 0.0, plain.row_weights, intercept
    program = bd.ConvexProgram(*parts, penalty=penalty)
    if not np.isfinite(program.reference):  # lambda_max says so too
        with pytest.raises(ValueError, match=r"^program: .*overflows"):
            program.lambda_max  # noqa: B018
        return program
    return program.with_strength(share * program.lambda_max)


@each_backend
@each_number
@pytest.mark.parametrize("size", [1e-6, 1e3, 1e6])
def test_units_of_the_targets_do_not_matter(name, loss, size):
    program, plain = resized(loss, size), resized(loss, 1.0)
    solution = bd.solve(program, name, gap=GAPS[name])
    assert solution.status is bd.Status.CERTIFIED, solution
    # the optimum is that of size 1 in units of the objective: proven bounds may not cross
    unit = program.reference / plain.reference
    optimum = bd.solve(plain, "admm", gap=1e-6).certificate
    rounding = 1e-12 * program.reference
    assert solution.certificate.primal >= unit * optimum.dual - rounding
    assert solution.certificate.dual <= unit * optimum.primal + rounding


@each_backend
@pytest.mark.parametrize("size", [1e-160, 1e-20, 1e-6, 1e-3, 1e3])
def test_targets_may_be_far_from_the_delta_of_huber(name, size):
    # 1e3: nearly the absolute loss; far below 1 the squared loss exactly
    program = resized("huber", size, delta=1.0)
    solution = bd.solve(program, name, gap=GAPS[name])
    assert solution.certificate.relative_gap <= GAPS[name], solution
    if size == 1e-160:  # the objective has about 10 bits
        assert solution.status is bd.Status.INACCURATE
        assert "rounding up to" in str(solution)
    else:
        assert solution.status is bd.Status.CERTIFIED, solution


@each_backend
@each_number
@pytest.mark.parametrize("intercept", [False, True], ids=["plain", "intercept"])
def test_targets_may_lie_far_from_zero(name, loss, intercept):
    plain = random_program(loss, intercept)
    target = 1000.0 + np.sign(plain.target)
    program = bd.ConvexProgram(plain.design, target, loss, 0.0, plain.row_weights, intercept)
    program = program.with_strength(0.2 * program.lambda_max)
    solution = bd.solve(program, name, gap=GAPS[name])
    assert solution.status is bd.Status.CERTIFIED, solution


@each_backend
@each_number
@pytest.mark.parametrize("size", [1e-6, 1e6])
def test_a_path_keeps_its_units(name, loss, size):
    program = resized(loss, size)
    strengths = program.lambda_max * np.array([0.5, 0.1])
    for solution in bd.path(program, strengths, name, gap=GAPS[name]):
        assert solution.status is bd.Status.CERTIFIED, solution


@each_backend
@each_number
@pytest.mark.parametrize("size", [1e-300, 1e-160, 1e100, 1e150, 1e200])
@pytest.mark.parametrize("delta", ["of the size", "1"])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_extremes_end_in_a_status_or_name_what_is_too_large(name, loss, size, delta):
    program = resized(loss, size, delta=1.0 if delta == "1" else None)
    if not np.isfinite(program.reference):
        with pytest.raises(ValueError, match=r"^program: .*overflows"):
            bd.solve(program, name)
        return
    # but for numbers whose squares have lost their digits, size alone is no excuse
    certified = program.reference > 1e-300 and (loss != "huber" or delta == "of the size")
    limit = 600.0 if certified else 2.0  # a busy machine is none either
    solution = bd.solve(program, name, gap=GAPS[name], time_limit=limit)
    assert 0 <= solution.certificate.dual <= solution.certificate.primal <= program.reference
    if certified:
        assert solution.status is bd.Status.CERTIFIED, solution


@given(
    loss=st.sampled_from(sorted(bd.LOSSES)),
    penalty=st.sampled_from(sorted(bd.PENALTIES)),
    intercept=st.booleans(),
    size=st.sampled_from([1e-9, 1e-3, 1.0, 1e4, 1e9]),
    seed=st.integers(0, 2**32 - 1),
)
@examples(60)
def test_a_scaled_program_is_the_program_in_other_units(loss, penalty, intercept, size, seed):
    program = random_program(loss, intercept, 2, seed, penalty=penalty)
    if loss in NUMBERS:
        made = bd.Huber(0.3 * size) if loss == "huber" else loss
        parts = program.design, size * (program.target + 3.0), made
        program = bd.ConvexProgram(
            *parts, 0.0, program.row_weights, intercept, penalty=penalty
        ).with_strength(seed % 7 * size)
    units = scaled(program)
    # its objective and its residuals are of size 1, but where there is one class alone
    expected = 2.0 if program.reference > 0 else 0.0
    assert units.program.reference == pytest.approx(expected, rel=1e-9)
    if loss in NUMBERS:
        apart = units.program.target
        mean = np.average((apart**2).mean(axis=1), weights=program.row_weights)
        assert mean == pytest.approx(1.0, rel=1e-9)
    rng = np.random.default_rng(seed)
    W, b = rng.normal(size=(15, 2)), rng.normal(size=2) * intercept
    V = units.program.dual_at(units.program.affine(W, b))
    back = units.back(W, b, V, [0, 1])
    unit = units.price * units.size
    assert program.primal(*back[:2]) == pytest.approx(unit * units.program.primal(W, b), rel=1e-9)
    # V is minus the gradient there as here, and as large against the strength
    there = program.dual_at(program.affine(*back[:2]))
    held = program.row_weights > 0
    room = 1e-7 * np.abs(V).max() * units.price
    np.testing.assert_allclose(back[2][held], there[held], rtol=0, atol=room)
    assert units.strength(program) == pytest.approx(units.program.strength, rel=1e-12)
    other = program.with_strength(3.0)
    assert units.strength(other) == pytest.approx(scaled(other).program.strength, rel=1e-12)


def test_rows_without_weight_have_no_say_in_the_units():
    program = random_program("squared", True)
    held = program.row_weights > 0
    target = np.where(held[:, None], program.target, 1e30)
    parts = {"strength": program.strength, "row_weights": program.row_weights, "intercept": True}
    far = scaled(bd.ConvexProgram(program.design, target, "squared", **parts))
    near = scaled(program)
    assert (far.size, far.price) == pytest.approx((near.size, near.price), rel=1e-12)
    np.testing.assert_allclose(far.program.target[held], near.program.target[held], rtol=1e-12)


@each_number
def test_constant_targets_have_a_size_too(loss):
    D = bd.BinaryMatrix.from_dense([[1], [0], [1]])
    program = bd.ConvexProgram(D, [5.0, 5.0, 5.0], loss, 0.1, intercept=True)
    units = scaled(program)
    assert (units.size, units.price) == (1.0, 1.0)
    assert units.centre.tolist() == [5.0]
    solution = bd.solve(program, "admm")
    assert solution.certificate.absolute_gap == 0.0
