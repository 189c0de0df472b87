"""Measure newton's time by number of atoms and rows, and solve a program of a million atoms.

    python benchmarks/scaling.py [--json FILE] [--plot FILE] [--most 1000000]
    python benchmarks/scaling.py --large FILE

The sequences are scikit-learn's digits, repeated with random changes of pixels. The atoms are
spikes of one LIF layer. The program is digit 3 against the rest, squared loss with an intercept,
0.1 lambda_max, certified gap 1e-6. "passes" is the time of passes over all columns: prices,
certificates and sums of columns. The rest should not grow with the atoms, except for an array of
weights.

--large solves 20,000 rows and 1.2 million atoms in a file of 3 GB to a gap of 1e-4 and prints
the peak memory. It builds the file if needed and continues after an interruption.
"""

import argparse
import json
import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import machine
import numpy as np

import bidual as bd

ROWS, ATOMS = 2_000, 5_000  # fixed size while the other grows
ROUNDS = 3
LIVE = 1.6  # neurons to sample per atom: some are silent or duplicates
PASSES = ("rmatvec_within", "rmatvec", "price", "column_sums", "rmatvec_exact")
LIF = bd.LIF(hidden=(64,), leak=0.95)


def sequences(rows: int) -> tuple[Any, Any]:
    """Return noisy digits, and targets 1 for the digit 3, else -1."""
    rng = np.random.default_rng(0)
    images, labels = bd.tasks.digits()
    chosen = rng.integers(0, len(images), rows)
    noise = rng.integers(-3, 4, (rows, *images.shape[1:])) / 16
    return np.clip(images[chosen] + noise, 0, 1), np.where(labels[chosen] == 3, 1.0, -1.0)


def dictionary(rows: int, atoms: int) -> tuple[bd.BinaryMatrix, Any]:
    """Return a matrix of ``atoms`` atoms, and the targets."""
    X, y = sequences(rows)
    subnetworks = int(LIVE * atoms / LIF.hidden[-1]) + 2
    return LIF.sample(X, subnetworks=subnetworks).atoms.take(np.arange(atoms)), y


@contextmanager
def passes(atoms: int) -> Iterator[dict[str, float]]:
    """Time the methods that pass over all columns of a matrix with ``atoms`` columns."""
    seconds = {"passes": 0.0}
    before = {name: getattr(bd.BinaryMatrix, name) for name in PASSES}

    def timed(method: Any) -> Any:
        def call(self: bd.BinaryMatrix, *arguments: Any, **options: Any) -> Any:
            start = time.perf_counter()
            found = method(self, *arguments, **options)
            if self.shape[1] == atoms:
                seconds["passes"] += time.perf_counter() - start
            return found

        return call

    for name, method in before.items():
        setattr(bd.BinaryMatrix, name, timed(method))
    try:
        yield seconds
    finally:
        for name, method in before.items():
            setattr(bd.BinaryMatrix, name, method)


def program(D: bd.BinaryMatrix, y: Any) -> bd.ConvexProgram:
    free = bd.ConvexProgram(D, y, "squared", 0.0, intercept=True)
    return free.with_strength(0.1 * free.lambda_max)


def measure(D: bd.BinaryMatrix, y: Any) -> dict[str, Any]:
    """Return the median seconds of solves and of their passes over all columns."""
    stated = program(D, y)
    found = []
    for _ in range(ROUNDS):
        with passes(D.shape[1]) as seconds:
            start = time.perf_counter()
            solution = bd.solve(stated, "newton", gap=1e-6)
            found.append((time.perf_counter() - start, seconds["passes"]))
    whole, over_columns = np.median(found, axis=0)
    return {
        "rows": D.shape[0],
        "atoms": D.shape[1],
        "seconds": whole,
        "passes": over_columns,
        "rest": whole - over_columns,
        "active": solution.active.size,
        "steps": solution.iterations,
        "certified": solution.status is bd.Status.CERTIFIED,
    }


def show(record: dict[str, Any]) -> None:
    print(
        f"{record['rows']:>8d} {record['atoms']:>9d} {record['seconds']:9.3f} "
        f"{record['passes']:9.3f} {record['rest']:9.3f} {record['active']:7d} "
        f"{record['steps']:6d}  {'certified' if record['certified'] else 'NOT CERTIFIED'}",
        flush=True,
    )


def plot(file: str, by_atoms: list[dict[str, Any]], by_rows: list[dict[str, Any]]) -> None:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 3.6), layout="constrained")
    for axes, records, key in zip(
        figure.subplots(1, 2), (by_atoms, by_rows), ("atoms", "rows"), strict=True
    ):
        across = [record[key] for record in records]
        for name, mark in (("seconds", "o-"), ("passes", "s--"), ("rest", "^:")):
            label = {"seconds": "all", "passes": "passes over all columns", "rest": "the rest"}
            axes.loglog(across, [record[name] for record in records], mark, label=label[name])
        axes.set_xlabel(key)
        axes.set_ylabel("seconds")
        other = "rows" if key == "atoms" else "atoms"
        axes.set_title(f"{records[0][other]:,} {other}", fontsize=10)
        axes.grid(alpha=0.3)
    figure.axes[0].legend(frameon=False, fontsize=9)
    figure.savefig(file, dpi=150)


def large(file: str, rows: int, atoms: int) -> None:
    """Build, map and solve; print the time and the peak memory of each step."""

    def told(name: str, start: float) -> None:
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        print(f"{name:42s} {time.perf_counter() - start:8.1f} s   peak {peak:5.2f} GiB", flush=True)

    X, y = sequences(rows)
    bank = bd.SampledWitnesses(8, LIF.hidden, int(LIVE * atoms) // 64, 0, LIF.neuron)
    start = time.perf_counter()
    D = bd.SpikeDictionary.build(file, X, bank).atoms
    told("build, or verify a finished file", start)
    print(f"{D}: {D.nbytes / 1e9:.2f} GB packed")
    start = time.perf_counter()
    stated = program(D, y)
    told("lambda_max", start)
    start = time.perf_counter()
    solution = bd.solve(stated, "newton", gap=1e-4)
    told("solve to a certified relative gap of 1e-4", start)
    print(solution)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--most", type=int, default=10**6, help="largest number of atoms")
    parser.add_argument("--most-rows", type=int, default=10**5, help="largest number of rows")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers here")
    parser.add_argument("--plot", metavar="FILE", help="draw the times into a PNG, PDF or SVG")
    parser.add_argument("--large", metavar="FILE", help="solve the large program in this file")
    options = parser.parse_args()
    about = machine.describe()
    machine.show(about)
    if options.large:
        large(options.large, 20_000, 10**6)
        return
    head = ("rows", "atoms", "seconds", "passes", "rest", "active", "steps")
    print("{:>8} {:>9} {:>9} {:>9} {:>9} {:>7} {:>6}".format(*head))
    by_atoms, by_rows = [], []
    D, y = dictionary(ROWS, options.most)
    for atoms in (10**k for k in range(3, 7) if 10**k <= options.most):
        by_atoms.append(measure(D.take(np.arange(atoms)), y))
        show(by_atoms[-1])
    del D
    for rows in (10**k for k in range(3, 6) if 10**k <= options.most_rows):
        by_rows.append(measure(*dictionary(rows, ATOMS)))
        show(by_rows[-1])
    if options.json:
        result = {"machine": about, "by_atoms": by_atoms, "by_rows": by_rows}
        options.json.write_text(json.dumps(result, indent=1, default=float) + "\n")
    if options.plot:
        plot(options.plot, by_atoms, by_rows)


if __name__ == "__main__":
    main()
