"""Adapters with the mistakes that real ones have had: each is caught by its certificate."""

from dataclasses import replace

import numpy as np
import pytest

import bidual as bd
from bidual.solvers.backends.clarabel_ import Clarabel
from bidual.solvers.backends.conic import ConicModel
from bidual.solvers.backends.ecos_ import ECOS
from bidual.solvers.monitor import Monitor

from programs import random_program

pytest.importorskip("clarabel", reason="clarabel is not installed")


class Adapter(Clarabel):
    """Clarabel with a hook at each step; as it stands it changes nothing."""

    quadratic = True

    def of_program(self, program):
        return program

    def of_form(self, form):
        return form

    def of_request(self, part, request):
        return request

    def of_x(self, form, x):
        return x

    def of_multipliers(self, form, multipliers):
        return multipliers

    def compile(self, program):
        model = super().compile(self.of_program(program))
        forms = [self.of_form(part.form) for part in model.parts]
        parts = [
            replace(part, form=form, built=self.build(form))
            for part, form in zip(model.parts, forms, strict=True)
        ]
        return ConicModel(program, tuple(parts), model.scaled)

    def run(self, part, request):
        answer = super().run(part, self.of_request(part, request))
        if answer.x is None:
            return answer
        x = self.of_x(part.form, answer.x)
        return replace(answer, x=x, multipliers=self.of_multipliers(part.form, answer.multipliers))


def with_rows(form, order=None, factors=None):
    """A form whose rows are permuted or scaled, while its cones stay as they are."""
    matrix, bounds = form.matrix.tocsr(), form.bounds
    if order is not None:
        matrix, bounds = matrix[order], bounds[order]
    if factors is not None:
        matrix, bounds = matrix.multiply(factors[:, None]), bounds * factors[:, None]
    return replace(form, matrix=matrix.tocsc(), bounds=np.asfortranarray(bounds))


def remade(program, **changed):
    """The program with other parts."""
    parts = {
        "design": program.design,
        "target": program.target,
        "loss": program.loss,
        "strength": program.strength,
        "row_weights": program.row_weights,
        "intercept": program.intercept,
        "penalty": program.penalty,
    }
    return bd.ConvexProgram(**{**parts, **changed})


class WrongSign(Adapter):
    """Takes W from the wrong side of the split."""

    def of_x(self, form, x):
        count = form.atoms * form.width
        return np.concatenate([-x[:count], x[count:]])


class WrongCost(Adapter):
    """Loses the sign of the linear costs."""

    def of_form(self, form):
        return replace(form, linear=np.asfortranarray(np.abs(form.linear)))


class BoundsForWeights(Adapter):
    """Reads the bounds on |w| where the weights are."""

    def of_x(self, form, x):
        count, start = form.atoms * form.width, (form.atoms + form.has_intercept) * form.width
        return np.concatenate([x[start : start + count], x[count:]])


class AtomsReversed(Adapter):
    """Hands back the atoms from last to first."""

    def of_x(self, form, x):
        weights = form.weights(x)[::-1].T.ravel()
        return np.concatenate([weights, x[weights.size :]])


class TransposedWeights(Adapter):
    """Stores W atom by atom where it is read output by output."""

    def of_x(self, form, x):
        weights = form.weights(x).ravel()
        return np.concatenate([weights, x[weights.size :]])


class TransposedBlock(Adapter):
    """Puts D' into the matrix, in the shape of D."""

    def of_form(self, form):
        matrix = form.matrix.tolil()
        D = matrix[: form.rows.size, : form.atoms].toarray()
        matrix[: form.rows.size, : form.atoms] = D.T.reshape(D.shape)
        return replace(form, matrix=matrix.tocsc())


class LostRootTwo(Adapter):
    """Scales the residuals in the second-order cone by sqrt 2."""

    quadratic = False

    def of_form(self, form):
        factors = np.ones(form.matrix.shape[0])
        factors[form.zero + form.nonnegative + 2 :] = np.sqrt(2)
        return with_rows(form, factors=factors)


class LostRootTwoOfECOS(LostRootTwo, ECOS):
    """The same in front of another solver, which is as content."""

    def build(self, form):
        return ECOS.build(self, form)

    def run(self, part, request):
        return ECOS.run(self, part, request)


class SwappedExponential(Adapter):
    """Hands exponential cones over as (p, r, q), the order of another solver."""

    def of_form(self, form):
        order = np.arange(form.matrix.shape[0])
        last = order.size - 3 * form.exponential
        order[last:] = order[last:].reshape(-1, 3)[:, [0, 2, 1]].ravel()
        return with_rows(form, order)


