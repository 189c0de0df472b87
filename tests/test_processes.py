"""Solves in other processes and threads give the same bits, however these were started."""

import os
import signal
import subprocess
import sys
import sysconfig
import time

import pytest

posix = pytest.mark.skipif(os.name != "posix", reason="needs fork and signals of Unix")

# what every script begins with: a spawned child runs it again, but not what follows __main__
COMMON = """
import asyncio, concurrent.futures, multiprocessing, os, pickle, sys, threading, warnings
import numpy as np, bidual as bd
from bidual.dictionaries.threads import threads

threads._REGISTERS_PER_THREAD = 1  # the thread pool works for small products too
threads.set_threads(3)
warnings.simplefilter("ignore")  # Python 3.12 warns of any fork beside threads
X = np.random.default_rng(0).integers(0, 9, size=(50, 3, 4)) / 8
lif = bd.LIF(hidden=(6, 4), leak=0.5)
LOSSES = ("squared", "hinge", "squared")

def atoms():
    return lif.sample(X, subnetworks=8, seed=0)

def program(loss):
    return lif.program(atoms(), np.arange(50) % 3, loss=loss, beta=0.02)

def bits(solution):
    parts = solution.weights, solution.intercept, solution.certificate.absolute_gap
    return [np.asarray(part).tobytes() for part in parts]

def programs():
    return [program(loss) for loss in LOSSES]
"""

POOLS = {
    "spawn": """
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        found = pool.map(bd.solve, programs())
""",
    "forkserver": """
    with multiprocessing.get_context("forkserver").Pool(2) as pool:
        found = pool.map(bd.solve, programs())
""",
    "fork": """
    with multiprocessing.get_context("fork").Pool(2) as pool:
        found = pool.map(bd.solve, programs())
""",
    "executor of spawned processes": """
    context = multiprocessing.get_context("spawn")
    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
        found = list(pool.map(bd.solve, programs()))
""",
    "executor of threads": """
    with concurrent.futures.ThreadPoolExecutor(3) as pool:
        found = list(pool.map(bd.solve, programs()))
""",
    "joblib loky": """
    import joblib
    solves = [joblib.delayed(bd.solve)(each) for each in programs()]
    found = joblib.Parallel(2, backend="loky")(solves)
""",
    "joblib threading": """
    import joblib
    solves = [joblib.delayed(bd.solve)(each) for each in programs()]
    found = joblib.Parallel(3, backend="threading")(solves)
""",
    "asyncio with threads": """
    async def all_of_them(pool=None):
        loop = asyncio.get_running_loop()
        solves = [loop.run_in_executor(pool, bd.solve, each) for each in programs()]
        return await asyncio.gather(*solves)
    found = asyncio.run(all_of_them())
""",
    "asyncio with processes": """
    async def all_of_them():
        loop = asyncio.get_running_loop()
        context = multiprocessing.get_context("spawn")
        with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
            solves = [loop.run_in_executor(pool, bd.solve, each) for each in programs()]
            return await asyncio.gather(*solves)
    found = asyncio.run(all_of_them())
""",
    "executor of threads in a forked child": """
    def child(pipe):
        with concurrent.futures.ThreadPoolExecutor(3) as pool:
            pipe.send(list(pool.map(bd.solve, programs())))
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe()
    forked = context.Process(target=child, args=(there,))
    forked.start()
    found = here.recv()
    forked.join()
""",
    "processes of a forked child": """
    def child(pipe):
        context = multiprocessing.get_context("fork")
        with concurrent.futures.ProcessPoolExecutor(2, mp_context=context) as pool:
            pipe.send(list(pool.map(bd.solve, programs())))
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe()
    forked = context.Process(target=child, args=(there,))
    forked.start()
    found = here.recv()
    forked.join()
""",
}


