"""What adapters make of their solvers' statuses: tables without a gap, and failure by default."""

import signal
import warnings
from types import SimpleNamespace

import numpy as np
import pytest

import bidual as bd
from bidual.solvers.backends import clarabel_, cvxpy_, ecos_, highs_, mosek_, osqp_, scs_, sklearn_

from programs import random_program

TABLES = {
    "clarabel": clarabel_.STATUSES,
    "cvxpy": cvxpy_.STATUSES,
    "ecos": ecos_.STATUSES,
    "highs": highs_.STATUSES,
    "mosek": mosek_.STATUSES,
    "osqp": osqp_.STATUSES,
    "scs": scs_.STATUSES,
    "sklearn": sklearn_.STATUSES,
}
PACKAGES = {name: bd.BACKENDS[name].package for name in TABLES} | {"sklearn": "sklearn"}
INTERRUPTED = {
    "ecos": {-4},
    "highs": {"kInterrupt", "kHighsInterrupt"},
    "osqp": {"OSQP_SIGINT"},
    "scs": {-5},
}
UNKNOWN = {
    name: -99 if isinstance(next(iter(table)), int) else "new" for name, table in TABLES.items()
}


def members_of_clarabel(clarabel):
    return {name for name in dir(clarabel.SolverStatus) if not name.startswith("_")}


def members_of_cvxpy(cvxpy):
    settings = cvxpy.settings
    kinds = settings.SOLUTION_PRESENT, settings.INF_OR_UNB, settings.INACCURATE, settings.ERROR
    return {status for kind in kinds for status in kind}


def members_of_ecos(ecos):
    # include/ecos.h of ECOS 2.0, which the Python package does not name:
    solved = {0, 1, 2}  # ECOS_OPTIMAL, ECOS_PINF, ECOS_DINF
    close = {10 + flag for flag in solved}  # ECOS_INACC_OFFSET
    # ECOS_MAXIT, ECOS_NUMERICS, ECOS_OUTCONE, ECOS_SIGINT, ECOS_FATAL
    return solved | close | {-1, -2, -3, -4, -7}


def members_of_highs(highspy):
    return set(highspy.HighsModelStatus.__members__)


def members_of_mosek(mosek):
    return {str(member).split(".")[1] for member in mosek.solsta.members()}


def members_of_osqp(osqp):
    return {member.name for member in osqp.SolverStatus}


def members_of_scs(scs):
    return {
        value
        for name, value in vars(scs).items()
        if name.isupper() and isinstance(value, int) and not name.startswith("_")
    }


def members_of_sklearn(sklearn):
    # it has no status but its warning of convergence, or silence
    from sklearn import exceptions

    kinds = [each for each in vars(exceptions).values() if isinstance(each, type)]
    warned = {each.__name__ for each in kinds if issubclass(each, exceptions.ConvergenceWarning)}
    return warned | {"converged"}


MEMBERS = {
    name.removeprefix("members_of_"): function
    for name, function in list(globals().items())
    if name.startswith("members_of_")
}


@pytest.mark.parametrize("name", TABLES)
def test_the_table_has_every_status_of_the_package_and_no_other(name):
    package = pytest.importorskip(PACKAGES[name], reason=f"{name} is not installed")
    assert MEMBERS[name](package) == set(TABLES[name])


def read_by_cvxpy():
    """What CVXPY takes the same statuses for: optimal, infeasible, user_limit and so on."""
    defines = pytest.importorskip("cvxpy.reductions.solvers.defines")
    conic, quadratic = defines.SOLVER_MAP_CONIC, defines.SOLVER_MAP_QP
    osqp = pytest.importorskip("osqp", reason="osqp is not installed")
    numbers = quadratic["OSQP"].STATUS_MAP
    return {
        **{name: conic[name.upper()].STATUS_MAP for name in ("clarabel", "ecos", "highs", "scs")},
        "osqp": {osqp.SolverStatus(number).name: word for number, word in numbers.items()},
        "cvxpy": {status: status for status in cvxpy_.STATUSES},
    }


def test_flags_of_ecos_are_those_that_cvxpy_knows():
    # a second reading of the header that the package does not come with
    assert set(read_by_cvxpy()["ecos"]) == set(ecos_.STATUSES)


@pytest.mark.parametrize("name", sorted(set(TABLES) - {"mosek", "sklearn"}))
def test_what_cvxpy_takes_for_a_solution_is_offered_and_what_has_none_is_not(name):
    for status, word in read_by_cvxpy()[name].items():
        if word.startswith("optimal"):
            assert TABLES[name][status], status
        if word.startswith(("infeasible", "unbounded")):
            assert not TABLES[name][status], status


def test_certificates_of_infeasibility_are_no_points_of_mosek():
    # whose solution items are then rays, and a dual point alone has no weights
    none = {status for status, offered in mosek_.STATUSES.items() if not offered}
    certificates = {status for status in mosek_.STATUSES if status.endswith("_cer")}
    assert none == certificates | {"dual_feas"}


