"""Every backend on every program it accepts: certified, in agreement, and honest about the rest."""

import sys
from importlib.metadata import PackageNotFoundError

import numpy as np
import pytest

import bidual as bd
from bidual.solvers import Backend, solve
from bidual.solvers.monitor import Monitor

from programs import KNOWN, RANDOM, random_program
from tolerances import GAPS

READY = [name for name, backend in bd.BACKENDS.items() if backend.available() is None]
ALL = {**{name: known.program for name, known in KNOWN.items()}, **RANDOM}


def test_every_backend_has_a_tolerance():
    assert list(GAPS) == list(bd.BACKENDS)


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


@pytest.mark.parametrize(("name", "problem"), pairs(KNOWN))
def test_known_optimum_is_met(name, problem):
    known = KNOWN[problem]
    solution = solve(known.program, name, gap=GAPS[name])
    assert solution.status is bd.Status.CERTIFIED, solution
    # the certified gap itself says how close the value must be; rounding is the rest
    room = solution.certificate.gap + 1e-12 * known.program.reference
    assert solution.certificate.primal == pytest.approx(known.value, abs=room)
    assert solution.certificate.dual <= known.value + 1e-12 * known.program.reference


@pytest.mark.parametrize(
    ("name", "problem"),
    pairs([name for name, known in KNOWN.items() if known.weights is not None]),
)
def test_known_weights_are_met(name, problem):
    known = KNOWN[problem]
    solution = solve(known.program, name, gap=GAPS[name])
    # a squared loss with row weights a bounds the distance of fits by sqrt(2 gap / a);
    # for the other losses here the slope of the objective is at least 0.02 a unit of weight
    gap = solution.certificate.gap + 1e-12 * known.program.reference
    weights = known.program.row_weights
    if known.program.loss.name == "squared":
        fits = known.program.design.matvec(solution.weights - known.weights) + solution.intercept
        if known.program.intercept:
            fits = fits - known.program.null_intercept
        assert (weights @ fits**2).max() <= 2 * gap
    else:
        assert np.abs(solution.weights - known.weights).max() <= max(50 * gap, np.sqrt(50 * gap))


@pytest.mark.parametrize(("name", "problem"), pairs(RANDOM))
def test_gap_is_certified(name, problem):
    program = RANDOM[problem]
    solution = solve(program, name, gap=GAPS[name])
    assert solution.status is bd.Status.CERTIFIED, solution
    assert solution.certificate.relative_gap <= GAPS[name]
    again = bd.certify(program, solution)
    assert again.primal == solution.certificate.primal
    assert again.relative_gap <= GAPS[name] * (1 + 1e-9)


@pytest.mark.parametrize("problem", ALL)
def test_every_primal_is_at_least_every_dual(problem):
    program = ALL[problem]
    names = [name for name in READY if bd.BACKENDS[name].accepts(program) is None]
    certificates = [solve(program, name, gap=GAPS[name]).certificate for name in names]
    assert len(certificates) >= 2
    lowest = min(certificate.primal for certificate in certificates)
    highest = max(certificate.dual for certificate in certificates)
    assert lowest >= highest - 1e-12 * program.reference


class Listening(Monitor):
    """Keeps the last dual point that a backend hands in itself, for each set of outputs."""

    def __init__(self, program):
        super().__init__(program, 1e-6, np.inf)
        self.offered = {}

    def offer(self, weights, intercept, dual_point=None, outputs=None):
        if dual_point is not None:
            self.offered[None if outputs is None else tuple(outputs)] = dual_point.copy()
        super().offer(weights, intercept, dual_point, outputs)


@pytest.mark.parametrize(("name", "problem"), pairs(RANDOM))
def test_own_dual_has_the_right_sign_and_scale(name, problem):
    # a backend's V, on its own, must prove almost all of the optimum; sklearn hands out none
    program, backend = RANDOM[problem], bd.BACKENDS[name]
    monitor = Listening(program)
    backend.solve(backend.compile(program), monitor, {})
    assert bool(monitor.offered) == (name != "sklearn")
    for outputs, dual_point in monitor.offered.items():
        part = program if outputs is None else program.select(outputs)
        v = part.into_domain(dual_point)
        v = v * np.minimum(1.0, part.strength / np.abs(part.design.rmatvec(v)).max(axis=0))
        optimum = solve(part, "clarabel", gap=1e-8).certificate.primal
        assert part.dual(v) >= optimum - 1e-4 * part.reference


