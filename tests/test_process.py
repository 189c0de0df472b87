"""Solves leave the process as it was, however many overlap and however they are interrupted."""

import ctypes
import gc
import io
import json
import locale
import os
import random
import signal
import subprocess
import sys
import textwrap
import threading
import warnings
from contextlib import redirect_stdout

import numpy as np
import pytest
from threadpoolctl import threadpool_info, threadpool_limits

import bidual as bd
from bidual.solvers import process
from bidual.solvers.backends.apart import apart

from programs import random_program

posix = pytest.mark.skipif(sys.platform == "win32", reason="signals of POSIX")


def ready():
    """Backends by name, and solvers behind CVXPY; skipped with the reason where one can't run."""
    for name, backend in bd.BACKENDS.items():
        why = backend.available()
        yield pytest.param(name, {}, id=name, marks=[pytest.mark.skip(reason=why)] if why else [])
        if name == "cvxpy" and why is None:
            import cvxpy

            for solver in sorted({"OSQP", "SCS", "ECOS", "HIGHS"} & set(cvxpy.installed_solvers())):
                yield pytest.param(name, {"solver": solver}, id=f"{name}-{solver}")


def blas_threads():
    return [each["num_threads"] for each in threadpool_info() if each["user_api"] == "blas"]


def reaction_to_interrupts():
    """The handlers of SIGINT: Python's, and the address of the process's."""
    if sys.platform == "win32":
        return signal.getsignal(signal.SIGINT), None
    action = ctypes.create_string_buffer(512)
    ctypes.CDLL(None).sigaction(int(signal.SIGINT), None, action)
    return signal.getsignal(signal.SIGINT), action.raw[:8]


def state():
    mask = os.umask(0)
    os.umask(mask)
    return {
        "BLAS threads": blas_threads(),
        "filters of warnings": list(warnings.filters),
        "display of warnings": (warnings.showwarning, warnings._showwarnmsg_impl),
        "reaction to SIGINT": reaction_to_interrupts(),
        "reaction to other signals": [
            signal.getsignal(each) for each in sorted(signal.valid_signals())
        ],
        "errors of NumPy": np.geterr(),
        "files": (sys.stdin, sys.stdout, sys.stderr, dict(vars(sys.stdout))),
        "environment": dict(os.environ),
        "locale": locale.setlocale(locale.LC_ALL),
        "umask": mask,
        "folder": os.getcwd(),
        "random numbers": (random.getstate(), repr(np.random.get_state())),  # noqa: NPY002
        "recursion": sys.getrecursionlimit(),
        "switches of threads": sys.getswitchinterval(),
        "garbage": (gc.isenabled(), gc.get_threshold()),
        "traces": (sys.gettrace(), sys.getprofile(), threading.excepthook),
    }


def changed(before):
    after = state()
    return {name: (before[name], after[name]) for name in before if before[name] != after[name]}


def together(works):
    """Run each in a thread of its own, all at once, and return their results."""
    found, errors = [None] * len(works), []
    begin = threading.Barrier(len(works))

    def run(k):
        try:
            begin.wait(30)
            found[k] = works[k]()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=run, args=(k,)) for k in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if errors:
        raise errors[0]
    return found


@pytest.mark.parametrize("count", [2, pytest.param(4, marks=pytest.mark.slow)])
@pytest.mark.parametrize(("name", "options"), list(ready()))
def test_solves_that_overlap_leave_the_process_as_it_was(name, options, count, capfd):
    programs = [
        random_program("squared", True, outputs=1, rows=30 + 10 * k, atoms=15, seed=k)
        for k in range(count)
    ]
    bd.solve(programs[0], name, gap=1e-3, **options)  # packages change some states when imported
    capfd.readouterr()
    with threadpool_limits(2, "blas"):
        before = state()
        alone = bd.solve(programs[-1], name, gap=1e-4, **options)
        assert not changed(before)
        found = together(
            [
                lambda p=p, k=k: [bd.solve(p, name, gap=1e-4, **options) for _ in range(1 + k)]
                for k, p in enumerate(programs)
            ]
        )
        assert not changed(before)
    assert capfd.readouterr() == ("", "")
    assert {each.status for solutions in found for each in solutions} == {bd.Status.CERTIFIED}
    if not options:  # CVXPY's problem holds the answer that a solver starts from
        assert all(np.array_equal(each.weights, alone.weights) for each in found[-1])