def test_every_adapter_of_a_solver_has_a_table():
    own = {"lasso", "newton", "admm"}  # which have no status
    assert set(TABLES) == set(bd.BACKENDS) - own


def says_clarabel(monkeypatch, status):
    clarabel = pytest.importorskip("clarabel")
    real = clarabel.DefaultSolver

    def relabelled(*parts):
        solver = real(*parts)

        def solve():
            found = solver.solve()
            return SimpleNamespace(x=found.x, z=found.z, iterations=found.iterations, status=status)

        return SimpleNamespace(
            solve=solve,
            update=solver.update,
            is_data_update_allowed=solver.is_data_update_allowed,
            set_termination_callback=lambda _: None,
        )

    monkeypatch.setattr(clarabel, "DefaultSolver", relabelled)


def says_cvxpy(monkeypatch, status):
    cvxpy = pytest.importorskip("cvxpy")
    monkeypatch.setattr(cvxpy.Problem, "status", property(lambda self: status))


def says_ecos(monkeypatch, status):
    ecos = pytest.importorskip("ecos")
    real = ecos.solve

    def relabelled(*parts, **settings):
        found = real(*parts, **settings)
        found["info"]["exitFlag"] = status
        return found

    monkeypatch.setattr(ecos, "solve", relabelled)


def says_highs(monkeypatch, status):
    highspy = pytest.importorskip("highspy")
    monkeypatch.setattr(
        highspy.Highs, "getModelStatus", lambda self: SimpleNamespace(name=status), raising=False
    )


def says_mosek(monkeypatch, status):
    # its optimiser needs a licence: a point from elsewhere, and its own word
    mosek = pytest.importorskip("mosek")
    clarabel = bd.BACKENDS["clarabel"]
    if clarabel.available() is not None:
        pytest.skip(clarabel.available())
    real = type(bd.BACKENDS["mosek"]).run
    point = {}

    def run(self, part, request):
        other = part.__class__(part.form, clarabel.build(part.form), part.blocks)
        answer = clarabel.run(other, request)
        point["x"] = answer.x
        point["y"] = -answer.multipliers[: part.form.zero + part.form.nonnegative]
        return real(self, part, request)

    word = mosek.solsta(status) if status in TABLES["mosek"] else f"solsta.{status}"
    monkeypatch.setattr(type(bd.BACKENDS["mosek"]), "run", run)
    monkeypatch.setattr(type(bd.BACKENDS["mosek"]), "available", lambda self: None)
    monkeypatch.setattr(mosek.Task, "optimize", lambda self: None)
    monkeypatch.setattr(mosek.Task, "getsolsta", lambda self, which: word)
    monkeypatch.setattr(mosek.Task, "getxx", lambda self, which: point["x"])
    monkeypatch.setattr(mosek.Task, "gety", lambda self, which: point["y"])


def says_osqp(monkeypatch, status):
    osqp = pytest.importorskip("osqp")
    real = osqp.OSQP.solve
    value = osqp.SolverStatus[status].value if status in TABLES["osqp"] else 99

    def relabelled(self, raise_error=None):
        found = real(self, raise_error=raise_error)
        found.info.status_val = value
        return found

    monkeypatch.setattr(osqp.OSQP, "solve", relabelled)


def says_scs(monkeypatch, status):
    scs = pytest.importorskip("scs")
    real = scs.SCS.solve

    def relabelled(self, **start):
        found = real(self, **start)
        found["info"]["status_val"] = status
        return found

    monkeypatch.setattr(scs.SCS, "solve", relabelled)


def says_sklearn(monkeypatch, status):
    pytest.importorskip("sklearn")
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import Lasso

    real = Lasso.fit
    known = {"ConvergenceWarning": ConvergenceWarning}

    def relabelled(self, *parts):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ConvergenceWarning)
            real(self, *parts)
        if status != "converged":
            warnings.warn(
                "as told", known.get(status, type(status, (ConvergenceWarning,), {})), stacklevel=2
            )

    monkeypatch.setattr(Lasso, "fit", relabelled)


SAYS = {
    name.removeprefix("says_"): function
    for name, function in list(globals().items())
    if name.startswith("says_")
}
EACH = [(name, status) for name, table in TABLES.items() for status in [*table, UNKNOWN[name]]]


