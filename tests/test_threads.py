"""Products are the same for any number of threads, and threads outlive forks and errors."""

import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from numba import config

import bidual as bd
from bidual.dictionaries.matrix import packed_columns
from bidual.dictionaries.threads import threads
from bidual.dictionaries.threads.threads import get_threads, set_threads, split, use_threads
from bidual.kernels import bits


@pytest.fixture(autouse=True)
def default_threads():
    yield
    set_threads(None)


@pytest.fixture
def small_parts(monkeypatch):
    """Split products however small."""
    monkeypatch.setattr(threads, "_REGISTERS_PER_THREAD", 1)


@pytest.mark.parametrize("columns", [0, 1, 2, 5, 9, 70, 131])
@pytest.mark.parametrize("rows", [1, 600, 1300, 5000])
def test_every_number_of_threads_gives_the_same_bits(rows, columns, small_parts, monkeypatch):
    rng = np.random.default_rng((rows, columns))
    D = bd.BinaryMatrix.from_dense(rng.random((rows, columns)) < 0.4)
    right, left = rng.normal(size=(columns, 2)), rng.normal(size=(rows, 2))
    numbers = (left * 2**40).astype(np.int64)
    chosen = np.arange(columns)[::2]

    def products():
        return [
            D.matvec(right), D.rmatvec(left), *D.price(left, chosen), D.rmatvec_exact(numbers),
            *D.rmatvec_exact(numbers, pairs=True), D.matvec_exact((right * 2**40).astype(np.int64)),
            D.rmatvec_within(left, 1e-3)[0], D.weighted_gram(numbers[:, 0]), D.gram(),
            D.gram(chosen), D.gram(chosen, chosen[1:]), D.gram(others=chosen),
        ]  # fmt: skip

    with use_threads(1):
        alone = products()
    for count in (2, 3, 8):
        with use_threads(count):
            assert all(map(np.array_equal, products(), alone))
            with monkeypatch.context() as patched:
                patched.setattr(packed_columns, "_COPIED", 0)  # as if there were too many
                assert all(map(np.array_equal, products()[-4:], alone[-4:]))
    dense = D.to_dense(np.int64)
    assert np.array_equal(alone[-4], dense.T @ dense)


def test_one_thread_counts_what_was_meant_for_several():
    # other threads may come late or never: a thread that comes counts all blocks not yet begun
    rng = np.random.default_rng(0)
    dense = rng.random((700, 150)) < 0.4
    words = bd.BinaryMatrix.from_dense(dense).words
    chosen = rng.permutation(150)[:131]
    expected = dense[:, chosen].T.astype(int) @ dense[:, chosen]
    blocks = 15  # sides of 32, 5 of them: those of a triangle
    for came in range(4):
        state = np.array([came, 0, 0, 0, 0])
        out = np.full((131, 131), -1)
        bits.gathered_gram(words, chosen, 131, True, state, out)
        assert np.array_equal(out, expected)
        assert state[0] == came + 1
        assert state[1:].sum() == blocks + 4  # each block once, and none left in each share
        out[:] = 0
        state[0] = 3
        bits.gathered_gram(words, chosen, 131, True, state, out)
        assert not out.any()


@pytest.mark.parametrize(("columns", "others"), [(256, None), (257, None), (200, 57)])
def test_no_thread_copies_more_than_a_mebibyte_of_columns(columns, others, monkeypatch):
    D = bd.BinaryMatrix.from_dense(np.eye(2**15, columns))  # 4 KiB a column
    gathered_gram, counted = bits.gathered_gram, set()

    def counting(words, numbers, *rest):
        counted.add(len(numbers))
        gathered_gram(words, numbers, *rest)

    monkeypatch.setattr(bits, "gathered_gram", counting)
    chosen, paired = np.arange(columns), others and np.arange(others)
    assert np.array_equal(D.gram(chosen, paired), np.eye(columns, others))
    assert counted == ({256} if columns == 256 else set())


@pytest.mark.parametrize("length", [0, 1, 2, 3, 10, 1001])
@pytest.mark.parametrize("count", [1, 2, 3, 7])
def test_parts_cover_the_whole_once_and_run_at_the_same_time(length, count, small_parts):
    seen, workers = np.zeros(length, dtype=int), set()
    wanted = max(1, min(length, count))
    together = threading.Barrier(wanted)

    def task(first, last):
        if threading.get_ident() not in workers:
            workers.add(threading.get_ident())
            together.wait(timeout=30)  # passes only when every thread has a part
        seen[first:last] += 1

    with use_threads(count):
        split(task, length, registers=10**9)
    assert (seen == 1).all()
    assert len(workers) == wanted
    assert threading.get_ident() in workers


def test_threads_wait_for_the_next_product_instead_of_piling_up(small_parts):
    def waiting():
        return sum(thread.name.startswith("bidual") for thread in threading.enumerate())

    with use_threads(3):
        split(lambda first, last: time.sleep(0.01), 100, 10**9)
        before = waiting()
        for _ in range(50):
            split(lambda first, last: None, 100, 10**9)
    assert 2 <= before == waiting()


def test_numbers_of_threads_that_change_share_the_same_ones(small_parts):
    code = """
import threading
from bidual.dictionaries.threads import threads
threads._REGISTERS_PER_THREAD = 1
for count in (2, 5, 3, 9, 4, 9, 2):
    with threads.use_threads(count):
        for _ in range(20):
            threads.split(lambda first, last: None, 100, 10**9)
print(threading.active_count())
"""
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert int(shown.stdout) <= 9 + 4  # the largest number, and some that are about to end