@pytest.fixture
def many_switches():
    """Threads take turns as often as Python can, so that races show."""
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    yield
    sys.setswitchinterval(before)


def fresh(design, loss, penalty):
    """A program that has computed nothing yet, of a design that has not either."""
    rng = np.random.default_rng(7)
    rows = rng.random((60, 40))
    D = bd.BinaryMatrix.from_dense(rows < 0.4) if design == "binary" else bd.DenseMatrix(rows - 0.5)
    y = rng.choice([-1.0, 1.0], size=(60, 2))
    a = rng.random(60)
    return bd.ConvexProgram(D, y, loss, 0.02, a, intercept=True, penalty=penalty)


@pytest.mark.parametrize(
    ("name", "design", "loss", "penalty"),
    [
        ("newton", "binary", "logistic", "l1"),
        pytest.param("newton", "dense", "hinge", "group", marks=pytest.mark.slow),
        pytest.param("lasso", "binary", "squared", "group", marks=pytest.mark.slow),
        pytest.param("admm", "binary", "hinge", "l1", marks=pytest.mark.slow),
        pytest.param("admm", "dense", "absolute", "group", marks=pytest.mark.slow),
        pytest.param("sklearn", "binary", "logistic", "l1", marks=pytest.mark.slow),
        pytest.param("newton", "binary", "absolute", "l1", marks=pytest.mark.slow),
        pytest.param("newton", "dense", "logistic", "l1", marks=pytest.mark.slow),
        pytest.param("newton", "binary", "hinge", "group", marks=pytest.mark.slow),
    ],
)
def test_threads_that_solve_the_same_program_get_the_bits_of_one(
    name, design, loss, penalty, many_switches
):
    def facts(program):
        solution = bd.solve(program, name, gap=1e-5)
        parts = solution.weights, solution.intercept, solution.dual_point, solution.certificate
        largest = program.lambda_max, program.reference, program.references, program.null_intercept
        gaps = parts[-1].absolute_gaps, parts[-1].primals
        return [np.asarray(each).tobytes() for each in (*parts[:-1], *largest, *gaps)]

    alone = facts(fresh(design, loss, penalty))
    for _ in range(2):
        program = fresh(design, loss, penalty)
        assert together([lambda p=program: facts(p)] * 4) == [alone] * 4


def test_other_work_leaves_the_process_as_it_was(capfd):
    X, y = np.random.default_rng(0).normal(size=(12, 2)), np.eye(12)[0]
    program = random_program("squared", True, outputs=1)
    solution = bd.solve(program)
    layer = bd.Feedforward(hidden=(1,))

    def grow():
        return bd.grow(layer, X, y, strength=0.1, atoms=5, rounds=3)

    works = [
        solution.prune,
        grow,
        lambda: bd.certify(program, solution, exact=True),
        lambda: bd.path(program, [0.5, 0.1]),
    ]
    for work in works:
        work()
    with threadpool_limits(2, "blas"):
        before = state()
        together(works + works)
        assert not changed(before)
    assert capfd.readouterr() == ("", "")


class Seen(process.Shared):
    """A state that is 1 within and 0 outside; ``interrupts`` strike when it changes."""

    def __init__(self):
        super().__init__()
        self.value, self.interrupts = 0, []

    def _record(self):
        return self.value

    def _change(self):
        self.value = 1
        if self.interrupts:
            raise self.interrupts.pop()

    def _restore(self, before):
        if self.interrupts:
            raise self.interrupts.pop()
        self.value = before


def test_the_first_in_changes_and_the_last_out_restores_in_any_order():
    rng = np.random.default_rng(0)
    for _ in range(50):
        shared, within = Seen(), []
        for _ in range(20):
            if within and rng.random() < 0.5:
                within.pop(rng.integers(len(within))).__exit__(None, None, None)
            else:
                within.append(shared.held())
                within[-1].__enter__()
            assert shared.value == bool(within)
        while within:
            within.pop().__exit__(None, None, None)
        assert shared.value == 0