def run(code, folder, **environment):
    """What a script prints; it may start processes of its own."""
    script = folder / "script.py"
    script.write_text(COMMON + code)
    done = subprocess.run(
        [sys.executable, str(script)],
        capture_output=True,
        text=True,
        timeout=300,
        env=os.environ | environment,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return done.stdout.split()


@posix
@pytest.mark.slow
@pytest.mark.parametrize("pool", POOLS)
def test_solves_of_a_pool_give_the_bits_of_this_process(pool, tmp_path):
    code = f"""
if __name__ == "__main__":
    expected = [bits(bd.solve(each)) for each in programs()]  # the thread pool has started
    assert any(thread.name == "bidual thread" for thread in threading.enumerate())
{POOLS[pool]}
    assert [bits(each) for each in found] == expected
    assert all(each.status is bd.Status.CERTIFIED for each in found)
    assert bits(bd.solve(program("hinge"))) == expected[1]
    print("same")
"""
    assert run(code, tmp_path) == ["same"]


@pytest.mark.slow
def test_objects_travel_to_a_spawned_process_and_back(tmp_path):
    code = """
import bidual.cli.main

def bounds(certificate):
    return certificate.primal, certificate.dual, certificate.absolute_gap

def there(program, atoms, solution, network, certificate, exact):
    again = bd.solve(program)
    assert bits(again) == bits(solution)
    assert bounds(bd.certify(program, solution)) == bounds(certificate)
    assert bounds(bd.certify(program, solution, exact=True)) == bounds(exact)
    assert (network.predict(X) == again.network().predict(X)).all()
    assert lif.sample(X, subnetworks=8, seed=0).atoms.words.tobytes() == atoms.atoms.words.tobytes()
    return program, atoms, solution, network, certificate, exact

if __name__ == "__main__":
    one = program("hinge")
    solution = bd.solve(one)
    sent = (one, atoms(), solution, solution.network(), bd.certify(one, solution),
            bd.certify(one, solution, exact=True))
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        back = pool.apply(there, sent)
    assert bits(bd.solve(back[0])) == bits(solution) == bits(back[2])
    assert (back[1].atoms.words == sent[1].atoms.words).all()
    assert (back[3].predict(X) == sent[3].predict(X)).all()
    assert [bounds(each) for each in back[4:]] == [bounds(each) for each in sent[4:]]
    back[5].save(sys.argv[0] + ".cert")
    print(bd.cli.main.main(["verify", sys.argv[0] + ".cert"]))
"""
    assert run(code, tmp_path)[-1] == "0"


@pytest.mark.slow
def test_threads_may_use_the_first_public_name_at_once():
    code = """
import threading
import bidual as bd
names, together, found = sorted(bd.__all__), threading.Barrier(16), []
def use(k):
    together.wait()
    found.append(getattr(bd, names[k]))
threads = [threading.Thread(target=use, args=(5 * k % len(names),)) for k in range(16)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(len(found))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=300)
    assert (done.stdout, done.stderr) == ("16\n", "")


@pytest.mark.slow
def test_a_cancelled_solve_goes_on_in_its_thread_and_disturbs_no_other(tmp_path):
    code = """
async def job(expected):
    loop, started, ended = asyncio.get_running_loop(), threading.Event(), threading.Event()
    def slow(progress):
        started.set()
        ended.wait(30)
    late = loop.run_in_executor(None, lambda: bd.solve(program("hinge"), callback=slow))
    await loop.run_in_executor(None, started.wait, 30)
    late.cancel()
    try:
        await late
    except asyncio.CancelledError:
        print("cancelled")
    beside = await loop.run_in_executor(None, bd.solve, program("hinge"))
    assert bits(beside) == expected
    ended.set()
    assert bits(await loop.run_in_executor(None, bd.solve, program("hinge"))) == expected

if __name__ == "__main__":
    asyncio.run(job(bits(bd.solve(program("hinge")))))
    print("ended")  # and the loop waited for the cancelled solve's thread
"""
    assert run(code, tmp_path) == ["cancelled", "ended"]


PRODUCTS = """
import sys
import numpy as np, bidual as bd
D = bd.BinaryMatrix.from_dense(np.random.default_rng(0).random((600, 40)) < 0.5)
rows, columns = np.arange(600), np.arange(40)
products = [
    lambda: D.rmatvec(rows / 7), lambda: D.rmatvec_exact(rows), lambda: D.matvec(columns / 7),
    lambda: D.matvec_exact(columns), lambda: D.price(rows / 7, columns)[0], lambda: D.gram(),
]
found = [product().sum() for product in products[:: int(sys.argv[1])]]
print(found[:: int(sys.argv[1])])
"""
IN_ORDER, BACKWARDS = ([sys.executable, "-c", PRODUCTS, way] for way in ("1", "-1"))


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 4])
def test_processes_may_compile_the_same_kernels_at_once(count, tmp_path):
    expected = subprocess.run(IN_ORDER, capture_output=True, text=True, check=True).stdout
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    started = [
        subprocess.Popen(
            BACKWARDS if k % 2 else IN_ORDER,  # so that they compile for different types at a time
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        for k in range(count)
    ]
    for process in started:
        assert process.communicate(timeout=500) == (expected, "")
        assert process.returncode == 0
    after = subprocess.run(IN_ORDER, capture_output=True, text=True, env=environment)
    assert (after.stdout, after.stderr) == (expected, "")


@posix
@pytest.mark.slow
def test_a_process_killed_while_it_compiles_leaves_a_folder_that_the_next_can_use(tmp_path):
    expected = subprocess.run(IN_ORDER, capture_output=True, text=True, check=True).stdout
    environment = os.environ | {"NUMBA_CACHE_DIR": str(tmp_path)}
    for killed in range(5):
        # while a file of a kernel grows, or just before or after
        before = {*tmp_path.rglob("*.nb*")}
        process = subprocess.Popen(IN_ORDER, env=environment, stdout=subprocess.DEVNULL)
        while process.poll() is None and not {*tmp_path.rglob("*.nb*")} - before:
            time.sleep(0.0002 * killed)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert [*tmp_path.rglob("*.nb*")]
    after = subprocess.run(IN_ORDER, capture_output=True, text=True, env=environment)
    assert (after.stdout, after.stderr) == (expected, "")


@pytest.mark.skipif(
    not sysconfig.get_config_var("Py_GIL_DISABLED"), reason="needs a free-threaded Python"
)
@pytest.mark.slow
def test_threads_without_a_lock_give_the_same_bits(tmp_path):
    code = """
if __name__ == "__main__":
    expected = [bits(bd.solve(each)) for each in programs()]
    assert not sys._is_gil_enabled(), "an imported library has switched the lock on"
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        found = list(pool.map(bd.solve, programs() * 20))
    assert [bits(each) for each in found] == expected * 20
    D, rows = bd.BinaryMatrix.from_dense(np.eye(600, 40)), np.arange(600)
    for _ in range(2000):
        assert (D.rmatvec_exact(rows) == np.arange(40)).all()
    print("same")
"""
    assert run(code, tmp_path) == ["same"]