@pytest.mark.parametrize("name", READY)
def test_time_limit_keeps_the_best_so_far(name):
    program = random_program("squared", True)
    solution = solve(program, name, gap=1e-15, time_limit=1e-9)
    assert solution.status is bd.Status.TIME_LIMIT
    assert 0 <= solution.certificate.gap <= program.reference
    assert solution.certificate.primal == pytest.approx(
        program.primal(solution.weights, solution.intercept), rel=1e-12
    )


@pytest.mark.parametrize("name", READY)
def test_history_never_rises_and_ends_at_the_certificate(name):
    program = random_program("squared", False)
    seen = []
    solution = solve(program, name, gap=GAPS[name], callback=seen.append)
    gaps = [progress.gap for progress in solution.history]
    assert seen == solution.history
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[-1] == pytest.approx(solution.certificate.gap, rel=1e-6, abs=1e-15)
    assert solution.history[-1].active == solution.active.size


def test_auto_takes_a_backend_that_reaches_the_gap():
    for loss in bd.LOSSES:
        for intercept in (False, True):
            solution = solve(random_program(loss, intercept))
            assert solution.status is bd.Status.CERTIFIED
            sure = "clarabel" if "clarabel" in READY else "admm"
            assert solution.backend == (sure if loss == "hinge" else "admm")


def test_auto_keeps_memory_small_where_there_are_many_atoms(monkeypatch):
    # the module: "bidual.solvers.solve" is the function of that name
    monkeypatch.setattr(sys.modules["bidual.solvers.solve"], "_ADMM_ATOMS", 10)
    program = random_program("squared", True)
    assert solve(program).backend == "lasso"
    # which lasso refuses
    assert solve(program.with_strength(0.0)).backend == "admm"


def test_descent_shares_its_time_between_outputs():
    # nearly separable: descent crawls on every output, and the last one gets its turn
    rng = np.random.default_rng(0)
    D = bd.BinaryMatrix.from_dense(rng.integers(0, 2, (12, 10)))
    y = np.where(rng.random((12, 3)) < 0.5, 1.0, -1.0)
    program = bd.ConvexProgram(D, y, "logistic", 0.0)
    program = program.with_strength(1e-4 * program.lambda_max)
    solution = solve(program, "lasso", gap=1e-12, time_limit=0.6)
    assert solution.weights.any(axis=0).all()


def test_an_objective_that_overflows_is_refused():
    D = bd.BinaryMatrix.from_dense([[1], [0]])
    with np.errstate(over="ignore"), pytest.raises(ValueError, match="overflows"):
        solve(bd.ConvexProgram(D, [1e200, 1.0], "squared", 1.0))


def test_auto_needs_no_external_package(monkeypatch):
    monkeypatch.setattr(type(bd.BACKENDS["clarabel"]), "available", lambda self: "not installed")
    assert solve(random_program("hinge", False), gap=1e-4).backend == "admm"


def test_refusal_names_the_part():
    with pytest.raises(bd.ProgramNotAccepted, match=r"osqp.*exponential cone.*logistic"):
        solve(random_program("logistic", False), "osqp")
    with pytest.raises(bd.ProgramNotAccepted, match=r"lasso.*hinge"):
        solve(random_program("hinge", False), "lasso")
    with pytest.raises(bd.ProgramNotAccepted, match=r"sklearn.*hinge"):
        solve(random_program("hinge", False), "sklearn")
    for name in ("sklearn", "lasso"):
        with pytest.raises(bd.ProgramNotAccepted, match=rf"{name}.*strength of 0"):
            solve(random_program("squared", False).with_strength(0.0), name)
    with pytest.raises(bd.ProgramNotAccepted, match=r"sklearn.*one class"):
        solve(KNOWN["separable logistic"].program, "sklearn")