@pytest.mark.parametrize("moment", ["entering", "leaving"])
def test_an_interrupt_while_the_state_changes_leaves_it_restored(moment):
    shared = Seen()
    try:
        if moment == "entering":
            shared.interrupts = [KeyboardInterrupt()]
        with shared.held():
            shared.interrupts = [KeyboardInterrupt()]
    except KeyboardInterrupt:
        pass
    assert shared.value == 0
    with shared.held():
        assert shared.value == 1
    assert shared.value == 0


@posix
@pytest.mark.slow
def test_a_child_forked_within_a_solve_of_another_thread_has_the_state_restored():
    code = """
    import os, threading, warnings
    from threadpoolctl import threadpool_info, threadpool_limits
    import bidual as bd
    from bidual.solvers.process import one_blas_thread
    warnings.simplefilter("ignore")
    def counts():
        return [e["num_threads"] for e in threadpool_info() if e["user_api"] == "blas"]
    threadpool_limits(2, "blas")
    inside, over = threading.Event(), threading.Event()
    def stay():
        with one_blas_thread.held():
            inside.set()
            over.wait()
    other = threading.Thread(target=stay)
    other.start()
    inside.wait()
    child = os.fork()
    if child == 0:
        os._exit(max(counts()))
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
    over.set()
    other.join()
    print(counts())
    """
    in_the_child, after = in_a_child(code).splitlines()
    assert int(in_the_child) == max(json.loads(after))


def test_warnings_of_other_threads_are_shown_while_a_solve_mutes_its_own():
    muted, inside, over = (
        process.MutedWarnings("not", "never"),
        threading.Event(),
        threading.Event(),
    )

    def quiet():
        with muted.muted(UserWarning) as came:
            warnings.warn("not shown", UserWarning, stacklevel=1)
            warnings.warn("never shown", UserWarning, stacklevel=1)
            inside.set()
            over.wait(30)
            return came

    before = list(warnings.filters)
    with warnings.catch_warnings(record=True) as shown:
        warnings.simplefilter("always")

        def loud():
            inside.wait(30)
            warnings.warn("not muted here", UserWarning, stacklevel=1)
            over.set()

        together([quiet, loud])
    assert [str(each.message) for each in shown] == ["not muted here"]
    assert list(warnings.filters) == before


def test_filters_that_the_caller_saved_within_a_solve_go_out_with_it():
    # catch_warnings saves the list with the solve's filter, and puts it back after the solve
    muted, before = process.MutedWarnings(), list(warnings.filters)
    stay, saved = muted.muted(UserWarning), warnings.catch_warnings()
    stay.__enter__()
    saved.__enter__()
    stay.__exit__(None, None, None)
    saved.__exit__(None, None, None)
    assert list(warnings.filters) == before


def test_output_that_the_caller_redirects_within_a_solve_arrives_and_stays_so():
    real = sys.stdout
    with process.no_stray_lines.held():
        redirected = redirect_stdout(io.StringIO())
        with redirected as heard:
            print("one")
        with redirect_stdout(io.StringIO()) as other, process.no_stray_lines.held():
            print("two")
    assert (heard.getvalue(), other.getvalue()) == ("one\n", "two\n")
    assert sys.stdout is real


def test_a_redirect_that_overlaps_a_solve_in_any_order_leaves_the_same_output():
    real = sys.stdout
    own = dict(vars(real))
    rng = np.random.default_rng(5)
    for _ in range(30):
        open_ = []
        for _ in range(12):
            if open_ and rng.random() < 0.5:
                open_.pop(rng.integers(len(open_))).__exit__(None, None, None)
            else:
                redirect = redirect_stdout(io.StringIO())
                open_.append(redirect if rng.random() < 0.5 else process.no_stray_lines.held())
                open_[-1].__enter__()
            assert isinstance(sys.stdout, io.TextIOBase)
        for each in open_:
            each.__exit__(None, None, None)
        sys.stdout = real  # redirects that end in another order than they began leave others
        assert vars(real) == own


class Fixed:
    """A file whose attributes are fixed."""

    __slots__ = ("lines",)

    def __init__(self):
        self.lines = []

    def write(self, text):
        self.lines.append(text)