@pytest.mark.parametrize(
    "end", ["threading.Thread(target=late).start()", "import atexit; atexit.register(late)"]
)
@pytest.mark.slow
def test_products_work_while_the_interpreter_ends(end):
    code = f"""
import threading, time
import numpy as np, bidual as bd
from bidual.dictionaries.threads import threads
threads._REGISTERS_PER_THREAD = 1
threads.set_threads(3)
D = bd.BinaryMatrix.from_dense(np.eye(600, 40))
D.rmatvec(np.ones(600))
def late():
    time.sleep(0.5)  # the main thread is over by now
    print(D.rmatvec(np.ones(600)).sum())
{end}
"""
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.split() == ["40.0"]
    assert not shown.stderr


def test_work_within_work_ends(small_parts):
    # parts that split again, more of them than threads: none may wait for one that can't start
    total = []

    def inner(first, last):
        total.extend(range(first, last))

    with use_threads(4):
        split(lambda first, last: split(inner, 10, 10**9), 1000, 10**9)
    assert sorted(total) == sorted(list(range(10)) * 4 * threads._PARTS_PER_THREAD)


def test_no_part_runs_on_after_an_error_arrived(small_parts):
    running = []

    def task(first, last):
        running.append(first)
        time.sleep(0.02)
        running.remove(first)
        if first == 0:
            raise MemoryError

    with use_threads(3), pytest.raises(MemoryError):
        split(task, 3, 10**9)
    assert not running


def test_little_work_stays_in_the_calling_thread():
    calls = []
    with use_threads(8):
        split(lambda *part: calls.append(part), 100, 2 * threads._REGISTERS_PER_THREAD - 1)
        assert calls == [(0, 100)]
        split(lambda *part: calls.append(part), 100, 2 * threads._REGISTERS_PER_THREAD)
    assert len(calls) == 1 + 2 * (1 + threads._SMALL_PER_THREAD)


@pytest.mark.parametrize("part", [0, 1, 2])
def test_an_error_in_any_part_arrives(part, small_parts):
    def task(first, _):
        if first == part:
            raise MemoryError(f"part {part}")

    with use_threads(3), pytest.raises(MemoryError, match=f"part {part}"):
        split(task, 3, 100)


def test_default_is_what_numba_counts():
    assert get_threads() == config.NUMBA_NUM_THREADS >= 1


def test_set_threads_is_for_all_and_use_threads_for_the_calling_thread():
    elsewhere = []
    ask = lambda: elsewhere.append(get_threads())  # noqa: E731
    set_threads(5)
    with use_threads(3):
        assert get_threads() == 3
        with use_threads(2):
            assert get_threads() == 2
        assert get_threads() == 3
        asking = threading.Thread(target=ask)
        asking.start()
        asking.join()
    assert elsewhere == [5]
    assert get_threads() == 5
    set_threads(None)
    assert get_threads() == config.NUMBA_NUM_THREADS


def test_use_threads_ends_with_an_error():
    with pytest.raises(KeyError), use_threads(3):
        raise KeyError
    assert get_threads() == config.NUMBA_NUM_THREADS


@pytest.mark.parametrize("count", [0, -1, 1.5, "2", None])
def test_what_is_no_number_of_threads_is_refused(count):
    with pytest.raises(ValueError, match=r"^count: expected a whole number"), use_threads(count):
        pass
    if count is not None:
        with pytest.raises(ValueError, match=r"^count: expected a whole number"):
            set_threads(count)


def test_threads_of_the_caller_may_all_compute_at_once(small_parts):
    D = bd.BinaryMatrix.from_dense(np.random.default_rng(0).random((600, 40)) < 0.5)
    rows = np.arange(600)
    expected, found = D.rmatvec_exact(rows), []
    callers = [
        threading.Thread(target=lambda: found.extend(D.rmatvec_exact(rows) for _ in range(50)))
        for _ in range(4)
    ]
    for caller in callers:
        caller.start()
    for caller in callers:
        caller.join(timeout=60)
    assert len(found) == 200
    assert all(np.array_equal(each, expected) for each in found)


@pytest.mark.skipif(sys.platform == "win32", reason="no fork")
def test_forked_children_compute_while_the_parent_does():
    # a pool kept from before the fork would have no threads in the child, and wait for ever
    code = """
import os, sys, threading, warnings
import numpy as np, bidual as bd
from bidual.dictionaries.threads import threads
threads._REGISTERS_PER_THREAD = 1
threads.set_threads(3)
warnings.simplefilter("ignore")  # Python 3.12 warns of any fork beside threads
D = bd.BinaryMatrix.from_dense(np.random.default_rng(0).random((600, 40)) < 0.5)
rows = np.arange(600)
expected = D.rmatvec_exact(rows)
stop = threading.Event()
def work():
    while not stop.is_set():
        D.rmatvec_exact(rows)
busy = threading.Thread(target=work)
busy.start()
children = []
for _ in range(10):
    child = os.fork()
    if child == 0:
        same = all(np.array_equal(D.rmatvec_exact(rows), expected) for _ in range(20))
        os._exit(0 if same else 1)
    children.append(child)
codes = [os.waitpid(child, 0)[1] for child in children]
stop.set()
busy.join()
print(sum(codes), np.array_equal(D.rmatvec_exact(rows), expected))
"""
    shown = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    assert shown.stdout.split() == ["0", "True"]
