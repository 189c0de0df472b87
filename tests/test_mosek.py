"""MOSEK with and without a licence: what it is handed, what it writes, and what it answers."""

import os
import subprocess
import sys

import numpy as np
import pytest
from scipy import sparse

import bidual as bd
from bidual.solvers.backends.conic import Part, Request

from covering import parameters
from programs import RANDOM, random_program

clarabel = pytest.importorskip("clarabel", reason="clarabel is not installed")
mosek = pytest.importorskip("mosek", reason="mosek is not installed")
BACKEND = bd.BACKENDS["mosek"]
MISSING = BACKEND.available()

each_loss = pytest.mark.parametrize("loss", bd.LOSSES)
each_penalty = pytest.mark.parametrize("penalty", bd.PENALTIES)
unlicensed = pytest.mark.skipif(MISSING is None, reason="a MOSEK licence is installed here")


def block_of(loss, penalty, intercept=True):
    """The first block of a program of three outputs."""
    program = random_program(loss, intercept, outputs=3, penalty=penalty)
    return program.select(program.blocks[0])


def contents(task):
    """A task as 1/2 x'Qx + c'x + offset and rows bounds - matrix x in cones, as ConicForm has them.

    Rows in their order; cones as (name, size). Equations may come as bounds on
    constraints or, as in CBF, as affine conic ones, inequalities too.
    """
    columns = task.getnumvar()
    kinds, lower, upper = task.getvarboundslice(0, columns)
    assert set(kinds) == {mosek.boundkey.fr}
    assert task.getobjsense() == mosek.objsense.minimize
    assert task.getnumcone() == task.getnumbarvar() == 0
    shape = (task.getnumcon(), columns)
    i, j, values = task.getatrip()
    matrix = [sparse.coo_array((values, (i, j)), shape=shape).toarray()]
    kinds, lower, upper = task.getconboundslice(0, shape[0]) if shape[0] else ([], [], [])
    names = {mosek.boundkey.fx: "zero", mosek.boundkey.up: "nonnegative"}
    cones = [(names[kind], 1) for kind in kinds]
    fixed = np.array([name == "zero" for name, _ in cones], dtype=bool)
    np.testing.assert_array_equal(np.array(lower)[fixed], np.array(upper)[fixed])
    bounds = [np.array(upper)]
    i, j, values = task.getafeftrip()
    affine = sparse.coo_array((values, (i, j)), shape=(task.getnumafe(), columns)).toarray()
    constants = np.array([task.getafeg(k) for k in range(task.getnumafe())])
    for k in range(task.getnumacc()):
        domain = task.getaccdomain(k)
        kind, size = task.getdomaintype(domain), task.getaccn(k)
        order = np.array(task.getaccafeidxlist(k))
        rows, ends = affine[order], constants[order] - np.array(task.getaccb(k))
        if kind == mosek.domaintype.rzero:
            cones += [("zero", 1)] * size
            sign = 1.0
        elif kind == mosek.domaintype.rminus:
            cones += [("nonnegative", 1)] * size
            sign = 1.0
        elif kind == mosek.domaintype.quadratic_cone:
            cones.append(("second_order", size))
            sign = -1.0
        else:
            assert kind == mosek.domaintype.primal_exp_cone
            cones.append(("exponential", size))
            rows, ends = rows[::-1], ends[::-1]  # its (r, q, p) are our (p, q, r)
            sign = -1.0
        matrix.append(sign * rows)
        bounds.append(-sign * ends)
    quadratic = np.zeros((columns, columns))
    _, i, j, values = task.getqobj()
    quadratic[i, j] = values
    cost, offset = np.array(task.getc()), task.getcfix()
    return quadratic, cost, offset, np.vstack(matrix), np.concatenate(bounds), cones


def cones_of(form):
    """The cones of a form as contents() tells them."""
    return [
        *[("zero", 1)] * form.zero,
        *[("nonnegative", 1)] * form.nonnegative,
        *[("second_order", size) for size in form.second_order],
        *[("exponential", 3)] * form.exponential,
    ]