class ReversedExponential(Adapter):
    """Hands exponential cones over as (r, q, p), the order of MOSEK."""

    def of_form(self, form):
        order = np.arange(form.matrix.shape[0])
        last = order.size - 3 * form.exponential
        order[last:] = order[last:].reshape(-1, 3)[:, ::-1].ravel()
        return with_rows(form, order)


class LostIntercept(Adapter):
    """Forgets to hand back the intercept."""

    def of_x(self, form, x):
        x = x.copy()
        start = form.atoms * form.width
        x[start : start + form.width] = 0.0
        return x


class NoIntercept(Adapter):
    """Solves without the intercept."""

    def of_form(self, form):
        matrix = form.matrix.tolil()
        start = form.atoms * form.width
        matrix[:, start : start + form.width] = 0.0
        return replace(form, matrix=matrix.tocsc())


class PermutedOutputs(Adapter):
    """Answers for the next output, where outputs are columns."""

    def of_request(self, part, request):
        return replace(request, column=(request.column + 1) % len(part.blocks))


class PermutedColumns(Adapter):
    """Hands back the outputs in another order, where they are solved together."""

    def of_x(self, form, x):
        weights = np.roll(form.weights(x), 1, axis=1).T.ravel()
        return np.concatenate([weights, x[weights.size :]])


class EntriesForRows(Adapter):
    """Sums the entries of W where the norms of rows were asked for."""

    def of_program(self, program):
        return remade(program, penalty="l1")


class DoubleStrength(Adapter):
    """Counts both sides of |w| <= t."""

    def of_program(self, program):
        return program.with_strength(2 * program.strength)


class HalfStrength(Adapter):
    """Takes the squared loss for one without the factor 1/2."""

    def of_program(self, program):
        return program.with_strength(0.5 * program.strength)


class EvenRows(Adapter):
    """Ignores the weights of rows, those of 0 too."""

    def of_program(self, program):
        return remade(program, row_weights=None)


class ShiftedCosts(Adapter):
    """Is off by one where it writes the costs."""

    def of_form(self, form):
        return replace(form, linear=np.asfortranarray(np.roll(form.linear, 1, axis=0)))


SQUARED = {"loss": "squared", "intercept": True}
GROUP = {"loss": "squared", "intercept": True, "outputs": 3, "penalty": "group"}
LOGISTIC = {"loss": "logistic", "intercept": True}
SOFTMAX = {"loss": "softmax", "intercept": True, "outputs": 3}
CASES = [
    (WrongSign, SQUARED),
    (WrongSign, {"loss": "absolute"}),
    (WrongCost, SQUARED),
    (BoundsForWeights, SQUARED),
    (AtomsReversed, SQUARED),
    (AtomsReversed, {"loss": "hinge"}),
    (TransposedWeights, GROUP),
    (TransposedWeights, SOFTMAX),
    (TransposedBlock, SQUARED),
    (TransposedBlock, LOGISTIC),
    (LostRootTwo, SQUARED),
    (LostRootTwo, {"loss": "huber"}),
    (LostRootTwoOfECOS, SQUARED),
    (SwappedExponential, LOGISTIC),
    (SwappedExponential, SOFTMAX),
    (ReversedExponential, LOGISTIC),
    (ReversedExponential, SOFTMAX),
    (LostIntercept, SQUARED),
    (NoIntercept, SQUARED),
    (NoIntercept, {"loss": "squared_hinge", "intercept": True}),
    (PermutedOutputs, SQUARED),
    (PermutedColumns, GROUP),
    (PermutedColumns, SOFTMAX),
    (EntriesForRows, {**SOFTMAX, "penalty": "group"}),
    (DoubleStrength, SQUARED),
    (DoubleStrength, {"loss": "hinge", "intercept": True}),
    (HalfStrength, SQUARED),
    (HalfStrength, GROUP),
    (EvenRows, SQUARED),
    (EvenRows, LOGISTIC),
    (ShiftedCosts, SQUARED),
]