def test_lines_of_a_stopped_solver_are_dropped_and_those_of_others_pass(monkeypatch):
    written = []
    file = io.StringIO()
    file.write = written.append  # an attribute of its own stays
    own, fixed = file.write, Fixed()
    monkeypatch.setattr(sys, "stdout", file)
    with process.no_stray_lines.held():
        print("Solver interrupted", end="")
        apart(lambda: print("Solver interrupted", end=""))
        apart(lambda: print("Solver goes on", end=""))
    assert [text for text in written if text] == ["Solver interrupted", "Solver goes on"]
    assert file.write is own
    with process.no_stray_lines.held():
        file.write = fixed.write
    assert file.write == fixed.write
    monkeypatch.setattr(sys, "stdout", fixed)
    with process.no_stray_lines.held():
        print("one", end="")
    monkeypatch.setattr(sys, "stdout", None)
    with process.no_stray_lines.held():
        print("nowhere")
    assert fixed.lines == ["one", ""]


def test_filters_of_warnings_that_overlap_solves_in_any_order_are_as_they_were():
    muted, before = process.MutedWarnings(), list(warnings.filters)
    rng = np.random.default_rng(6)
    for _ in range(60):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            saved, stays = [], []
            for _ in range(10):
                kind = rng.integers(4)
                if kind == 0:
                    saved.append(warnings.catch_warnings())
                    saved[-1].__enter__()
                elif kind == 1 and saved:  # in another order than they began
                    saved.pop(rng.integers(len(saved))).__exit__(None, None, None)
                elif kind == 2:
                    stays.append(muted.held())
                    stays[-1].__enter__()
                elif stays:
                    stays.pop(rng.integers(len(stays))).__exit__(None, None, None)
                with muted.muted(UserWarning) as came:
                    warnings.warn("muted", UserWarning, stacklevel=1)
                assert came == [UserWarning]
            for each in stays:
                each.__exit__(None, None, None)
            for each in saved:
                each.__exit__(None, None, None)
        # lists that others have saved may hold the filter until they put back an earlier one
        assert list(warnings.filters) == before


@pytest.mark.parametrize("chosen", [2, 3])
def test_a_number_of_blas_threads_that_the_caller_chooses_within_a_solve_stays(chosen):
    with threadpool_limits(chosen, "blas"):
        expected = blas_threads()
    with threadpool_limits(4, "blas"):
        with process.one_blas_thread.held():
            threadpool_limits(chosen, "blas")
        assert blas_threads() == expected


def in_a_child(code, *arguments):
    """Run code in a process of its own and return what it prints; it must print no error."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *arguments],
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


INTERRUPTS = """
import os, signal, sys, threading, time
import numpy as np
import bidual as bd

signal.signal(signal.SIGINT, signal.default_int_handler)  # a process in the background ignores it
name, *solver = sys.argv[1:]
options = {"solver": solver[0]} if solver else {}
rng = np.random.default_rng(3)
atoms = bd.BinaryMatrix.from_dense((rng.random((300, 500)) < 0.4).astype(int))
kind = "logistic" if name in ("lasso", "sklearn") else "hinge"
program = bd.ConvexProgram(atoms, rng.choice([-1.0, 1.0], size=300), kind)
program = program.with_strength(0.003 * program.lambda_max)
small = bd.ConvexProgram(atoms.take(range(20)), program.target, kind, 1.0)
small = small.with_strength(0.1 * small.lambda_max)  # else W = 0, and nothing is imported
bd.solve(small, name, gap=0.1, **options)


def solve(after, again=None, gap=1e-300, limit=2.0):
    '''Solve, with a SIGINT after some seconds, and others in intervals.'''
    over = threading.Event()

    def send():
        if not over.wait(after):
            os.kill(os.getpid(), signal.SIGINT)
        while again and not over.wait(again):
            os.kill(os.getpid(), signal.SIGINT)

    sender = threading.Thread(target=send)
    sender.start()
    try:
        if options.get("solver") == "ECOS":
            return bd.solve(program, name, gap=1e-6, **options).status.name
        return bd.solve(program, name, gap=gap, time_limit=limit, **options).status.name
    finally:
        over.set()
        sender.join()


def default():
    '''SIGINT as at the start: a KeyboardInterrupt comes, and only one.'''
    try:
        os.kill(os.getpid(), signal.SIGINT)
        time.sleep(2)
    except KeyboardInterrupt:
        return True
    return False


class Own(Exception):
    pass


def fail(*_):
    raise Own


called, delays = [], (0.2, 0.4)
if options.get("solver") == "ECOS":  # it has no time limit and may end before that
    begun = time.perf_counter()
    bd.solve(program, name, gap=1e-6, **options)
    delays = [share * (time.perf_counter() - begun) for share in (0.3, 0.6)]
