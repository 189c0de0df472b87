"""Outputs share the time limit: what one leaves, others get, until none is left."""

import itertools
import os
import subprocess
import sys
import textwrap
import threading
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import bidual as bd
from bidual.kernels.compiled import compile_seconds, compiled
from bidual.solvers import monitor
from bidual.solvers.backends.conic import ConicAnswer
from bidual.solvers.clock import now
from bidual.solvers.monitor import Monitor
from bidual.solvers.turns import take_turns

from covering import examples
from programs import random_program

STEP = 0.01  # seconds of a step of a block


class Clock:
    """A clock that tests move, and that a look moves by ``tick``."""

    def __init__(self, patch, tick=0.0):
        self.now, self.tick = 0.0, tick
        patch.setattr(monitor, "now", self)

    def __call__(self):
        self.now += self.tick
        return self.now


@examples(100)
@given(
    needs=st.lists(st.floats(0.0, 2.0), min_size=1, max_size=6),
    limit=st.floats(0.1, 5.0),
)
def test_time_is_used_until_all_blocks_are_done_or_none_is_left(needs, limit):
    with pytest.MonkeyPatch.context() as patch:
        clock = Clock(patch)
        watch = Monitor(random_program("squared"), 1e-300, limit)
        used = [0.0] * len(needs)

        def step(k, turn):
            while used[k] < needs[k] and not turn.late:
                used[k] += STEP
                clock.now += STEP
            return used[k] < needs[k]

        take_turns(watch, range(len(needs)), step)
    slack = STEP * (len(needs) + 1) ** 2  # a step per turn may begin late
    if sum(needs) + slack < limit:
        assert all(map(np.greater_equal, used, needs))
    if any(map(np.less, used, needs)):
        assert clock.now >= limit
    assert clock.now <= limit + slack
    for got, need in zip(used, needs, strict=True):
        assert got >= min(need, limit / len(needs)) - slack


def hard_and_easy():
    """One output that takes long and three that do not."""
    rng = np.random.default_rng(0)
    base = rng.random((120, 6)) < 0.5
    noisy = [np.logical_xor(base[:, rng.integers(6)], rng.random(120) < 0.02) for _ in range(200)]
    A = np.array(noisy).T.astype(int)
    hard, easy = rng.choice([-1.0, 1.0], size=120), np.where(A[:, 0] > 0, 1.0, -1.0)
    D = bd.BinaryMatrix.from_dense(A)
    one = bd.ConvexProgram(D, hard, "logistic")
    targets = np.column_stack([hard, easy, easy, easy])
    return bd.ConvexProgram(D, targets, "logistic", 0.01 * one.lambda_max)


@pytest.mark.parametrize(("name", "gap"), [("newton", 1e-5), ("lasso", 0.1)])
def test_a_hard_output_gets_what_easy_ones_leave(name, gap, monkeypatch):
    program = hard_and_easy()
    with monkeypatch.context() as patch:
        clock = Clock(patch, tick=1e-3)  # every look at the clock is work done
        assert bd.solve(program, name, gap=gap).status is bd.Status.CERTIFIED
        needed = clock.now
    for share, reached in ((1.5, True), (0.5, False)):
        with monkeypatch.context() as patch:
            clock = Clock(patch, tick=1e-3)
            found = bd.solve(program, name, gap=gap, time_limit=share * needed)
        assert found.status is (bd.Status.CERTIFIED if reached else bd.Status.TIME_LIMIT)
        if not reached:
            assert clock.now >= share * needed


class Slow(type(bd.BACKENDS["clarabel"])):
    """A conic solver that takes its time, and has an answer only if that suffices."""

    name = "slow"
    package = None

    def __init__(self, clock, needs):
        self.clock, self.needs, self.asked = clock, needs, []

    def build(self, form):
        return None

    def run(self, part, request):
        k = request.column
        self.asked.append((k, request.tolerance))
        used = min(self.needs[k], request.seconds)
        self.clock.now += used
        if used < self.needs[k]:
            return ConicAnswer(None, None, "time is up")
        size = part.form.matrix.shape
        return ConicAnswer(np.zeros(size[1]), np.zeros(size[0]), "solved")