def assert_holds(task, form):
    """Every entry of the task is that of the form's first column, exactly."""
    quadratic, cost, offset, matrix, bounds, cones = contents(task)
    assert cones == cones_of(form)
    np.testing.assert_array_equal(matrix, form.matrix.toarray())
    np.testing.assert_array_equal(bounds, form.bounds[:, 0])
    np.testing.assert_array_equal(cost, form.linear[:, 0])
    assert offset == form.offset[0]
    np.testing.assert_array_equal(quadratic, form.quadratic.toarray())


@each_loss
@each_penalty
@pytest.mark.parametrize("quadratic", [True, False], ids=["quadratic", "conic"])
@pytest.mark.filterwarnings("error")  # it warns where it has to copy arrays of another type
def test_the_task_holds_the_conic_form(loss, penalty, quadratic):
    form = block_of(loss, penalty).to_conic(quadratic)
    with BACKEND.build(form) as task:
        assert_holds(task, form)


@each_loss
@each_penalty
@pytest.mark.parametrize("suffix", [".task", ".jtask", ".mps", ".ptf", ".cbf"])
def test_what_is_written_is_read_back_entry_by_entry(tmp_path, loss, penalty, suffix):
    program, path = block_of(loss, penalty), tmp_path / f"program{suffix}"
    form = program.to_conic(suffix == ".mps")
    if suffix == ".mps" and (form.second_order or form.exponential):
        with pytest.raises(ValueError, match=r"path: .*does not support .*affine conic"):
            BACKEND.write(program, path)
        return
    BACKEND.write(program, path)
    with mosek.Task() as task:
        task.readdata(str(path))
        assert_holds(task, form)


@pytest.mark.parametrize("suffix", [".task", ".mps"])
@pytest.mark.parametrize("loss", ["squared", "squared_hinge"])
def test_the_first_block_is_what_is_written(tmp_path, loss, suffix):
    # squared_hinge has labels in its matrix: its whole form has all outputs in one
    program, path = random_program(loss, True, outputs=3), tmp_path / f"program{suffix}"
    BACKEND.write(program, path)
    with mosek.Task() as task:
        task.readdata(str(path))
        assert_holds(task, program.select([0]).to_conic(suffix == ".mps"))


def test_a_file_that_cannot_be_written_is_told_with_the_reason(tmp_path):
    program = random_program("squared", False)
    with pytest.raises(ValueError, match=r"path: .*expected a folder .*missing, got none"):
        BACKEND.write(program, tmp_path / "missing" / "program.task")
    # MOSEK itself would write MPS under any name that it does not know
    for name in ("program.txt", "program", "program.TASK"):
        with pytest.raises(ValueError, match=r"path: expected .*\.task.*, got "):
            BACKEND.write(program, tmp_path / name)
    assert not list(tmp_path.iterdir())


def least_by_clarabel(form):
    """Objective of the first column at clarabel's answer."""
    cones = [
        clarabel.ZeroConeT(form.zero),
        clarabel.NonnegativeConeT(form.nonnegative),
    ]
    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = 1e-11
    answer = clarabel.DefaultSolver(
        form.quadratic, form.linear[:, 0], form.matrix, form.bounds[:, 0], cones, settings
    ).solve()
    return answer.obj_val + form.offset[0]


