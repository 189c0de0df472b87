"""Time limits, without waiting: seconds pass when a test says so."""

import warnings
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import bidual as bd
from bidual.solvers import monitor
from bidual.solvers.backends import ecos_, sklearn_
from bidual.solvers.backends.conic import TIGHTENINGS, Request

from covering import examples
from programs import random_program

NEVER = 1e-300  # a gap that no backend reaches


def ready(names):
    """Backends by name; skipped with the reason where one can't run."""
    missing = {name: bd.BACKENDS[name].available() for name in names}
    return [
        pytest.param(name, marks=[pytest.mark.skip(reason=why)] if why else [], id=name)
        for name, why in missing.items()
    ]


class Clock:
    """The clock of the monitor and of the backends that look at one: a look takes ``tick``."""

    def __init__(self, patch, tick=0.0):
        self.now, self.tick = 0.0, tick
        patch.setattr(monitor, "now", self)
        patch.setattr(ecos_, "perf_counter", self)
        patch.setattr(sklearn_, "perf_counter", self)

    def __call__(self):
        self.now += self.tick
        return self.now


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


@pytest.mark.parametrize("name", ready(bd.BACKENDS))
def test_every_backend_ends_with_the_step_in_which_its_time_is_up(monkeypatch, name):
    program = random_program("squared", True, outputs=3)
    clock, made, real = Clock(monkeypatch, tick=1e-6), [], monitor.Monitor.offer
    most = len(program.blocks)  # a step: an answer with and without its dust, or one a block

    def offer(self, *answer, **outputs):
        certificate = real(self, *answer, **outputs)
        made.append(clock.now)
        clock.now += 10.0
        if len(made) > most:
            raise KeyboardInterrupt
        return certificate

    monkeypatch.setattr(monitor.Monitor, "offer", offer)
    # with time enough it goes on, so that one that does not look at the clock is found
    assert bd.solve(program, name, gap=NEVER, time_limit=1e6).status is bd.Status.INTERRUPTED
    made.clear()
    solution = bd.solve(program, name, gap=NEVER, time_limit=9.0)
    assert 1 <= len(made) <= most
    assert solution.status is bd.Status.TIME_LIMIT
    assert solution.certificate.primal == pytest.approx(
        program.primal(solution.weights, solution.intercept), rel=1e-12
    )
    assert 0 < solution.certificate.absolute_gap <= program.reference


# what the adapters' solvers say when their time is up
UP = {"clarabel": "MaxTime", "highs": "kTimeLimit", "osqp": "TIME_LIMIT", "scs": "time"}


@pytest.mark.parametrize("name", ready(UP))
def test_solvers_with_a_clock_are_told_the_limit(name):
    backend = bd.BACKENDS[name]
    (part,) = backend.compile(random_program("hinge", True, outputs=1, rows=200, atoms=100)).parts
    # no processor gets anywhere in a picosecond, and all are done within an hour
    assert UP[name] in backend.run(part, Request(0, 1e-6, 1e-12, {})).message
    assert UP[name] not in backend.run(part, Request(0, 1e-6, 3600.0, {})).message


class Endless:
    """ecos.solve at a price of its own, with a solution out of its reach."""

    def __init__(self, clock, setup, each, start):
        self.clock, self.setup, self.each, self.start = clock, setup, each, start
        self.asked = []

    def __call__(self, c, G, h, dims, A, b, *, max_iters, **settings):
        self.asked.append(max_iters)
        solving = (self.start + max_iters) * self.each
        self.clock.now += self.setup + solving
        info = {"exitFlag": -1, "infostring": "out of iterations", "iter": max_iters}
        info["timing"] = {"tsetup": self.setup, "tsolve": solving}
        return {"x": np.zeros(c.size), "y": np.zeros(b.size), "z": np.zeros(h.size), "info": info}


seconds = st.floats(1e-3, 1e3)


@pytest.mark.parametrize("loss", ["squared", "hinge", "logistic"])
@examples(50)
@given(setup=seconds, each=seconds, limit=seconds)
def test_ecos_gets_the_iterations_that_fit(loss, setup, each, limit):
    ecos = pytest.importorskip("ecos", reason="ecos is not installed")
    # with exponential cones it computes no starting point
    start = 0 if loss == "logistic" else 1
    with pytest.MonkeyPatch.context() as patch:
        clock = Clock(patch)
        endless = Endless(clock, setup, each, start)
        patch.setattr(ecos, "solve", endless)
        solution = bd.solve(random_program(loss, True), "ecos", gap=NEVER, time_limit=limit)
    assert endless.asked[0] == 1
    assert all(1 <= asked <= 100 for asked in endless.asked)
    one = setup + (start + 1) * each
    assert clock.now <= limit + one * (1 + 1e-9)
    # and none of it is left, unless ECOS ended by itself first
    if solution.status is bd.Status.TIME_LIMIT:
        assert clock.now >= limit
    else:
        assert 100 in endless.asked


