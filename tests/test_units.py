"""Units of a program: W = 0 before any backend, columns far from 0, numbers of any size."""

import warnings

import numpy as np
import pytest

import bidual as bd
from bidual.solvers.units import Units

from programs import random_program

each_loss = pytest.mark.parametrize("loss", bd.LOSSES)
each_penalty = pytest.mark.parametrize("penalty", bd.PENALTIES)
each_intercept = pytest.mark.parametrize("intercept", [False, True], ids=["plain", "intercept"])


class Never(bd.Backend):
    """A backend that must not be asked."""

    name = "never"

    def accepts(self, program):
        return None

    def compile(self, program):
        raise AssertionError("asked to compile")

    def solve(self, model, monitor, options):
        raise AssertionError("asked to solve")


@each_loss
@each_penalty
@each_intercept
@pytest.mark.parametrize("real", [False, True], ids=["binary", "real"])
def test_zero_is_certified_before_any_backend_is_asked(loss, penalty, intercept, real):
    for seed in range(3):
        program = random_program(loss, intercept, 2, seed, penalty=penalty)
        if real:
            sizes = 10.0 ** np.random.default_rng(seed).integers(-5, 6, 15)
            program = program.over(bd.DenseMatrix(program.design.to_dense() * sizes))
        strengths = program.lambda_max * np.array([1e6, 1.5, 1.0 + 1e-9])
        solutions = bd.path(program, strengths, Never())
        assert solutions[0].message == "W = 0 meets the asked gap"
        for found in solutions:
            assert found.status is bd.Status.CERTIFIED
            assert not found.weights.any()
            np.testing.assert_array_equal(found.intercept, program.null_intercept)
            assert found.certificate.primal == pytest.approx(program.reference, rel=1e-14)
        with pytest.raises(AssertionError, match="asked to"):
            bd.solve(program.with_strength(0.5 * program.lambda_max), Never())


def test_a_path_prices_zero_once(monkeypatch):
    program = random_program("absolute", True, 1)
    strengths, passes = program.lambda_max * np.array([8.0, 4.0, 2.0]), []
    plain = bd.BinaryMatrix.price
    program = random_program("absolute", True, 1)  # without the lambda_max that it keeps

    def counted(self, duals, columns, width=1):
        passes.append(duals.shape)
        return plain(self, duals, columns, width)

    monkeypatch.setattr(bd.BinaryMatrix, "price", counted)
    solutions = bd.path(program, strengths, Never())
    # one for zero, then one per offer and one per certificate
    assert len(passes) <= 1 + 2 * len(solutions)


@pytest.mark.parametrize("order", [[0.1, 0.0], [0.0, 0.1], [0.3, 0.0, 0.1, 0.0]])
def test_auto_chooses_a_backend_for_each_strength(order):
    D = bd.BinaryMatrix.from_dense([[1, 0], [1, 1], [0, 1]])
    program = bd.ConvexProgram(D, [1.0, 2.0, -1.0])
    found = bd.path(program, order, time_limit=0.3)  # admm has no gap to stop at at strength 0
    assert [each.program.strength for each in found] == order
    assert [each.backend for each in found] == ["newton" if s else "admm" for s in order]
    for each in found:
        if each.program.strength == 0:
            assert each.certificate.primal == pytest.approx(2 / 9, rel=1e-6)
            continue
        alone = bd.solve(each.program, gap=1e-8).certificate
        assert each.certificate.primal == pytest.approx(alone.primal, abs=2e-6 * program.reference)


@pytest.mark.parametrize("off", [1e3, -1e5, 1e7])
@pytest.mark.parametrize("penalty", bd.PENALTIES)
@each_loss
def test_columns_far_from_zero_cost_nothing_beside_an_intercept(loss, penalty, off):
    rng = np.random.default_rng(0)
    near = np.round(rng.normal(size=(40, 5)), 3)
    far = near + np.array([off, 0.0, 0.0, -3 * off, 0.0])
    near = far - np.array([off, 0.0, 0.0, -3 * off, 0.0])  # the same numbers, rounded alike
    z = near[:, :2] * 3 + 0.1 * rng.normal(size=(40, 2))
    y = np.eye(2)[z.argmax(axis=1)] if loss == "softmax" else z
    y = np.where(z > 0, 1.0, -1.0) if bd.LOSSES[loss].labels else y
    parts = y, loss, 0.02, None, True
    best = bd.solve(bd.ConvexProgram(bd.DenseMatrix(near), *parts, penalty=penalty), gap=1e-8)
    program = bd.ConvexProgram(bd.DenseMatrix(far), *parts, penalty=penalty)
    found = bd.solve(program)
    assert found.certificate.relative_gap <= 1e-6, found
    # fits of entries near 1e7 round by more than this gap, and the status says so
    rounded = found.certificate.absolute_gap + found.certificate.rounding > 1e-6 * program.reference
    assert (found.status is bd.Status.CERTIFIED) != rounded, found
    assert rounded == ("rounding up to" in str(found))
    assert not rounded or abs(off) == 1e7
    assert found.program is program
    assert found.certificate.primal == pytest.approx(best.certificate.primal, rel=1e-5)
    # the certificate is about the given columns
    again = bd.certify(program, found)
    assert again.absolute_gap == pytest.approx(
        found.certificate.absolute_gap, rel=0.1, abs=found.certificate.rounding
    )
    assert again.primal == program.primal(found.weights, found.intercept)
    start = bd.solve(program, warm_start=found)
    assert start.message == "the warm start meets the asked gap"


def test_constant_and_near_columns_are_left_where_they_are():
    rng = np.random.default_rng(1)
    near = bd.ConvexProgram(bd.DenseMatrix(rng.normal(size=(9, 3)) + 5), np.ones(9), intercept=True)
    assert Units.of(near).program is near
    far = near.over(bd.DenseMatrix(rng.normal(size=(9, 3)) + np.array([0, 1e4, 0])))
    assert Units.of(far).centre.tolist()[::2] == [0.0, 0.0]
    plain = bd.ConvexProgram(far.design, np.ones(9))
    assert Units.of(plain).centre is None  # without an intercept nothing can make up for it


@pytest.mark.parametrize("size", [1e-250, 1e-120, 1e120, 1e250, 1e299, 1e305])
@pytest.mark.parametrize("mass", [1e-280, 1e-150, 1.0, 1e150])
@each_penalty
@each_loss
def test_numbers_of_any_size_end_in_an_answer_or_name_an_argument(loss, penalty, size, mass):
    rng = np.random.default_rng(1)
    D = bd.BinaryMatrix.from_dense(rng.random((8, 6)) < 0.5)
    z = rng.normal(size=(8, 2))
    y = np.eye(2)[z.argmax(axis=1)] if loss == "softmax" else z * size
    y = np.where(z > 0, 1.0, -1.0) if bd.LOSSES[loss].labels else y
    a = np.full(8, mass / 8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        program = bd.ConvexProgram(D, y, loss, 0.0, a, penalty=penalty)
        if not np.isfinite(program.reference):
            with pytest.raises(ValueError, match=r"^program: .*overflows; scale the target"):
                bd.solve(program)
            return
        program = program.with_strength(0.1 * program.lambda_max)
        found = bd.solve(program, time_limit=5.0 if program.reference > 1e-290 else 0.1)
    assert 0 <= found.certificate.dual <= found.certificate.primal <= program.reference
    if program.reference > 1e-290 and (loss != "huber" or size < 1):
        assert found.status is bd.Status.CERTIFIED, found
