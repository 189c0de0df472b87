"""Helpers work with the one that asks, leave when nothing comes, and keep nothing alive."""

import contextlib
import gc
import signal
import subprocess
import sys
import threading
import time
import weakref

import numpy as np
import pytest
from numba import njit

from bidual.dictionaries.threads import pool as helpers_module
from bidual.dictionaries.threads.pool import Helpers
from bidual.kernels import waiting
from bidual.kernels.waiting import await_count, linger

FOREVER = 10**12  # reads: hours where a pause is between them, minutes where none is


def in_thread(call, *arguments):
    thread = threading.Thread(target=call, args=arguments, daemon=True)
    thread.start()
    return thread


def until(condition):
    end = time.monotonic() + 30
    while not condition() and time.monotonic() < end:
        time.sleep(0.001)
    return condition()


def counts():
    return np.zeros(1, dtype=np.int64), np.zeros(1, dtype=np.int64)


def test_who_lingers_has_counted_itself_and_sees_what_is_posted():
    done, posted = counts()
    lingering = [in_thread(linger, done, posted, 0, FOREVER, 10) for _ in range(3)]
    assert until(lambda: done[0] == 3)
    time.sleep(0.05)
    assert all(thread.is_alive() for thread in lingering)
    posted[0] = 1
    for thread in lingering:
        thread.join(timeout=30)
        assert not thread.is_alive()


def test_who_lingers_gives_up():
    done, posted = counts()
    linger(done, posted, 0, 1000, FOREVER)  # the delay is only after something was posted
    assert done[0] == 1


def test_counts_lose_nothing_where_threads_add_at_once():
    @njit(nogil=True)
    def often(count, times):
        for _ in range(times):
            waiting._increase(count)

    done, _ = counts()
    often(done, 1)
    for thread in [in_thread(often, done, 10**6) for _ in range(3)]:
        thread.join(timeout=60)
    assert done[0] == 3 * 10**6 + 1


def test_a_count_is_awaited_and_given_up():
    done, _ = counts()
    await_count(done, 1, 1000)
    waiting = in_thread(await_count, done, 2, FOREVER)
    done[0] = 1
    time.sleep(0.05)
    assert waiting.is_alive()
    done[0] = 2
    waiting.join(timeout=30)
    assert not waiting.is_alive()


@pytest.mark.parametrize("count", [1, 3])
def test_all_work_at_once_and_have_ended_when_share_returns(count):
    together, workers = threading.Barrier(count + 1), []

    def work():
        together.wait(timeout=30)  # passes only when the caller and every helper are here
        time.sleep(0.01)
        workers.append(threading.get_ident())

    helpers = Helpers()
    for _ in range(5):
        helpers.share(work, count)
        assert len(set(workers)) == count + 1
        assert threading.get_ident() in workers
        workers.clear()


def test_helpers_sleep_when_nothing_comes_and_wake_again():
    helpers, calls = Helpers(), []
    for _ in range(3):
        helpers.share(lambda: (calls.append(1), time.sleep(0.02)), 2)
        assert until(lambda: helpers._awake == 0)
        assert not helpers._jobs
    assert len(calls) == 9


@pytest.mark.parametrize(("soon", "woken"), [(float("inf"), 1), (-1.0, 20)])
def test_helpers_stay_awake_where_work_comes_soon(soon, woken, monkeypatch):
    monkeypatch.setattr(helpers_module, "_SOON", soon)
    monkeypatch.setattr(helpers_module, "_TURNS", 10**8)  # seconds
    helpers, together, calls = Helpers(), threading.Barrier(2), []
    serve = helpers._serve
    monkeypatch.setattr(helpers, "_serve", lambda: (calls.append(1), serve()))
    for _ in range(20):
        helpers.share(lambda: together.wait(timeout=30), 1)
        assert soon > 0 or until(lambda: helpers._awake == 0)
    assert len(calls) == woken