def test_ecos_is_not_measured_without_a_limit(clock, monkeypatch):
    ecos = pytest.importorskip("ecos", reason="ecos is not installed")
    endless = Endless(clock, 1.0, 1.0, 1)
    monkeypatch.setattr(ecos, "solve", endless)
    bd.solve(random_program("squared", outputs=1), "ecos", gap=NEVER)
    assert endless.asked == [100] * len(TIGHTENINGS)


def test_the_iterations_that_a_user_allows_ecos_stay_a_cap(clock, monkeypatch):
    ecos = pytest.importorskip("ecos", reason="ecos is not installed")
    endless = Endless(clock, 1.0, 1.0, 1)
    monkeypatch.setattr(ecos, "solve", endless)
    program = random_program("squared", outputs=1)
    bd.solve(program, "ecos", gap=NEVER, max_iters=7)
    assert endless.asked == [7] * len(TIGHTENINGS)
    endless.asked.clear()
    bd.solve(program, "ecos", gap=NEVER, max_iters=7, time_limit=1e6)
    assert endless.asked == [1] + [7] * len(TIGHTENINGS)
    endless.asked.clear()
    bd.solve(program, "ecos", gap=NEVER, max_iters=7, time_limit=8.0)
    assert endless.asked == [1, 3]  # 3 of the 8 seconds are gone, 2 go before the first iteration


def rising():
    """A program that small positive weights make a little better."""
    D = bd.BinaryMatrix.from_dense([[1, 0], [1, 1], [0, 1]])
    return bd.ConvexProgram(D, [1.0, 2.0, 1.0], "squared", 0.1)


def crawling(patch, clock, setup, each):
    """scikit-learn's Lasso at a price of its own, never done; the iterations asked of its fits."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import Lasso

    asked = []

    def fit(self, design, target, sample_weight):
        asked.append(self.max_iter)
        clock.now += setup + self.max_iter * each
        self.n_iter_ = self.max_iter
        # a little closer each time, or it would be given up
        self.coef_, self.intercept_ = np.full(design.shape[1], 1e-9 * len(asked)), 0.0
        warnings.warn("out of iterations", ConvergenceWarning, stacklevel=1)

    patch.setattr(Lasso, "fit", fit)
    return asked


@examples(50)
@given(setup=seconds, each=seconds, limit=seconds)
def test_fits_of_sklearn_begin_with_an_iteration_and_grow_into_the_time(setup, each, limit):
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    with pytest.MonkeyPatch.context() as patch:
        clock = Clock(patch)
        asked = crawling(patch, clock, setup, each)
        solution = bd.solve(rising(), "sklearn", gap=NEVER, time_limit=limit)
    assert solution.status is bd.Status.TIME_LIMIT
    assert asked[0] == 1
    assert all(after <= 2 * before for before, after in pairwise(asked))
    # one iteration is the least that it can ask for
    assert limit <= clock.now <= limit + (setup + each) * (1 + 1e-9)


@examples(50)
@given(
    setup=st.floats(1e-3, 1.0),
    share=st.floats(1e-3, 1.0),
    limit=st.floats(0.1, 100.0),
    data=st.data(),
)
def test_of_liblinears_iterations_the_longest_possible_is_all_that_comes_late(
    setup, share, limit, data
):
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    asked, tick = [], 1e-6
    longest = sklearn_._LONGEST * tick
    took = [setup * longest]

    def fit(self, design, target, sample_weight):
        """Anew each time, whatever an iteration takes; a little closer each time."""
        while len(took) <= self.max_iter:
            took.append(longest * data.draw(st.sampled_from([share, 1.0])))
        asked.append(self.max_iter)
        clock.now += sum(took[: self.max_iter + 1])
        self.n_iter_ = [self.max_iter]
        self.coef_, self.intercept_ = np.full((1, design.shape[1]), 1e-9 * len(asked)), 0.0
        warnings.warn("out of iterations", ConvergenceWarning, stacklevel=1)

    D = bd.BinaryMatrix.from_dense([[1, 0], [1, 1], [0, 1]])
    program = bd.ConvexProgram(D, [1.0, 1.0, -1.0], "logistic", 0.01)
    limit *= longest
    with pytest.MonkeyPatch.context() as patch:
        clock = Clock(patch, tick)
        patch.setattr(LogisticRegression, "fit", fit)
        solution = bd.solve(program, "sklearn", gap=NEVER, time_limit=limit)
    assert solution.status in (bd.Status.TIME_LIMIT, bd.Status.INACCURATE)
    assert asked[0] == 1
    assert all(before < after <= 2 * before for before, after in pairwise(asked))
    looks = 1e-3  # at the clock
    first = took[0] + longest  # nobody knew
    assert clock.now <= max(limit + longest, first) + looks
    # and it stops only where another fit would be late
    assert clock.now + sum(took) >= limit - looks


def test_fits_of_sklearn_begin_as_they_are_without_a_limit(clock, monkeypatch):
    pytest.importorskip("sklearn", reason="scikit-learn is not installed")
    asked = crawling(monkeypatch, clock, 1.0, 1.0)
    bd.solve(rising(), "sklearn", gap=NEVER)
    assert asked[:3] == [20, 40, 80]
    asked.clear()
    bd.solve(rising(), "sklearn", gap=NEVER, max_iter=3)
    assert asked[:3] == [3, 6, 12]


def stated(monkeypatch, solver, **arguments):
    """What CVXPY's Problem.solve is given."""
    cvxpy = pytest.importorskip("cvxpy", reason="cvxpy is not installed")
    given = []

    def solve(self, **settings):
        given.append(settings)
        raise cvxpy.SolverError("not asked")

    monkeypatch.setattr(cvxpy.Problem, "solve", solve)
    bd.solve(random_program("hinge"), "cvxpy", gap=1e-6, solver=solver, **arguments)
    return given