def test_missing_package_is_told_with_the_command(monkeypatch):
    def missing(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr("bidual.solvers.backend.version", missing)
    with pytest.raises(bd.BackendUnavailable, match=r"pip install 'bidual\[ecos\]'"):
        solve(random_program("squared", False), "ecos")


@pytest.mark.parametrize("name", [name for name in READY if name not in ("lasso", "sklearn")])
def test_strength_zero_is_solved_and_bounded_below_by_zero(name):
    program = random_program("squared", True).with_strength(0.0)
    solution = solve(program, name, gap=1e-6)
    least_squares = np.linalg.lstsq(
        np.sqrt(program.row_weights)[:, None] * np.c_[program.design.to_dense(), np.ones(40)],
        np.sqrt(program.row_weights)[:, None] * program.target,
        rcond=None,
    )[0]
    best = program.primal(least_squares[:-1], least_squares[-1])
    assert solution.certificate.primal == pytest.approx(best, rel=1e-3)
    assert solution.certificate.dual >= 0


@pytest.mark.parametrize("name", [name for name in READY if name != "sklearn"])
def test_one_class_ends_although_its_infimum_is_not_attained(name):
    program = bd.ConvexProgram(
        bd.BinaryMatrix.from_dense([[1], [0]]), [1.0, 1.0], "logistic", 0.1, intercept=True
    )
    if bd.BACKENDS[name].accepts(program) is None:
        assert 0 <= solve(program, name, gap=1e-6).certificate.primal <= 1e-17


@pytest.mark.parametrize("size", [1e-6, 1e6])
@pytest.mark.parametrize("loss", bd.LOSSES)
@pytest.mark.parametrize("name", READY)
def test_units_of_the_objective_do_not_matter(name, loss, size):
    # solvers have absolute tolerances: an objective of 1e-6 must not end them early
    program = random_program(loss, True)
    other = bd.ConvexProgram(
        program.design,
        program.target,
        loss,
        size * program.strength,
        size * program.row_weights,
        intercept=True,
    )
    if bd.BACKENDS[name].accepts(program) is None:
        solution = solve(other, name, gap=GAPS[name])
        assert solution.status is bd.Status.CERTIFIED
        assert solution.certificate.relative_gap <= GAPS[name]


def test_options_reach_the_backend_untouched():
    program = random_program("squared", False)
    one_step = solve(program, "clarabel", gap=1e-9, max_iter=1)
    assert one_step.status is bd.Status.INACCURATE
    assert one_step.message == "MaxIterations"
    assert "SCS" in solve(program, "cvxpy", gap=1e-3, solver="SCS").message
    with pytest.raises(ValueError, match="options"):
        solve(program, "lasso", max_iter=1)
    with pytest.raises(ValueError, match="options"):
        solve(program, "admm", max_iter=1)


class Silent(Backend):
    """A backend that gives no answer."""

    name = "silent"

    def accepts(self, program):
        return None

    def compile(self, program):
        return program

    def solve(self, model, monitor, options):
        monitor.offer(np.full(monitor.weights.shape, np.nan), monitor.intercept)
        return "gave up"

    def recover(self, model, raw):
        raise AssertionError


def test_no_answer_is_a_failure_with_the_certificate_of_zero(monkeypatch):
    monkeypatch.setitem(bd.BACKENDS, "silent", Silent())
    solution = solve(random_program("hinge", True), "silent")
    assert solution.status is bd.Status.FAILED
    assert solution.message == "gave up"
    assert not solution.weights.any()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"backend": "gurobi"}, r"backend: .*auto.*lasso.*cvxpy.*'gurobi'"),
        ({"gap": 0.0}, "gap"),
        ({"gap": np.nan}, "gap"),
        ({"time_limit": 0.0}, "time_limit"),
        ({"time_limit": np.nan}, "time_limit"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        solve(random_program("squared", False), **arguments)
