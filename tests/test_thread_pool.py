"""Threads of a pool work beside the caller, outlive interrupts and errors, and keep nothing."""

import contextlib
import gc
import signal
import subprocess
import sys
import threading
import time
import weakref

import pytest

from bidual.dictionaries.threads.pool import ThreadPool


def in_thread(call, *arguments):
    thread = threading.Thread(target=call, args=arguments, daemon=True)
    thread.start()
    return thread


def until(condition):
    end = time.monotonic() + 30
    while not condition() and time.monotonic() < end:
        time.sleep(0.001)
    return condition()


@pytest.mark.parametrize("count", [1, 3])
def test_all_work_at_once_and_have_ended_when_share_returns(count):
    together, workers = threading.Barrier(count + 1), []

    def work():
        together.wait(timeout=30)  # passes only when the caller and every thread are here
        time.sleep(0.01)
        workers.append(threading.get_ident())

    pool = ThreadPool()
    for _ in range(5):
        pool.share(work, count)
        assert len(set(workers)) == count + 1
        assert threading.get_ident() in workers
        workers.clear()


@pytest.mark.skipif(sys.platform == "win32", reason="signals of a timer are of Unix")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_an_interrupt_at_any_moment_leaves_threads_at_work():
    # an executor of concurrent.futures hung after some hundreds, in three runs of six
    pool, interrupts, alarms = ThreadPool(), 0, 0

    def interrupt(*_):
        nonlocal alarms
        alarms += 1
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGALRM, interrupt)
    try:
        for k in range(2000):
            try:
                # again after 0.2 s: Python drops an interrupt that comes in some callbacks
                signal.setitimer(signal.ITIMER_REAL, 1e-6 * (1 + k % 300), 0.2)
                while True:
                    pool.share(lambda: None, 1)
            except KeyboardInterrupt:
                interrupts += 1
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert interrupts == 2000
    assert alarms <= 2020  # more would be calls that wait and only the next alarm ends
    together = threading.Barrier(2)
    pool.share(lambda: together.wait(timeout=30), 1)  # passes only when a thread comes


def test_a_caller_does_not_wait_for_threads_that_others_keep():
    pool, go_on, busy = ThreadPool(), threading.Event(), threading.Event()

    def long():
        if threading.current_thread().name.startswith("bidual"):
            busy.set()
            go_on.wait(timeout=60)
        else:
            busy.wait(timeout=30)

    other = in_thread(pool.share, long, 1)
    assert busy.wait(timeout=30)
    calls = []
    pool.share(lambda: calls.append(threading.get_ident()), 1)
    assert calls == [threading.get_ident()]
    for _ in range(100):
        pool.share(lambda: None, 1)
    assert not pool._jobs
    assert pool._calls.qsize() == 1  # calls do not pile up before a busy thread
    assert other.is_alive()
    go_on.set()
    other.join(timeout=30)
    assert not other.is_alive()


@pytest.mark.parametrize("where", ["here", "in a thread"])
def test_an_error_arrives_when_all_have_ended(where):
    together, ended = threading.Barrier(2), []

    def work():
        here = threading.current_thread() is threading.main_thread()
        together.wait(timeout=30)
        if here == (where == "here"):
            raise ZeroDivisionError(where)
        time.sleep(0.05)
        ended.append(where)

    pool = ThreadPool()
    with pytest.raises(ZeroDivisionError, match=where):
        pool.share(work, 1)
    assert ended == [where]
    pool.share(lambda: ended.append(2), 1)  # and they still work
    assert 2 in ended


def test_a_caller_frees_what_the_work_held():
    class Large:
        pass

    pool, together = ThreadPool(), threading.Barrier(2)
    for _ in range(20):
        large = Large()
        gone = weakref.ref(large)
        pool.share(lambda kept=large: together.wait(timeout=30), 1)
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
            ThreadPool().share(work, 1)
        del large, work
        assert until(lambda: gone() is None)
    finally:
        gc.enable()


def test_a_closed_pool_leaves_the_work_to_the_caller():
    pool, calls, together = ThreadPool(), [], threading.Barrier(4)
    pool.share(lambda: together.wait(timeout=30), 3)
    threads = list(pool._threads)
    assert len(threads) == 3
    pool.close()
    assert not any(thread.is_alive() for thread in threads)
    for _ in range(3):
        pool.share(lambda: calls.append(threading.get_ident()), 3)
    assert calls == [threading.get_ident()] * 3


@pytest.mark.slow
@pytest.mark.parametrize("caller", ["main", "daemon"])
def test_an_interpreter_ends_beside_a_pool(caller):
    code = f"""
import threading, time
from bidual.dictionaries.threads.threads import _pool
def work():
    while True:
        _pool.share(lambda: time.sleep(1e-4), 3)
if {caller == "daemon"}:
    threading.Thread(target=work, daemon=True).start()
    time.sleep(0.05)
else:
    for _ in range(20):
        _pool.share(lambda: None, 3)
"""
    for _ in range(5):
        ended = subprocess.run([sys.executable, "-c", code], capture_output=True, timeout=60)
        assert (ended.returncode, ended.stderr) == (0, b"")