# what they call the limit and a tolerance, and the least that they take for it
TOLD = {
    "CLARABEL": ("time_limit", "tol_gap_rel", 0.0),
    "HIGHS": ("time_limit", "dual_feasibility_tolerance", 1e-10),
    "OSQP": ("time_limit", "eps_rel", 0.0),
    "SCS": ("time_limit_secs", "eps_rel", 0.0),
}


@pytest.mark.parametrize("solver", TOLD)
def test_solvers_behind_cvxpy_are_told_the_limit_and_the_tolerance(clock, monkeypatch, solver):
    limit, tolerance, least = TOLD[solver]
    wanted = [max(1e-6 * tightening, least) for tightening in TIGHTENINGS]
    given = stated(monkeypatch, solver, time_limit=10.0)
    assert [each[limit] for each in given] == [10.0] * len(TIGHTENINGS)
    assert [each[tolerance] for each in given] == wanted
    unlimited = stated(monkeypatch, solver)
    assert [each[tolerance] for each in unlimited] == wanted
    assert not any(limit in each for each in unlimited)


@pytest.mark.parametrize("solver", TOLD)
def test_solvers_behind_cvxpy_end_when_their_time_is_up(clock, solver):
    cvxpy = pytest.importorskip("cvxpy", reason="cvxpy is not installed")
    if solver not in cvxpy.installed_solvers():
        pytest.skip(f"CVXPY does not find {solver}")
    # no processor gets anywhere in a picosecond
    program = random_program("hinge", True, rows=200, atoms=100)
    solution = bd.solve(program, "cvxpy", gap=NEVER, solver=solver, time_limit=1e-12)
    assert solution.message in (f"user_limit ({solver})", f"optimal_inaccurate ({solver})")


def test_mosek_behind_cvxpy_is_told_in_its_parameters(clock, monkeypatch):
    mosek = pytest.importorskip("mosek", reason="mosek is not installed")
    own = {"MSK_IPAR_INTPNT_MAX_ITERATIONS": 7}
    given = stated(monkeypatch, "MOSEK", time_limit=10.0, mosek_params=own)
    from cvxpy.reductions.solvers.conic_solvers.mosek_conif import MOSEK

    for each, tightening in zip(given, TIGHTENINGS, strict=True):
        task = mosek.Task()
        options = {name: each[name] for name in set(each) - {"solver", "warm_start"}}
        assert MOSEK.handle_options(task, False, options)["accept_unknown"]
        assert task.getdouparam(mosek.dparam.optimizer_max_time) == 10.0
        assert task.getintparam(mosek.iparam.intpnt_max_iterations) == 7
        for name in ("rel_gap", "pfeas", "dfeas"):
            for family in ("intpnt_tol_", "intpnt_co_tol_"):
                parameter = getattr(mosek.dparam, family + name)
                assert task.getdouparam(parameter) == 1e-6 * tightening


@pytest.mark.parametrize("solver", ["ECOS", "GLPK"])
def test_a_solver_behind_cvxpy_that_cannot_be_told_the_limit_is_refused(monkeypatch, solver):
    with pytest.raises(ValueError, match=f"^time_limit: the solver '{solver}' has no .*CLARABEL"):
        stated(monkeypatch, solver, time_limit=10.0)
    assert stated(monkeypatch, solver)  # without one it runs