@pytest.mark.skipif(sys.platform == "win32", reason="signals of a timer are of Unix")
def test_an_interrupt_at_any_moment_leaves_helpers_at_work():
    helpers, interrupts, calls = Helpers(), 0, []
    helpers.share(lambda: None, 1)  # Numba must not be interrupted

    def interrupt(*_):
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        for k in range(300):
            left = iter(range(50))
            try:
                signal.setitimer(signal.ITIMER_REAL, 1e-5 * (1 + k % 40))
                helpers.share(lambda left=left: calls.extend(left), 1)
                time.sleep(0.01)
            except KeyboardInterrupt:
                interrupts += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert interrupts == 300
    assert until(lambda: helpers._awake == 0)
    together = threading.Barrier(2)
    helpers.share(lambda: together.wait(timeout=30), 1)  # passes only when a helper comes


def test_a_caller_does_not_wait_for_helpers_that_others_keep():
    helpers, go_on, busy = Helpers(), threading.Event(), threading.Event()

    def long():
        if threading.current_thread().name.startswith("bidual"):
            busy.set()
            go_on.wait(timeout=60)
        else:
            busy.wait(timeout=30)

    other = in_thread(helpers.share, long, 1)
    assert busy.wait(timeout=30)
    calls = []
    helpers.share(lambda: calls.append(threading.get_ident()), 1)
    assert calls == [threading.get_ident()]
    assert other.is_alive()
    go_on.set()
    other.join(timeout=30)
    assert not other.is_alive()


@pytest.mark.parametrize("where", ["here", "in a helper"])
def test_an_error_arrives_when_all_have_ended(where):
    together, ended = threading.Barrier(2), []

    def work():
        here = threading.current_thread() is threading.main_thread()
        together.wait(timeout=30)
        if here == (where == "here"):
            raise ZeroDivisionError(where)
        time.sleep(0.05)
        ended.append(where)

    helpers = Helpers()
    with pytest.raises(ZeroDivisionError, match=where):
        helpers.share(work, 1)
    assert ended == [where]
    helpers.share(lambda: ended.append(2), 1)  # and they still work
    assert 2 in ended


def test_who_asks_frees_what_the_work_held_though_helpers_linger(monkeypatch):
    class Large:
        pass

    monkeypatch.setattr(helpers_module, "_SOON", float("inf"))
    monkeypatch.setattr(helpers_module, "_TURNS", 10**8)  # seconds
    helpers, together = Helpers(), threading.Barrier(2)
    for _ in range(20):
        large = Large()
        gone = weakref.ref(large)
        helpers.share(lambda kept=large: together.wait(timeout=30), 1)
        del large
        assert gone() is None


def test_an_error_keeps_nothing_of_the_work_in_memory():
    class Large:
        pass

    large = Large()
    gone, together = weakref.ref(large), threading.Barrier(2)

    def work(kept=large):
        together.wait(timeout=30)
        if threading.current_thread() is not threading.main_thread():
            raise ZeroDivisionError

    gc.disable()  # what holds itself is not to be collected
    try:
        with contextlib.suppress(ZeroDivisionError):
            Helpers().share(work, 1)
        del large, work
        assert until(lambda: gone() is None)
    finally:
        gc.enable()


def test_closed_helpers_leave_the_work_to_the_caller():
    helpers, calls, together = Helpers(), [], threading.Barrier(4)
    helpers.share(lambda: together.wait(timeout=30), 3)
    threads = list(helpers._threads)
    assert len(threads) == 3
    helpers.close()
    assert not any(thread.is_alive() for thread in threads)
    for _ in range(3):
        helpers.share(lambda: calls.append(threading.get_ident()), 3)
    assert calls == [threading.get_ident()] * 3
    assert helpers._awake == 0


@pytest.mark.slow
def test_an_interpreter_ends_while_helpers_linger():
    code = """
from bidual.dictionaries.threads.pool import Helpers
helpers = Helpers()
for _ in range(20):
    helpers.share(lambda: None, 3)
"""
    for _ in range(5):
        ended = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60)
        assert (ended.returncode, ended.stderr) == (0, b"")
