"""Compare products with a packed 0/1 matrix to BLAS on the dense matrix.

    python benchmarks/kernels.py [--json FILE]

BLAS gets float64, one thread, and the faster of the two memory orders. bidual gets one thread,
and two in the comparison of threads. All candidates take turns.

The ratio to BLAS is one of median processor times, because other processes interrupt long calls
more often than short ones. The comparison of threads uses the clock. One and two threads take
turns of thirty calls, so that an idle core reaches full speed. Since cores change their speed
within seconds, a turn is compared with its neighbour, and the ratio is the median of these.

"apart" shows the machine's own limit: two threads that make thirty calls each and meet only at
their end, against sixty calls in one thread. "stolen" is the share of both processors' time that
other guests of the machine took. Above a few per cent, threads that meet after each call wait for
one that does not run.

D'r to a number of bits includes rounding r and splitting it into planes. The Gram matrix includes
gathering its columns.
"""

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from threading import Thread
from typing import Any

import machine
import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

import bidual as bd
from bidual.dictionaries.threads.threads import use_threads

SHAPES = ((4096, 20000), (24576, 4096))
DENSITIES = (0.05, 0.2, 0.5)
BITS = (12, 24, 48)
GRAM_COLUMNS = 500
TARGETS = {"D'r, 12 bits": 15, "D'r, 24 bits": 6, "D'r, 48 bits": 3, "Gram of 500": 10}
CALLS = 30  # calls per turn in the comparison of threads
FIRST_CALL_TARGET = 1.0  # seconds

FIRST_CALLS = """
import json, time
import numpy as np, bidual as bd
seconds = {}
def first(name, call):
    start = time.perf_counter()
    result = call()
    seconds[name] = time.perf_counter() - start
    return result
D = first("from_dense", lambda: bd.BinaryMatrix.from_dense(np.eye(100) != 0))
first("rmatvec_within", lambda: D.rmatvec_within(np.ones(100), 1e-3))
first("rmatvec_exact", lambda: D.rmatvec_exact(np.ones(100, dtype=int)))
first("matvec_exact", lambda: D.matvec_exact(np.ones(100, dtype=int)))
first("rmatvec", lambda: D.rmatvec(np.ones(100)))
first("matvec", lambda: D.matvec(np.ones(100)))
first("gram", lambda: D.gram())
first("price", lambda: D.price(np.ones(100), [0]))
first("add_column", lambda: D.add_column(0, 1.0, np.ones(100)))
first("to_csc", lambda: D.to_csc())
print(json.dumps(seconds))
"""