print("default", [solve(after) == "INTERRUPTED" for after in delays], default())
signal.signal(signal.SIGINT, lambda *_: called.append(1))
print("own", solve(0.1) in ("TIME_LIMIT", "CERTIFIED", "INACCURATE"), len(called))
signal.signal(signal.SIGINT, fail)
try:
    solve(0.1)
except Own:
    print("own error", signal.getsignal(signal.SIGINT) is fail)
signal.signal(signal.SIGINT, signal.SIG_IGN)
print("ignored", solve(0.0, 0.03) in ("TIME_LIMIT", "CERTIFIED", "INACCURATE"))
print("ignored still", signal.getsignal(signal.SIGINT) is signal.SIG_IGN)
os.kill(os.getpid(), signal.SIGINT)
signal.signal(signal.SIGINT, signal.default_int_handler)


def several():
    for _ in range(3):
        bd.solve(small, name, gap=1e-4, **options)


threads = [threading.Thread(target=several) for _ in range(3)]
for thread in threads:
    thread.start()
while any(thread.is_alive() for thread in threads):
    try:
        for thread in threads:
            thread.join()
    except KeyboardInterrupt:
        pass
print("after threads", default())
"""
AS_IT_SHALL_BE = """\
default [True, True] True
own True 1
own error True
ignored True
ignored still True
after threads True
"""


@posix
@pytest.mark.slow
@pytest.mark.parametrize(("name", "options"), list(ready()))
def test_interrupts_reach_whom_they_would_reach_without_a_solve(name, options):
    assert in_a_child(INTERRUPTS, name, *options.values()) == AS_IT_SHALL_BE


@posix
@pytest.mark.parametrize("name", ["newton", "osqp", "scs", "ecos", "clarabel"])
def test_a_handler_of_the_caller_is_called_once_within_a_solve(name):
    if bd.BACKENDS[name].available() is not None:
        pytest.skip(bd.BACKENDS[name].available())
    called, program = [], random_program("hinge", True, outputs=1, rows=300, atoms=200, share=0.01)
    before = signal.signal(signal.SIGINT, lambda *_: called.append(1))
    sender = threading.Timer(0.1, os.kill, (os.getpid(), signal.SIGINT))
    try:
        sender.start()
        found = bd.solve(program, name, gap=1e-300, time_limit=0.3)
        sender.join()
        assert reaction_to_interrupts()[0] is not before
    finally:
        signal.signal(signal.SIGINT, before)
    assert called == [1]
    assert found.status is not bd.Status.INTERRUPTED


def test_a_result_and_an_error_of_work_apart_arrive():
    assert apart(lambda: threading.get_ident()) != threading.get_ident()
    with pytest.raises(KeyError, match="lost"):
        apart(lambda: {}["lost"])
    with np.errstate(over="raise"), pytest.raises(FloatingPointError):  # in the caller's context
        apart(lambda: np.float64(1e300) * 1e300)


def test_work_apart_is_stopped_in_time_and_called_again_after_an_interrupt_for_others():
    stopped, calls = threading.Event(), []

    def work():
        return "stopped" if stopped.wait(30) else "late"

    assert apart(work, stop=stopped.set, seconds=0.05) == "stopped"
    # a result that was interrupted counts only at the limit
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        assert apart(lambda: calls.append(1) or len(calls), lambda count: count < 5) == 5
    finally:
        signal.signal(signal.SIGINT, before)


@pytest.mark.slow
@pytest.mark.parametrize("order", ["highs cvxpy", "cvxpy highs"])
def test_highs_prints_no_banner(order):
    for name in order.split():
        if bd.BACKENDS[name].available() is not None:
            pytest.skip(f"{name} is not installed")
    code = """
    import sys
    import bidual as bd
    D = bd.BinaryMatrix.from_dense([[1, 0], [1, 1], [0, 1]])
    program = bd.ConvexProgram(D, [1.0, 2.0, -1.0], "absolute", 0.1)
    for name in sys.argv[1:]:
        options = {"solver": "HIGHS"} if name == "cvxpy" else {}
        print(bd.solve(program, name, **options).status.name)
    """
    assert in_a_child(code, *order.split()) == "CERTIFIED\nCERTIFIED\n"
