"""What solve() and path() promise whatever the backend: limits, options, starts, refusals."""

import os
import signal
import threading
import time
from importlib.metadata import PackageNotFoundError

import numpy as np
import pytest

import bidual as bd
from bidual.solvers import Backend, path, solve

from covering import slow
from programs import KNOWN, random_program
from tolerances import GAPS

READY = [name for name, backend in bd.BACKENDS.items() if backend.available() is None]


def taken(losses, names=READY, **parts):
    """Backends and losses that go together, for random programs with an intercept."""
    return [
        (name, loss)
        for name in names
        for loss in losses
        if bd.BACKENDS[name].accepts(random_program(loss, True, **parts)) is None
    ]


@pytest.mark.parametrize("name", READY)
@pytest.mark.parametrize("share", [0.1, 2.0], ids=["below lambda_max", "above"])
def test_an_unknown_option_is_refused_by_name(name, share):
    program = random_program("squared", True)
    program = program.with_strength(share * program.lambda_max)
    with pytest.raises(ValueError, match=r"^options: .*no_option"):
        solve(program, name, no_option=3)
    found = solve(program, name)
    with pytest.raises(ValueError, match=r"^options: .*no_option"):
        solve(program, name, warm_start=found, no_option=3)


@pytest.mark.parametrize(
    ("name", "option"),
    [("scs", {"max_iters": 7}), ("osqp", {"max_iter": 7}), ("sklearn", {"tol": 1e-3})],
)
def test_options_leave_zero_weights_certified_above_lambda_max(name, option):
    program = random_program("squared", True)
    found = solve(program.with_strength(2 * program.lambda_max), name, **option)
    assert found.status is bd.Status.CERTIFIED
    assert not found.weights.any()


def test_a_callback_is_callable():
    with pytest.raises(ValueError, match=r"^callback: expected a callable or None, got 3"):
        solve(random_program("squared", True), "newton", callback=3)


@pytest.mark.parametrize("name", READY)
def test_time_limit_keeps_the_best_so_far(name):
    program = random_program("squared", True)
    solution = solve(program, name, gap=1e-15, time_limit=1e-9)
    assert solution.status is bd.Status.TIME_LIMIT
    assert 0 <= solution.certificate.absolute_gap <= program.reference
    assert solution.certificate.primal == pytest.approx(
        program.primal(solution.weights, solution.intercept), rel=1e-12
    )


@pytest.mark.parametrize("name", READY)
def test_history_never_rises_and_ends_at_the_certificate(name):
    program = random_program("squared", False)
    seen = []
    solution = solve(program, name, gap=GAPS[name], callback=seen.append)
    gaps = [progress.absolute_gap for progress in solution.history]
    assert seen == solution.history
    assert gaps == sorted(gaps, reverse=True)
    assert gaps[-1] == pytest.approx(solution.certificate.absolute_gap, rel=1e-6, abs=1e-15)
    assert solution.history[-1].active == solution.active.size


@pytest.mark.parametrize("penalty", bd.PENALTIES)
@pytest.mark.parametrize("loss", bd.LOSSES)
def test_auto_takes_a_backend_that_reaches_the_gap(loss, penalty):
    for intercept in (False, True):
        solution = solve(random_program(loss, intercept, penalty=penalty))
        assert solution.status is bd.Status.CERTIFIED
        coupled = loss == "softmax" or penalty == "group"
        assert solution.backend == ("admm" if coupled else "newton")


@pytest.mark.slow
def test_auto_passes_over_what_a_backend_refuses():
    # at strength 0 newton has no gap to stop on
    assert solve(random_program("squared", True).with_strength(0.0)).backend == "admm"


def test_an_objective_that_overflows_is_refused():
    D = bd.BinaryMatrix.from_dense([[1], [0]])
    with np.errstate(over="ignore"), pytest.raises(ValueError, match="overflows"):
        solve(bd.ConvexProgram(D, [1e200, 1.0], "squared", 1.0))