@pytest.mark.parametrize("loss", ["squared", "huber", "squared_hinge", "absolute", "hinge"])
@pytest.mark.parametrize("intercept", [False, True], ids=["plain", "intercept"])
def test_highs_solves_the_written_mps_to_the_same_objective(tmp_path, loss, intercept):
    highspy = pytest.importorskip("highspy", reason="highspy is not installed")
    program, path = block_of(loss, "l1", intercept), tmp_path / "program.mps"
    BACKEND.write(program, path)
    solver = highspy.Highs()
    solver.setOptionValue("output_flag", False)
    # it regularises the Hessian by 1e-7, which is what its objective would be off by
    solver.setOptionValue("qp_regularization_value", 0.0)
    assert solver.readModel(str(path)) == highspy.HighsStatus.kOk
    solver.run()
    assert solver.getModelStatus() == highspy.HighsModelStatus.kOptimal
    found = solver.getInfo().objective_function_value
    # both are feasible within 1e-7 of a row, which costs at most the sum of the multipliers of
    # the rows, |V|_1 <= sum of a_i |y_i - z_i| or a_i: about 1; the offset is far larger
    assert found == pytest.approx(least_by_clarabel(program.to_conic()), rel=0, abs=1e-6)
    certificate = bd.solve(program, "clarabel", gap=1e-8).certificate
    assert certificate.dual - 1e-6 <= found <= certificate.primal + 1e-6


class Clarabel:
    """A stand-in for MOSEK's optimiser: reads the task itself, answers in MOSEK's conventions."""

    def __init__(self):
        self.answers = {}
        self.status = mosek.solsta.optimal

    def optimize(self, task):
        quadratic, cost, _, matrix, bounds, kinds = contents(task)
        each = {
            "zero": clarabel.ZeroConeT,
            "nonnegative": clarabel.NonnegativeConeT,
            "second_order": clarabel.SecondOrderConeT,
            "exponential": lambda _: clarabel.ExponentialConeT(),
        }
        settings = clarabel.DefaultSettings()
        settings.verbose = False
        tolerance = task.getdouparam(mosek.dparam.intpnt_co_tol_rel_gap)
        settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = tolerance
        answer = clarabel.DefaultSolver(
            sparse.csc_matrix(np.triu(quadratic)),
            cost,
            sparse.csc_matrix(matrix),
            bounds,
            [each[name](size) for name, size in kinds],
            settings,
        ).solve()
        # its y subtracts in the Lagrangian, where clarabel's z adds
        y = -np.array(answer.z)[: task.getnumcon()]
        self.answers[id(task)] = np.array(answer.x), y, answer.iterations
        return mosek.rescode.ok

    def install(self, monkeypatch):
        parts = {
            "optimize": self.optimize,
            "getsolsta": lambda task, which: self.status,
            "getxx": lambda task, which: self.answers[id(task)][0].tolist(),
            "gety": lambda task, which: self.answers[id(task)][1].tolist(),
            "getintinf": lambda task, item: self.answers[id(task)][2],
        }
        for name, part in parts.items():
            monkeypatch.setattr(mosek.Task, name, lambda *a, _part=part: _part(*a))
        monkeypatch.setattr(type(BACKEND), "available", lambda self: None)
        return self


@each_loss
@each_penalty
def test_no_model_mixes_cones_and_a_quadratic_objective(loss, penalty):
    # MOSEK's error 1501, which it tells only when it optimises
    for part in BACKEND.compile(random_program(loss, True, outputs=3, penalty=penalty)).parts:
        assert part.built.getnumqobjnz() == 0


@pytest.mark.parametrize("problem", parameters(RANDOM))
def test_an_optimum_of_the_task_is_certified(monkeypatch, problem):
    # all that MOSEK is told and all that is read from it, with another optimiser in between
    Clarabel().install(monkeypatch)
    solution = bd.solve(RANDOM[problem], "mosek", gap=1e-8)
    assert solution.status is bd.Status.CERTIFIED, solution
    assert solution.message == "optimal"
    assert solution.iterations > 0


@each_loss
def test_a_path_is_solved_on_one_task(monkeypatch, loss):
    Clarabel().install(monkeypatch)
    built = []
    build = type(BACKEND).build
    monkeypatch.setattr(
        type(BACKEND), "build", lambda self, form: built.append(form) or build(self, form)
    )
    program = random_program(loss, True, outputs=3, share=1.0)
    strengths = program.strength * np.array([0.5, 0.05])
    solutions = bd.path(program, strengths, "mosek", gap=1e-8)
    assert [solution.status for solution in solutions] == [bd.Status.CERTIFIED] * 2
    assert len(built) == (3 if loss == "squared_hinge" else 1)  # labels are in its matrices