@pytest.mark.parametrize(("name", "status"), EACH, ids=lambda value: str(value))
def test_a_status_decides_whether_the_point_is_looked_at(monkeypatch, name, status):
    # the solver's point is the optimum each time; it is believed no more than its table says
    if name != "mosek" and bd.BACKENDS[name].available() is not None:
        pytest.skip(bd.BACKENDS[name].available())
    SAYS[name](monkeypatch, status)
    program = random_program("squared", outputs=1)
    solution = bd.solve(program, name, gap=1e-4)
    if TABLES[name].get(status, False):
        assert solution.status is bd.Status.CERTIFIED, solution
        return
    interrupted = status in INTERRUPTED.get(name, ())
    assert solution.status is (bd.Status.INTERRUPTED if interrupted else bd.Status.FAILED)
    assert solution.history == []
    assert not solution.weights.any()
    nothing = bd.certify(program, weights=np.zeros((15, 1))).relative_gap
    assert solution.certificate.relative_gap == pytest.approx(nothing, rel=1e-12)
    assert nothing > 0.1
    if not interrupted and name in ("clarabel", "highs", "mosek", "osqp", "cvxpy", "sklearn"):
        assert "unknown status" in solution.message or str(status) in solution.message


@pytest.mark.parametrize("kind", ["cvxpy.SolverError", "Exception", "ValueError"])
def test_an_exception_of_the_solver_behind_cvxpy_is_a_failure(monkeypatch, kind):
    # solvers raise what they like: mosek.Error, for one, is an Exception of its own
    cvxpy = pytest.importorskip("cvxpy")
    error = {"cvxpy.SolverError": cvxpy.SolverError, "Exception": Exception}.get(kind, ValueError)

    def fail(self, **settings):
        raise error("broken")

    monkeypatch.setattr(cvxpy.Problem, "solve", fail)
    solution = bd.solve(random_program("squared"), "cvxpy")
    assert solution.status is bd.Status.FAILED
    assert "broken" in solution.message


def test_mosek_behind_cvxpy_without_a_licence_is_a_failure_in_words():
    pytest.importorskip("cvxpy")
    pytest.importorskip("mosek", reason="mosek is not installed")
    if bd.BACKENDS["mosek"].available() is None:
        pytest.skip("a MOSEK licence is installed here")
    solution = bd.solve(random_program("squared"), "cvxpy", solver="MOSEK")
    assert solution.status is bd.Status.FAILED
    assert "license" in solution.message


def test_ctrl_c_within_cvxpy_keeps_the_answer_that_the_solver_came_back_with(monkeypatch):
    cvxpy = pytest.importorskip("cvxpy")
    real, runs = cvxpy.Problem.solve, []

    def interrupted(self, **settings):
        runs.append(settings["solver"])
        signal.raise_signal(signal.SIGINT)  # as it comes out of compiled code
        return real(self, **settings)

    monkeypatch.setattr(cvxpy.Problem, "solve", interrupted)
    solution = bd.solve(random_program("squared"), "cvxpy", gap=1e-300)
    assert solution.status is bd.Status.INTERRUPTED
    assert runs == ["CLARABEL"]
    # clarabel's answer at its own accuracy, not W = 0
    assert solution.certificate.relative_gap < 1e-4


def test_an_exception_within_highs_is_a_failure(monkeypatch, capfd):
    highspy = pytest.importorskip("highspy", reason="highspy is not installed")

    def fail(self):
        raise ValueError("broken")

    monkeypatch.setattr(highspy.Highs, "run", fail, raising=False)
    solution = bd.solve(random_program("squared"), "highs")
    assert solution.status is bd.Status.FAILED
    assert "broken" in solution.message
    assert capfd.readouterr().err == ""  # a thread of HiGHS's own would print a traceback


def test_warnings_of_sklearn_that_are_no_status_reach_the_user(monkeypatch):
    pytest.importorskip("sklearn")
    from sklearn.linear_model import Lasso

    real = Lasso.fit

    def warning(self, *parts):
        warnings.warn("soon to go", FutureWarning, stacklevel=2)
        real(self, *parts)

    monkeypatch.setattr(Lasso, "fit", warning)
    with pytest.warns(FutureWarning, match="soon to go"):
        solution = bd.solve(random_program("squared", outputs=1), "sklearn", gap=1e-4)
    assert solution.status is bd.Status.CERTIFIED


@pytest.mark.parametrize("name", ["clarabel", "highs"])
def test_an_unknown_option_is_named(name):
    if bd.BACKENDS[name].available() is not None:
        pytest.skip(bd.BACKENDS[name].available())
    with pytest.raises(ValueError, match=r"^options: expected .*, got .?no_such_option"):
        bd.solve(random_program("squared"), name, no_such_option=1)


def test_a_value_that_highs_does_not_take_is_named():
    pytest.importorskip("highspy", reason="highspy is not installed")
    with pytest.raises(ValueError, match=r"^options: .*got solver='no_such_solver'"):
        bd.solve(random_program("squared"), "highs", solver="no_such_solver")


def test_what_a_solver_does_not_take_is_told_in_words():
    # no need for a package: what is there to accept is a matter of the program alone
    group = random_program("squared", outputs=2, penalty="group")
    for name in ("osqp", "highs"):
        backend = bd.BACKENDS[name]
        assert backend.accepts(group) == (
            "does not support the second-order cone, which the group penalty needs"
        )
        assert backend.accepts(random_program("logistic")) == (
            "does not support the exponential cone, which the logistic loss needs"
        )