def test_refusal_names_the_part():
    with pytest.raises(bd.ProgramNotAccepted, match=r"osqp.*exponential cone.*logistic"):
        solve(random_program("logistic", False), "osqp")
    with pytest.raises(bd.ProgramNotAccepted, match=r"lasso.*hinge"):
        solve(random_program("hinge", False), "lasso")
    with pytest.raises(bd.ProgramNotAccepted, match=r"sklearn.*hinge"):
        solve(random_program("hinge", False), "sklearn")
    for name in ("sklearn", "lasso"):
        with pytest.raises(bd.ProgramNotAccepted, match=rf"{name}.*strength above 0"):
            solve(random_program("squared", False).with_strength(0.0), name)
    with pytest.raises(bd.ProgramNotAccepted, match=r"sklearn.*one class"):
        solve(KNOWN["separable logistic"].program, "sklearn")


def test_missing_package_is_told_with_the_command(monkeypatch):
    def missing(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr("bidual.solvers.backend.version", missing)
    with pytest.raises(bd.BackendUnavailable, match=r"pip install 'bidual\[ecos\]'"):
        solve(random_program("squared", False), "ecos")


@pytest.mark.parametrize(
    "name", [name for name in READY if name not in ("newton", "lasso", "sklearn")]
)
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


def one_class():
    D = bd.BinaryMatrix.from_dense([[1], [0]])
    return bd.ConvexProgram(D, [1.0, 1.0], "logistic", 0.1, intercept=True)


@pytest.mark.parametrize(
    "name", [name for name in READY if bd.BACKENDS[name].accepts(one_class()) is None]
)
def test_one_class_ends_although_its_infimum_is_not_attained(name):
    assert 0 <= solve(one_class(), name, gap=1e-6).certificate.primal <= 1e-17


@pytest.mark.parametrize("size", [1e-6, 1e6])
@pytest.mark.parametrize(("name", "loss"), taken(bd.LOSSES))
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
    solution = solve(other, name, gap=GAPS[name])
    assert solution.status is bd.Status.CERTIFIED, str(solution)
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

    def update(self, model, program):
        return program

    def solve(self, model, monitor, options):
        monitor.offer(np.full(monitor.weights.shape, np.nan), monitor.intercept)
        return "gave up"


def test_no_answer_is_a_failure_with_the_certificate_of_zero(monkeypatch):
    monkeypatch.setitem(bd.BACKENDS, "silent", Silent())
    solution = solve(random_program("hinge", True), "silent")
    assert solution.status is bd.Status.FAILED
    assert solution.message == "gave up"
    assert not solution.weights.any()


def test_a_backend_without_an_answer_has_failed_whatever_it_began_with(monkeypatch):
    monkeypatch.setitem(bd.BACKENDS, "silent", Silent())
    program = random_program("hinge", True)
    near = solve(program.with_strength(1.1 * program.strength))
    assert solve(program, "silent", warm_start=near).status is bd.Status.FAILED


def test_an_interrupt_while_the_model_is_compiled_is_one_too(monkeypatch):
    def interrupted(self, program):
        raise KeyboardInterrupt

    monkeypatch.setattr(type(bd.BACKENDS["admm"]), "compile", interrupted)
    solution = solve(random_program("squared", True), "admm")
    assert solution.status is bd.Status.INTERRUPTED
    assert not solution.weights.any()


@pytest.mark.slow
def test_at_strength_0_a_solution_says_what_can_be_proven():
    solution = solve(random_program("squared", True).with_strength(0.0), "admm")
    assert "at strength 0 only the bound 0 can be proven" in str(solution)
    assert str(solution.certificate.dual) == "0.0"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"backend": "gurobi"}, r"backend: .*auto.*lasso.*cvxpy.*'gurobi'"),
        ({"gap": 0.0}, "gap"),
        ({"gap": np.nan}, "gap"),
        ({"time_limit": 0.0}, "time_limit"),
        ({"time_limit": np.nan}, "time_limit"),
        ({"gap": None}, "^gap: expected a finite number"),
        ({"time_limit": "1"}, "^time_limit: expected seconds"),
        ({"warm_start": np.zeros(3)}, "^warm_start: expected a Solution, got ndarray"),
    ],
)
def test_bad_arguments_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        solve(random_program("squared", False), **arguments)


def short_path():
    program = random_program("squared", True, outputs=3)
    return program, program.lambda_max * np.array([1.1, 0.5, 0.2, 0.1])