def take_turns(
    candidates: dict[Any, Callable[[], Any]], rounds: int
) -> dict[Any, tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Return the processor and clock seconds of each candidate's turns."""
    seconds: dict[Any, list[tuple[float, float]]] = {name: [] for name in candidates}
    for turn in range(rounds + 1):
        for name, call in candidates.items():
            start = time.process_time(), time.perf_counter()
            call()
            end = time.process_time(), time.perf_counter()
            if turn:  # the first one warms up
                seconds[name].append((end[0] - start[0], end[1] - start[1]))
    return {name: tuple(np.transpose(times)) for name, times in seconds.items()}


def in_threads(count: int, call: Callable[[], Any], calls: int = 1) -> Callable[[], Any]:
    def run() -> None:
        with use_threads(count):
            for _ in range(calls):
                call()

    return run


def apart(call: Callable[[], Any]) -> Callable[[], Any]:
    """Return a call that runs two independent threads with CALLS calls each."""
    several = in_threads(1, call, CALLS)

    def run() -> None:
        other = Thread(target=several)
        other.start()
        several()
        other.join()

    return run


def measure(rows: int, columns: int, density: float, rounds: int) -> list[dict[str, Any]]:
    """Measure every product at a shape and density; return a record per product."""
    rng = np.random.default_rng((rows, columns))
    dense = rng.random((rows, columns)) < density
    D = bd.BinaryMatrix.from_dense(dense)
    r, w = rng.normal(size=rows), rng.normal(size=columns)
    by_row = dense.astype(np.float64)
    by_column = np.asfortranarray(by_row)
    chosen = rng.permutation(columns)[:GRAM_COLUMNS]
    few_by_row = np.ascontiguousarray(by_row[:, chosen])
    few_by_column = np.asfortranarray(few_by_row)
    integers = np.rint(w * 2**20).astype(np.int64)

    ours: dict[str, tuple[str, Callable[[], Any]]] = {}
    largest = int(D.column_sums().max())
    for bits in BITS:
        # accuracy of r in that many bits, and a little for the last conversion
        accuracy = 1.1 * largest * 2.0 ** (np.frexp(np.abs(r).max())[1] - bits)
        found, bound = D.rmatvec_within(r, accuracy)
        error = float(np.abs(found - by_column.T @ r).max())
        if error > bound + 1e-11 * rows:
            raise AssertionError(
                f"D'r to {bits} bits: expected an error of at most {bound}, got {error}"
            )
        ours[f"D'r, {bits} bits"] = "D'r", lambda a=accuracy: D.rmatvec_within(r, a)
    ours["D'r, float64"] = "D'r", lambda: D.rmatvec(r)
    ours["D w, float64"] = "D w", lambda: D.matvec(w)
    ours["D w, int64"] = "D w", lambda: D.matvec_exact(integers)
    ours[f"Gram of {GRAM_COLUMNS}"] = "Gram", lambda: D.gram(chosen)
    blas = {
        "D'r": (lambda: by_row.T @ r, lambda: by_column.T @ r),
        "D w": (lambda: by_row @ w, lambda: by_column @ w),
        "Gram": (lambda: few_by_row.T @ few_by_row, lambda: few_by_column.T @ few_by_column),
    }

    candidates: dict[str, Callable[[], Any]] = {}
    for name, orders in blas.items():
        for order, call in zip("CF", orders, strict=True):
            candidates[f"BLAS {name} {order}"] = call
    for name, (_, call) in ours.items():
        candidates[name] = in_threads(1, call)
    with threadpool_limits(1):
        seconds = take_turns(candidates, rounds)
        threaded, stolen = {}, {}
        for name, (_, call) in ours.items():
            turns = {n: in_threads(n, call, CALLS) for n in (1, 2)} | {"apart": apart(call)}
            start = time.perf_counter(), machine.stolen()
            threaded[name] = take_turns(turns, rounds)
            end = time.perf_counter(), machine.stolen()
            stolen[name] = (end[1] - start[1]) / (end[0] - start[0]) / (os.cpu_count() or 1)

    records = []
    for name, (kind, _) in ours.items():
        best = min(float(np.median(seconds[f"BLAS {kind} {order}"][0])) for order in "CF")
        one = float(np.median(seconds[name][0]))
        by_clock, two, both = (threaded[name][n][1] for n in (1, 2, "apart"))
        records.append(
            {
                "rows": rows,
                "columns": columns,
                "density": density,
                "product": name,
                "milliseconds": 1e3 * one,
                "blas_milliseconds": 1e3 * best,
                "times_blas": best / one,
                "target": TARGETS.get(name),
                "two_threads": float(np.median(by_clock / two)),
                "two_apart": float(np.median(2 * by_clock / both)),
                "stolen": stolen[name],
            }
        )
    return records


def first_calls() -> dict[str, float]:
    """Return the seconds of first calls in a new process with kernels cached on disk."""
    for _ in range(2):  # the first process fills the cache
        shown = subprocess.run(
            [sys.executable, "-c", FIRST_CALLS], capture_output=True, text=True, check=True
        )
    seconds: dict[str, float] = json.loads(shown.stdout)
    return seconds


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=15, help="number of rounds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers here")
    arguments = parser.parse_args()

    described = machine.describe()
    machine.show(described)
    print(f"{'rows x columns':>15s} {'density':>7s}  {'product':14s}{'ms':>8s}", end="")
    print(f" {'BLAS ms':>8s} {'x BLAS':>7s} {'target':>7s} {'2 threads':>10s}  apart  stolen")
    records = []
    for shape in SHAPES:
        for density in DENSITIES:
            for record in measure(*shape, density, arguments.rounds):
                records.append(record)
                target = f"{record['target']:7d}" if record["target"] else " " * 7
                print(
                    f"{shape[0]:>7d} x{shape[1]:>6d} {density:7.2f}  {record['product']:14s}"
                    f"{record['milliseconds']:8.2f} {record['blas_milliseconds']:8.2f}"
                    f" {record['times_blas']:7.1f} {target} {record['two_threads']:10.2f}"
                    f" {record['two_apart']:6.2f} {record['stolen']:7.1%}",
                    flush=True,
                )
    print("\n2 threads: times as fast as one; apart: the machine's own limit")
    calls = first_calls()
    print(f"first calls from a warm cache: target below {FIRST_CALL_TARGET:g} s")
    for name, taken in calls.items():
        print(f"  {name:15s} {taken:.3f} s")
    described["load_after"] = machine.describe()["load"]
    print(f"load after: {described['load_after']}")
    if arguments.json:
        result = {"machine": described, "products": records, "first_calls": calls}
        arguments.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