@pytest.mark.parametrize(("broken", "parts"), CASES)
def test_certificate_catches_a_broken_adapter(monkeypatch, broken, parts):
    adapter = broken()
    if isinstance(adapter, ECOS) and ECOS().available() is not None:
        pytest.skip(ECOS().available())
    program = random_program(**parts)
    sound = Adapter()
    sound.quadratic = adapter.quadratic
    monkeypatch.setitem(bd.BACKENDS, "sound", sound)
    monkeypatch.setitem(bd.BACKENDS, "broken", adapter)
    assert bd.solve(program, "sound", gap=1e-6).status is bd.Status.CERTIFIED
    caught = bd.solve(program, "broken", gap=1e-6)
    assert caught.status in (bd.Status.INACCURATE, bd.Status.FAILED), caught
    assert caught.certificate.relative_gap > 1e-3
    if broken not in (SwappedExponential, ReversedExponential, WrongCost, ShiftedCosts):
        # the solver itself is content; a cone in disorder or other costs may have no solution
        assert caught.message in ("Solved", "Optimal solution found (exit 0)"), caught


class WrongDual(Adapter):
    """Loses the sign of the multipliers."""

    def of_multipliers(self, form, multipliers):
        return -multipliers


class ScaledDual(Adapter):
    """Forgets the unit of the multipliers."""

    def of_multipliers(self, form, multipliers):
        return 0.5 * multipliers


@pytest.mark.parametrize("broken", [WrongDual, ScaledDual])
@pytest.mark.parametrize("loss", ["hinge", "absolute"])
@pytest.mark.parametrize("penalty", bd.PENALTIES)
def test_wrong_multipliers_prove_nothing_at_kinks(monkeypatch, broken, loss, penalty):
    # at kinks the fit says nothing of the dual: what the backend hands in is all there is
    monkeypatch.setitem(bd.BACKENDS, "broken", broken())
    program = random_program(loss, penalty=penalty)
    assert bd.solve(program, "clarabel", gap=1e-6).status is bd.Status.CERTIFIED
    caught = bd.solve(program, "broken", gap=1e-6)
    assert caught.status is bd.Status.INACCURATE
    assert caught.message == "Solved"
    assert caught.certificate.relative_gap > 1e-3


class Ear(Monitor):
    """Keeps what a backend hands in as V, and the bound that this alone proves."""

    def __init__(self, program):
        super().__init__(program, 1e-6, np.inf)
        self.handed = np.zeros_like(program.target)

    def offer(self, weights, intercept, dual_point=None, outputs=None, largest_prices=None):
        self.handed[:, list(outputs)] = dual_point
        return super().offer(weights, intercept, dual_point, outputs, largest_prices)

    def bound(self):
        V = self.program.into_domain(self.handed)
        largest_price = np.maximum(self.program.largest_prices(V), self.program.strength)
        return self.program.dual(V * self.program.strength / largest_price)


@pytest.mark.parametrize("broken", [WrongDual, ScaledDual])
@pytest.mark.parametrize("loss", ["squared", "huber", "squared_hinge", "logistic"])
def test_wrong_multipliers_do_no_harm_where_the_fit_has_a_dual_of_its_own(
    monkeypatch, broken, loss
):
    monkeypatch.setitem(bd.BACKENDS, "broken", broken())
    program = random_program(loss, True)
    solution = bd.solve(program, "broken", gap=1e-6)
    assert solution.status is bd.Status.CERTIFIED
    # and yet the backend's own is worth little, where that of a sound one proves all
    bounds = {}
    for backend in (Adapter(), broken()):
        ear = Ear(program)
        backend.solve(backend.compile(program), ear, {})
        bounds[type(backend)] = ear.bound()
    optimum = solution.certificate.primal
    assert bounds[Adapter] > optimum - 1e-4 * program.reference
    assert bounds[broken] < optimum - 1e-2 * program.reference


class Coarse(Adapter):
    """Believes a ten-thousandth of the accuracy it is asked for, and counts its runs."""

    def __init__(self):
        self.asked = []

    def of_request(self, part, request):
        self.asked.append(request.tolerance)
        return replace(request, tolerance=1e4 * request.tolerance)


def test_backends_are_run_tighter_until_the_gap_is_certified(monkeypatch):
    coarse = Coarse()
    monkeypatch.setitem(bd.BACKENDS, "coarse", coarse)
    program = random_program("squared", False, outputs=1)
    solution = bd.solve(program, "coarse", gap=1e-6)
    assert solution.status is bd.Status.CERTIFIED
    assert len(coarse.asked) >= 2
    assert coarse.asked == sorted(coarse.asked, reverse=True)


def test_runs_of_a_hopeless_backend_are_bounded(monkeypatch):
    counted = Coarse()
    counted.of_x = WrongSign().of_x
    monkeypatch.setitem(bd.BACKENDS, "hopeless", counted)
    program = random_program("squared", False, outputs=1)
    assert bd.solve(program, "hopeless", gap=1e-6).status is bd.Status.INACCURATE
    assert len(counted.asked) == len(counted.tightenings)