@pytest.mark.parametrize(
    ("name", "loss"),
    [
        *taken(["squared"], outputs=3),
        *[
            pytest.param(*each, marks=pytest.mark.slow)
            for each in taken(["hinge", "logistic"], outputs=3)
        ],
    ],
)
def test_a_path_is_that_of_fresh_solves_and_compiles_once(name, loss, monkeypatch):
    backend = bd.BACKENDS[name]
    program = random_program(loss, True, outputs=3)
    strengths = program.lambda_max * np.array([1.1, 0.5, 0.2, 0.3])
    fresh = [solve(program.with_strength(each), name, gap=GAPS[name]) for each in strengths]
    compiled = []
    original = type(backend).compile
    monkeypatch.setattr(
        type(backend), "compile", lambda self, each: compiled.append(each) or original(self, each)
    )
    found = path(program, strengths, name, gap=GAPS[name])
    assert len(compiled) <= 1
    assert [each.program.strength for each in found] == strengths.tolist()
    for one, other in zip(found, fresh, strict=True):
        assert one.status is bd.Status.CERTIFIED, str(one)
        apart = abs(one.certificate.primal - other.certificate.primal)
        assert (
            apart
            <= max(one.certificate.absolute_gap, other.certificate.absolute_gap) * (1 + 1e-9)
            + 1e-15
        )


@pytest.mark.parametrize("name", READY)
def test_a_warm_start_at_the_optimum_ends_at_once(name):
    program = random_program("squared", True, outputs=3)
    optimum = solve(program, "clarabel", gap=1e-10)
    solution = solve(program, name, gap=1e-8, warm_start=optimum)
    assert solution.status is bd.Status.CERTIFIED
    assert solution.iterations == 0
    assert solution.backend == name
    assert np.array_equal(solution.weights, optimum.weights)


@pytest.mark.parametrize("name", ["newton", "lasso", "admm"])
def test_own_solvers_go_on_from_a_warm_start(name):
    program = random_program("logistic", True, outputs=3, rows=40, atoms=30, share=0.05)
    near = solve(program.with_strength(1.02 * program.strength), name, gap=1e-8)
    cold, warm = solve(program, name, gap=1e-6), solve(program, name, gap=1e-6, warm_start=near)
    assert warm.status is bd.Status.CERTIFIED
    assert warm.iterations < cold.iterations


def test_a_warm_start_of_another_shape_is_refused():
    other = solve(random_program("squared", False, outputs=1))
    with pytest.raises(ValueError, match=r"^warm_start: expected an answer with weights \(15, 3\)"):
        solve(random_program("squared", False, outputs=3), warm_start=other)


def test_a_warm_start_from_a_program_with_intercepts_leaves_them_out():
    start = solve(random_program("squared", True))
    program = random_program("squared", False)
    solution = solve(program, warm_start=start)
    assert solution.status is bd.Status.CERTIFIED
    assert not solution.intercept.any()


@pytest.mark.parametrize(
    ("strengths", "message"),
    [
        ([], "^strengths: expected a list of numbers"),
        (0.1, "^strengths: expected a list of numbers"),
        (["a"], "^strengths: expected a list of numbers"),
        ([0.1, -0.1], "^strength: expected a finite number >= 0"),
        ([0.1, np.nan], "^strength: expected a finite number >= 0"),
    ],
)
def test_strengths_of_a_path_are_checked_before_the_first(strengths, message, monkeypatch):
    monkeypatch.setattr(type(bd.BACKENDS["admm"]), "compile", lambda *_: pytest.fail("began"))
    with pytest.raises(ValueError, match=message):
        path(short_path()[0], strengths, "admm")


def test_a_strength_that_the_backend_refuses_ends_a_path_before_it_begins(monkeypatch):
    monkeypatch.setattr(type(bd.BACKENDS["lasso"]), "compile", lambda *_: pytest.fail("began"))
    with pytest.raises(bd.ProgramNotAccepted, match="strength above 0"):
        path(short_path()[0], [0.1, 0.0], "lasso")


def interrupting(after):
    """A callback that is interrupted at the given progress."""
    seen = []

    def callback(progress):
        seen.append(progress)
        if len(seen) == after:
            raise KeyboardInterrupt

    return callback