@each_loss
@each_penalty
def test_mosek_itself_finds_an_optimum_in_the_signs_and_orders_we_use(loss, penalty):
    # what a given point violates is measured without a licence; run() negates this y
    program = block_of(loss, penalty)
    form = program.to_conic(BACKEND.quadratic)
    other = bd.BACKENDS["clarabel"]
    part = Part(form, other.build(form), program.blocks)
    answer = other.run(part, Request(0, 1e-9, np.inf, {}))
    linear, columns = form.zero + form.nonnegative, form.matrix.shape[1]
    conic = answer.multipliers[linear:].copy()
    first = sum(form.second_order)
    conic[first:] = conic[first:].reshape(-1, 3)[:, ::-1].ravel()
    which, unknown, zeros = mosek.soltype.itr, mosek.stakey.unk, np.zeros(columns)

    def measure(task, x, sign):
        y = -sign * answer.multipliers[:linear]
        up, down = np.maximum(y, 0.0), np.maximum(-y, 0.0)
        keys = [unknown] * linear, [unknown] * columns, []
        fit = form.matrix[:linear] @ x
        task.putsolutionnew(which, *keys, fit, x, y, up, down, zeros, zeros, zeros, conic)
        missed = [*task.getpviolcon(which, list(range(linear)))]
        missed += task.getpviolacc(which, list(range(task.getnumacc())))
        return max(missed), max(task.getdviolvar(which, list(range(columns))))

    with BACKEND.build(form) as task:
        # 1e-9 was asked, relative to sums of up to ten numbers of size 1
        assert max(measure(task, answer.x, 1.0)) < 1e-8
        value, bound = task.getprimalobj(which), task.getdualobj(which)
        # and where something is wrong it says so
        assert measure(task, answer.x, -1.0)[1] > 1e-3
        assert measure(task, answer.x + 1.0, 1.0)[0] > 1e-3
    assert value - bound < 1e-8 * program.reference
    objective = 0.5 * answer.x @ (form.quadratic @ answer.x) + form.linear[:, 0] @ answer.x
    assert value == pytest.approx(objective + form.offset[0], rel=1e-12)


@unlicensed
@each_loss
@each_penalty
def test_without_a_licence_solving_says_which_variable_to_set(loss, penalty):
    with pytest.raises(bd.BackendUnavailable, match=r"no licence.*MOSEKLM_LICENSE_FILE"):
        bd.solve(random_program(loss, False, outputs=3, penalty=penalty), "mosek")


@unlicensed
@each_loss
@each_penalty
def test_without_a_licence_models_compile_and_an_optimisation_ends_in_words(loss, penalty):
    # the licence may go between available() and optimize(): a word, no traceback
    program = random_program(loss, True, outputs=3, penalty=penalty)
    model = BACKEND.compile(program)
    for part in model.parts:
        answer = BACKEND.run(part, Request(0, 1e-6, 10.0, {}))
        assert answer.x is None
        assert "license" in answer.message


@unlicensed
@pytest.mark.slow
def test_without_a_licence_compare_tells_so_and_has_no_traceback(tmp_path):
    command = [sys.executable, "-m", "bidual", "compare", "--subnetworks", "1"]
    command += ["--backends", "mosek", "--out", str(tmp_path)]
    # a licence that is looked for elsewhere is not this test's matter
    done = subprocess.run(command, capture_output=True, text=True, env=os.environ, cwd=tmp_path)
    assert done.returncode == 1
    assert MISSING in done.stdout
    assert "unavailable" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert done.stderr == ""


@pytest.mark.skipif(MISSING is not None, reason=str(MISSING))
@pytest.mark.parametrize("problem", parameters(RANDOM))
def test_with_a_licence_the_gap_is_certified(problem):
    solution = bd.solve(RANDOM[problem], "mosek", gap=1e-8)
    assert solution.status is bd.Status.CERTIFIED, solution