@examples(50)
@given(needs=st.lists(st.floats(0.01, 4.0), min_size=3, max_size=3), limit=st.floats(1.0, 10.0))
def test_conic_solvers_go_on_with_the_runs_that_time_cut_short(needs, limit):
    # at W = 0 and V = 0 no gap is reached, so each output is run to each tolerance
    with pytest.MonkeyPatch.context() as patch:
        clock = Clock(patch)
        slow = Slow(clock, needs)
        found = bd.solve(random_program("absolute", outputs=3), slow, 1e-9, limit)
    runs = len(slow.tightenings)
    assert clock.now <= limit * (1 + 1e-9)
    if found.status is not bd.Status.TIME_LIMIT:
        tolerances = [[each for k, each in slow.asked if k == output] for output in range(3)]
        assert [len(dict.fromkeys(each)) for each in tolerances] == [runs] * 3
        assert runs * sum(needs) <= limit
    else:
        assert clock.now >= limit * (1 - 1e-9)


class Stuck(bd.Backend):
    """A backend that offers W = 0 and ends."""

    name = "stuck"

    def accepts(self, program):
        return None

    def solve(self, model, watch, options):
        watch.offer(0.0 * watch.weights, watch.intercept)
        return "no further progress"


def test_a_solve_that_ends_by_itself_is_not_out_of_time(monkeypatch):
    clock, settle = Clock(monkeypatch), Monitor.settle

    def slowly(self):
        clock.now += 10.0
        return settle(self)

    monkeypatch.setattr(Monitor, "settle", slowly)
    found = bd.solve(random_program("squared"), Stuck(), time_limit=5.0)
    assert found.status is bd.Status.INACCURATE


def test_the_clock_stands_still_while_a_kernel_is_compiled():
    def inner(x):
        return x + 1

    inner = compiled(inner)

    def outer(x):
        total = 0
        for k in range(x):
            total += inner(k)
        return total

    outer = compiled(outer)
    real, here, spent = time.perf_counter(), now(), compile_seconds()
    assert outer(3) == 6
    took, spent = time.perf_counter() - real, compile_seconds() - spent
    assert 0.0 < spent <= took  # the inner kernel counts once
    assert now() - here <= took - spent + 0.05
    assert spent > 0.5 * took


def test_kernels_that_other_threads_compile_do_not_move_the_clock():
    begin, end = threading.Event(), threading.Event()

    def other():
        begin.wait(30)
        compiled(lambda x: x * 3 + 1)(2)
        end.set()

    thread = threading.Thread(target=other)
    thread.start()
    real, here = time.perf_counter(), now()
    begin.set()
    times = [now()]
    while not end.is_set():
        times.append(now())
    thread.join()
    assert all(first <= later for first, later in itertools.pairwise(times))
    assert abs((now() - here) - (time.perf_counter() - real)) < 1e-3


@pytest.mark.slow
def test_a_first_solve_has_its_time_although_kernels_are_compiled(tmp_path):
    code = """
    import bidual as bd
    from bidual.kernels.compiled import compile_seconds
    D = bd.BinaryMatrix.from_dense([[1, 0], [1, 1], [0, 1]])
    program = bd.ConvexProgram(D, [1.0, -1.0, 1.0], "logistic", 0.1)
    for name in ("newton", "lasso", "admm"):
        print(bd.solve(program, name, gap=1e-6, time_limit=1.0).status.name)
    print(compile_seconds() > 1.0)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)],
        env={**os.environ, "NUMBA_CACHE_DIR": str(tmp_path)},
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.split() == ["CERTIFIED"] * 3 + ["True"]
