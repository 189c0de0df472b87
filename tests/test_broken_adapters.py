"""Adapters with the mistakes that real ones have had: each is caught by its certificate."""

from dataclasses import replace

import numpy as np
import pytest

import bidual as bd
from bidual.solvers.clarabel_ import Clarabel
from bidual.solvers.conic import ConicAnswer
from bidual.solvers.ecos_ import ECOS

from programs import random_program


class WrongSign(Clarabel):
    """Takes W from the wrong side of the split."""

    def recover(self, model, raw):
        weights, intercept, dual_point = super().recover(model, raw)
        return -weights, intercept, dual_point


class WrongCost(Clarabel):
    """Loses the sign of the linear cost on the fits."""

    def compile(self, program):
        model = super().compile(program)
        linear = np.asfortranarray(np.abs(model.form.linear))
        return replace(model, form=replace(model.form, linear=linear))


class LostRootTwo(ECOS):
    """Scales the residuals in the second-order cone by sqrt 2."""

    def compile(self, program):
        model = super().compile(program)
        form = model.form
        scale = np.ones(form.matrix.shape[0])
        first = form.zero + form.nonnegative
        scale[first + 2 :] = np.sqrt(2)
        form = replace(
            form,
            matrix=(form.matrix.T * scale).T.tocsc(),
            bounds=np.asfortranarray(form.bounds * scale[:, None]),
        )
        return replace(model, form=form, built=self.build(form))


class SwappedBlocks(Clarabel):
    """Reads the bounds on |w| where the weights are."""

    def recover(self, model, raw):
        atoms = model.form.weight_count
        x = raw.x.copy()
        start = atoms + int(model.form.has_intercept)
        x[:atoms] = raw.x[start : start + atoms]
        return super().recover(model, ConicAnswer(x, raw.multipliers, raw.message))


class Transposed(Clarabel):
    """Reverses the order of the atoms."""

    def recover(self, model, raw):
        weights, intercept, dual_point = super().recover(model, raw)
        return weights[::-1], intercept, dual_point


@pytest.mark.parametrize("broken", [WrongSign, WrongCost, LostRootTwo, SwappedBlocks, Transposed])
def test_certificate_catches_a_broken_adapter(monkeypatch, broken):
    adapter = broken()
    if adapter.available() is not None:
        pytest.skip(adapter.available())
    program = random_program("squared", True)
    whole = type(adapter).__mro__[1]()
    monkeypatch.setitem(bd.BACKENDS, "whole", whole)
    monkeypatch.setitem(bd.BACKENDS, "broken", adapter)
    sound = bd.solve(program, "whole", gap=1e-6)
    caught = bd.solve(program, "broken", gap=1e-6)
    assert sound.status is bd.Status.CERTIFIED
    # the solver itself is content
    assert caught.message in ("Solved", "Optimal solution found (exit 0)")
    assert caught.status is bd.Status.INACCURATE
    assert caught.certificate.relative_gap > 1e-3


class WrongDual(Clarabel):
    """Loses the sign of the multipliers."""

    def recover(self, model, raw):
        return super().recover(model, ConicAnswer(raw.x, -raw.multipliers, raw.message))


def test_wrong_multipliers_prove_nothing(monkeypatch):
    # at kinks of the hinge loss the residual has no dual point to offer instead
    monkeypatch.setitem(bd.BACKENDS, "broken", WrongDual())
    program = random_program("hinge", False)
    assert bd.solve(program, "clarabel", gap=1e-6).status is bd.Status.CERTIFIED
    assert bd.solve(program, "broken", gap=1e-6).status is bd.Status.INACCURATE


class Coarse(Clarabel):
    """Believes a tenth of the accuracy it is asked for, and counts its runs."""

    def __init__(self):
        self.asked = []

    def run(self, model, request):
        self.asked.append(request.tolerance)
        return super().run(model, replace(request, tolerance=1e4 * request.tolerance))


def test_backends_are_run_tighter_until_the_gap_is_certified(monkeypatch):
    coarse = Coarse()
    monkeypatch.setitem(bd.BACKENDS, "coarse", coarse)
    program = random_program("squared", False, outputs=1)
    solution = bd.solve(program, "coarse", gap=1e-6)
    assert solution.status is bd.Status.CERTIFIED
    assert len(coarse.asked) >= 2
    assert coarse.asked == sorted(coarse.asked, reverse=True)