@pytest.mark.parametrize("name", READY)
def test_an_interrupt_returns_the_best_so_far_with_its_certificate(name):
    program = random_program("squared", True, outputs=3)
    solution = solve(program, name, gap=1e-300, callback=interrupting(1))
    assert solution.status is bd.Status.INTERRUPTED
    assert solution.status.value in str(solution)
    assert len(solution.history) == 1
    # outputs that nobody had answered stand at W = 0, with its own dual point by now
    best = solution.history[0].absolute_gap
    assert solution.certificate.absolute_gap <= best + 1e-12 * program.reference < program.reference


@pytest.fixture
def _ctrl_c_is_heard():
    """Raise KeyboardInterrupt at SIGINT, which a process started in the background ignores."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_ctrl_c_is_heard")
@pytest.mark.parametrize(
    "name",
    [
        "newton",
        "admm",
        *slow(*(each for each in READY if each not in {"newton", "admm", "cvxpy", "sklearn"})),
    ],
)
def test_ctrl_c_reaches_the_solver(name, monkeypatch):
    rng = np.random.default_rng(0)
    D = bd.BinaryMatrix.from_dense(rng.random((400, 1200)) < 0.4)
    program = bd.ConvexProgram(D, rng.normal(size=(400, 3)), "huber", 0.0)
    program = program.with_strength(1e-4 * program.lambda_max)
    solve(program, name, time_limit=0.05)  # compiled kernels do not listen while they are compiled
    timer = threading.Timer(0.4, lambda: os.kill(os.getpid(), signal.SIGINT))
    start = time.process_time()  # of this process alone, whatever else the machine does
    if name == "scs":  # drops what comes while it sets up
        import scs

        real = scs.SCS.solve

        def solve_in_time(self, **arguments):
            if timer.ident is None:
                timer.start()
            return real(self, **arguments)

        monkeypatch.setattr(scs.SCS, "solve", solve_in_time)
    else:
        timer.start()
    solution = solve(program, name, gap=1e-14, time_limit=600.0)
    assert solution.status is bd.Status.INTERRUPTED, str(solution)
    assert time.process_time() - start < 20.0
    assert np.isfinite(solution.certificate.absolute_gap)


def test_an_interrupted_path_keeps_what_was_solved():
    program, strengths = short_path()
    admm = bd.BACKENDS["admm"]
    calls = []
    original = type(admm).solve

    def solve_twice(self, model, monitor, options):
        calls.append(model)
        if len(calls) == 3:
            raise KeyboardInterrupt
        return original(self, model, monitor, options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(type(admm), "solve", solve_twice)
        found = path(program, strengths * 0.9, "admm")
    assert [each.status.name for each in found] == ["CERTIFIED", "CERTIFIED", "INTERRUPTED"]


@pytest.mark.parametrize("name", READY)
def test_times_are_told_apart_and_add_up(name):
    program = random_program("squared", True, outputs=3)
    start = time.perf_counter()
    solution = solve(program, name, gap=GAPS[name])
    whole = time.perf_counter() - start
    parts = solution.compile_seconds, solution.solve_seconds, solution.recover_seconds
    assert min(parts) > 0
    assert sum(parts) <= whole
    assert solution.iterations > 0


def test_a_solution_tells_by_how_much_a_gap_was_missed():
    program = random_program("squared", False)
    solution = solve(program, "clarabel", gap=1e-9, max_iter=2)
    missed = solution.certificate.relative_gap / 1e-9
    assert str(solution) == (
        f"clarabel: the backend ended before the asked gap was certified: "
        f"relative gap {solution.certificate.relative_gap:.2g}, {missed:.2g} times the asked 1e-09 "
        f"(MaxIterations)"
    )


@pytest.mark.parametrize("solver", [None, "SCS", "OSQP", "ECOS", "HIGHS"])
@pytest.mark.parametrize("name", ["eps_abbs", "no_such_option"])
def test_a_misspelled_option_of_a_solver_of_cvxpy_is_named(solver, name):
    pytest.importorskip("cvxpy")
    program = random_program("squared", True)
    options = {name: 1e-3} if solver is None else {name: 1e-3, "solver": solver}
    with pytest.raises(ValueError, match=rf"^options: .*{name}"):
        bd.solve(program, "cvxpy", **options)
