"""Every backend on every program it accepts: certified, right, and in exact agreement."""

from functools import cache

import numpy as np
import pytest

import bidual as bd
from bidual.solvers.monitor import Monitor

from exact_values import exact_dual, exact_primal
from programs import KNOWN, RANDOM
from tolerances import GAPS, LEAST_SQUARES, gap_for

READY = [name for name, backend in bd.BACKENDS.items() if backend.available() is None]
ALL = {**{name: known.program for name, known in KNOWN.items()}, **RANDOM}
PENALISED = [name for name, program in ALL.items() if program.strength > 0]
UNPENALISED = [name for name, program in ALL.items() if program.strength == 0]


def pairs(problems):
    """Every backend with every program it accepts; skipped with the reason if it can't run."""
    found = []
    for name, backend in bd.BACKENDS.items():
        missing = backend.available()
        marks = [pytest.mark.skip(reason=missing)] if missing else []
        for problem in problems:
            if backend.accepts(ALL[problem]) is None:
                found.append(pytest.param(name, problem, marks=marks, id=f"{name}-{problem}"))
    return found


class Listening(Monitor):
    """Keeps the last dual point that a backend hands in itself, for each block of outputs."""

    def __init__(self, program, gap):
        super().__init__(program, gap, np.inf)
        self.offered = {}

    def offer(self, weights, intercept, dual_point=None, outputs=None, steepest=None):
        if dual_point is not None:
            self.offered[None if outputs is None else tuple(outputs)] = dual_point.copy()
        return super().offer(weights, intercept, dual_point, outputs, steepest)


@cache
def answer(name, problem):
    """One solution of each program by each backend serves all tests."""
    return bd.solve(ALL[problem], name, gap=gap_for(name, problem))


def test_every_backend_has_a_tolerance():
    assert list(GAPS) == list(bd.BACKENDS)


@pytest.mark.parametrize("problem", ALL)
def test_every_program_has_four_backends_of_different_making(problem):
    assert sum(backend.accepts(ALL[problem]) is None for backend in bd.BACKENDS.values()) >= 4


@pytest.mark.parametrize(("name", "problem"), pairs(PENALISED))
def test_the_asked_gap_is_certified(name, problem):
    solution = answer(name, problem)
    assert solution.status is bd.Status.CERTIFIED, str(solution)
    assert solution.certificate.relative_gap <= gap_for(name, problem)
    again = bd.certify(ALL[problem], solution)
    assert again.primal == solution.certificate.primal
    # at a kink the V found anew may be another one, the one kept is tried as well
    assert again.gap <= solution.certificate.gap + 1e-12 * ALL[problem].reference


@pytest.mark.parametrize(
    ("name", "problem"), pairs([name for name in KNOWN if ALL[name].strength > 0])
)
def test_known_answers_are_met_within_the_certified_gap(name, problem):
    known, solution = KNOWN[problem], answer(name, problem)
    # the certified gap itself says how close the value must be; rounding is the rest
    rounding = 1e-12 * max(known.program.reference, abs(known.value))
    gap = solution.certificate.gap + rounding
    assert abs(solution.certificate.primal - known.value) <= gap
    assert solution.certificate.dual <= known.value + rounding
    if known.weights is not None:
        # of every reference a step of h away from unique weights costs 0.01 min(h, h^2) or more
        room = max(100 * gap, 10 * np.sqrt(gap))
        assert np.abs(solution.weights - known.weights).max() <= room


@pytest.mark.parametrize(("name", "problem"), pairs(UNPENALISED))
def test_without_penalty_the_primal_is_met_and_the_bound_is_not_below_zero(name, problem):
    known, solution = KNOWN[problem], answer(name, problem)
    assert 0 <= solution.certificate.dual <= solution.certificate.primal
    assert solution.certificate.primal <= known.value + LEAST_SQUARES * known.program.reference
    assert solution.certificate.primal >= known.value - 1e-12 * known.program.reference


@pytest.mark.parametrize("problem", PENALISED)
def test_every_primal_is_at_least_every_dual_exactly(problem):
    program = ALL[problem]
    solutions = [
        answer(name, problem) for name in READY if bd.BACKENDS[name].accepts(program) is None
    ]
    primals = [exact_primal(program, each.weights, each.intercept) for each in solutions]
    duals = [exact_dual(program, each.dual_point) for each in solutions]
    assert min(primals) >= max(duals)
    for each, primal, dual in zip(solutions, primals, duals, strict=True):
        # and the float certificate is that of exact arithmetic, but for rounding
        rounding = 1e-12 * max(program.reference, float(primal))
        assert abs(each.certificate.primal - float(primal)) <= rounding
        assert each.certificate.gap >= float(primal - dual) - rounding


@pytest.mark.parametrize(("name", "problem"), pairs(RANDOM))
def test_a_backends_own_dual_proves_almost_all_of_the_optimum(name, problem):
    # so that its sign and scale are right; where none is handed out, it is minus the gradient
    program, backend = RANDOM[problem], bd.BACKENDS[name]
    gap = gap_for(name, problem)
    monitor = Listening(program, gap)
    backend.solve(backend.compile(program), monitor, {})
    assert bool(monitor.offered) == (name != "lasso")
    optimum = answer("clarabel", problem).certificate
    for block, dual_point in monitor.offered.items():
        part = program if block is None else program.select(block)
        v = part.into_domain(dual_point)
        steepest = np.broadcast_to(part.steepest(v), part.outputs)
        v = v * np.minimum(1.0, part.strength / np.maximum(steepest, 1e-300))
        blocks = [k for k, each in enumerate(program.blocks) if block is None or each == block]
        # a dual point is as far from the optimum as the root of its answer's gap at worst
        room = 2 * np.sqrt(gap) * program.reference
        assert part.dual(v) >= optimum.primals[blocks].sum() - room
