"""Every backend on every program it accepts: certified, right, and in exact agreement.

Of each grid, a pairwise covering is tested by ``make test``; the rest is marked slow.
"""

from functools import cache
from itertools import combinations, product

import numpy as np
import pytest

import bidual as bd
from bidual.solvers.monitor import Monitor

from covering import levels, marked
from exact_values import exact_dual, exact_primal
from programs import KNOWN, RANDOM, random_programs
from tolerances import GAPS, LEAST_SQUARES, gap_for

READY = [name for name, backend in bd.BACKENDS.items() if backend.available() is None]
ALL = {**{name: known.program for name, known in KNOWN.items()}, **RANDOM}
PENALISED = [name for name, program in ALL.items() if program.strength > 0]
UNPENALISED = [name for name, program in ALL.items() if program.strength == 0]
PENALISED_KNOWN = [name for name in PENALISED if name in KNOWN]
LEVELS = {name: levels(program) for name, program in ALL.items()}
ACCEPTED = {
    name: {each for each, program in ALL.items() if backend.accepts(program) is None}
    for name, backend in bd.BACKENDS.items()
}


def kind(problem):
    """What a program is an example of, whatever its loss and penalty."""
    return "random" if problem in RANDOM else problem.split(",")[0]


def pairs(problems):
    """Every backend with every program it accepts; skipped with the reason if it can't run."""
    found = []
    for name, backend in bd.BACKENDS.items():
        missing = backend.available()
        skips = [pytest.mark.skip(reason=missing)] if missing else []
        accepted = {each: ALL[each] for each in problems if each in ACCEPTED[name]}
        for problem, marks in marked(accepted, kind).items():
            each = pytest.param(name, problem, marks=marks + skips, id=f"{name}-{problem}")
            found.append(each)
    return found


class Listening(Monitor):
    """Keeps the last dual point that a backend hands in itself, for each block of outputs."""

    def __init__(self, program, gap):
        super().__init__(program, gap, np.inf)
        self.offered = {}

    def offer(self, weights, intercept, dual_point=None, outputs=None, largest_prices=None):
        if dual_point is not None:
            self.offered[None if outputs is None else tuple(outputs)] = dual_point.copy()
        return super().offer(weights, intercept, dual_point, outputs, largest_prices)


@cache
def answer(name, problem):
    """One solution of each program by each backend serves all tests."""
    return bd.solve(ALL[problem], name, gap=gap_for(name, problem))


def test_every_backend_has_a_tolerance():
    assert list(GAPS) == list(bd.BACKENDS)


def test_every_program_has_four_backends_of_different_making():
    for problem in ALL:
        assert sum(problem in accepted for accepted in ACCEPTED.values()) >= 4, problem


def met(problems, one, other):
    """Pairs of levels of two factors that some program has."""
    return {(LEVELS[problem][one], LEVELS[problem][other]) for problem in problems}


@pytest.mark.parametrize("problems", [PENALISED, PENALISED_KNOWN, [*RANDOM]])
def test_a_covering_meets_all_that_a_backend_accepts(problems):
    every = pairs(problems)
    for name in bd.BACKENDS:
        grid = {
            each.values[1]: [m.name for m in each.marks] for each in every if each.values[0] == name
        }
        short = [problem for problem, marks in grid.items() if "slow" not in marks]
        assert {kind(problem) for problem in short} == {kind(problem) for problem in grid}
        for one, other in combinations(LEVELS[problems[0]], 2):
            assert met(short, one, other) == met(grid, one, other)
        assert len(short) < len(grid)


def test_the_grid_has_every_pair_of_levels_that_a_program_can_have():
    factors = {key: {each[key] for each in LEVELS.values()} for key in LEVELS[PENALISED[0]]}
    assert factors["loss"] == set(bd.LOSSES)
    assert factors["penalty"] == set(bd.PENALTIES)
    assert factors["intercept"] == {False, True}
    assert factors["outputs"] == {"one", "several"}
    assert factors["row weights"] == {"even", "uneven", "some 0"}
    for one, other in combinations(factors, 2):
        missing = set(product(factors[one], factors[other])) - met(PENALISED, one, other)
        assert missing <= {("softmax", "one")}  # which takes two outputs or more


@pytest.mark.parametrize(("name", "problem"), pairs(PENALISED))
def test_the_asked_gap_is_certified(name, problem):
    solution = answer(name, problem)
    assert solution.status is bd.Status.CERTIFIED, str(solution)
    assert solution.certificate.relative_gap <= gap_for(name, problem)
    again = bd.certify(ALL[problem], solution)
    assert again.primal == solution.certificate.primal
    # at a kink the V found anew may be another one, the one kept is tried as well
    assert again.absolute_gap <= solution.certificate.absolute_gap + 1e-12 * ALL[problem].reference


@pytest.mark.parametrize(("name", "problem"), pairs(PENALISED_KNOWN))
def test_known_answers_are_met_within_the_certified_gap(name, problem):
    known, solution = KNOWN[problem], answer(name, problem)
    # the certified gap itself says how close the value must be; rounding is the rest
    rounding = 1e-12 * max(known.program.reference, abs(known.value))
    gap = solution.certificate.absolute_gap + rounding
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


@pytest.mark.parametrize(
    "problem",
    [
        pytest.param(problem, marks=marks)
        for problem, marks in marked({each: ALL[each] for each in PENALISED}, kind).items()
    ],
)
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
        assert each.certificate.absolute_gap >= float(primal - dual) - rounding


@pytest.mark.slow
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
        largest_price = np.broadcast_to(part.largest_prices(v), part.outputs)
        v = v * np.minimum(1.0, part.strength / np.maximum(largest_price, 1e-300))
        blocks = [k for k, each in enumerate(program.blocks) if block is None or each == block]
        # a dual point is as far from the optimum as the root of its answer's gap at worst
        room = 2 * np.sqrt(gap) * program.reference
        assert part.dual(v) >= optimum.primals[blocks].sum() - room


@pytest.mark.night
@pytest.mark.parametrize("seed", range(1, 21))
def test_no_certificate_of_other_seeds_contradicts_another(seed):
    for problem, program in random_programs(seed).items():
        solutions = {
            name: bd.solve(program, name, gap=GAPS[name])
            for name in READY
            if bd.BACKENDS[name].accepts(program) is None
        }
        missed = {
            name for name, each in solutions.items() if each.status is not bd.Status.CERTIFIED
        }
        # these end at limits of their own, short of the gap, and say so
        assert missed <= {"sklearn", "osqp", "ecos"}, problem
        primals = [exact_primal(program, s.weights, s.intercept) for s in solutions.values()]
        duals = [exact_dual(program, s.dual_point) for s in solutions.values()]
        assert min(primals) >= max(duals), problem
