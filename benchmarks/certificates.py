"""Measure the cost of exact certificates beside solving, and the time of the checker.

    python benchmarks/certificates.py [--json FILE] [--small]

Proofs: digits (1,797 images of 8 steps, 3 against the rest, 250 subnetworks of two LIF layers;
softmax has all ten classes). newton solves to a gap of 1e-6 at 0.02 lambda_max, then bidual
computes the exact certificate of the answer. Figures are medians of 5 rounds, or of fewer if solves
take seconds; each round uses a new program. Absolute loss with an intercept is at 0.1 lambda_max,
because newton misses the gap at 0.02. A solve stops after 20 s; the share of the proof is then an
upper bound.

Checks: the checker runs in a new Python without installed packages, and its time includes the
start. It checks the certificate of hinge loss on digits, and one of 60,000 rows and 20,000 atoms.
The latter has random entries, a quarter of them 1, labels by the sum of 40 atoms, hinge loss,
intercept, 0.1 lambda_max and gap 1e-4. With --small the sizes are small and the times mean little.
"""

import argparse
import json
import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import machine
import numpy as np

import bidual as bd

CHECKER = Path(bd.__file__).parent / "certificates" / "checker.py"
ROUNDS = 5
ENOUGH = 5.0  # seconds of solving, after which no round begins
SHARE, SECONDS = 0.10, 0.3  # limits on proofs: of newton's time, and seconds with one output


def digits(subnetworks: int, loss: str, intercept: bool) -> bd.ConvexProgram:
    """Return the program at its share of lambda_max."""
    X, y = bd.tasks.digits()
    lif = bd.LIF(hidden=(64, 32), leak=0.99, threshold=1.0)
    atoms = lif.sample(X, subnetworks=subnetworks, seed=0)
    target = y if loss == "softmax" else np.where(y == 3, 1.0, -1.0)
    program = lif.program(atoms, target, loss=loss, strength=1.0, intercept=intercept)
    share = 0.1 if loss == "absolute" and intercept else 0.02
    return program.with_strength(share * program.lambda_max)


def random_columns(rows: int, atoms: int) -> bd.ConvexProgram:
    """Return a program with labels by the sum of 40 columns, at 0.1 lambda_max."""
    rng = np.random.default_rng(0)
    blocks = []
    for first in range(0, atoms, 500):
        size = rows, min(500, atoms - first)
        ones = rng.integers(0, 4, size, dtype=np.uint8) == 0
        blocks.append(bd.BinaryMatrix.from_dense(ones))
    D = bd.BinaryMatrix.hstack(blocks)
    planted = np.zeros(atoms)
    planted[rng.choice(atoms, 40, replace=False)] = rng.choice([-1.0, 1.0], 40)
    sums = D.matvec(planted)
    y = np.where(sums > np.median(sums), 1.0, -1.0)
    program = bd.ConvexProgram(D, y, "hinge", 1.0, intercept=True)
    return program.with_strength(0.1 * program.lambda_max)


def prove(stated: bd.ConvexProgram, cap: float) -> dict[str, Any]:
    """Return the median seconds to solve and to prove."""
    seconds: list[tuple[float, float]] = []
    while len(seconds) < ROUNDS and sum(solving for solving, _ in seconds) < ENOUGH:
        program = stated.with_strength(stated.strength)  # without cached results
        start = time.perf_counter()
        solution = bd.solve(program, "newton", gap=1e-6, time_limit=cap)
        solved = time.perf_counter()
        certificate = bd.certify(program, solution, exact=True)
        seconds.append((solved - start, time.perf_counter() - solved))
    solving, proving = np.median(seconds, axis=0)
    return {
        "loss": stated.loss.name,
        "intercept": stated.intercept,
        "outputs": stated.outputs,
        "share": stated.strength / stated.lambda_max,
        "rounds": len(seconds),
        "solve": solving,
        "prove": proving,
        "gap": certificate.relative_gap,
        "certified": solution.status is bd.Status.CERTIFIED,
    }


def show(record: dict[str, Any]) -> None:
    within = record["prove"] < SHARE * record["solve"]
    within &= record["outputs"] > 1 or record["prove"] < SECONDS
    stopped = "" if record["certified"] else ", solve stopped at its time limit"
    print(
        f"{record['loss']:14s} {'yes' if record['intercept'] else 'no':>9s} "
        f"{record['share']:7.2f} {record['rounds']:6d} {record['solve']:9.3f} "
        f"{record['prove']:9.4f} {record['prove'] / record['solve']:8.2%} {record['gap']:9.1e}  "
        f"{'within' if within else 'OVER'}{stopped}",
        flush=True,
    )


def check(program: bd.ConvexProgram, gap: float, most: float, rounds: int) -> dict[str, Any]:
    """Return the checker's median seconds on a certificate to a gap."""
    certificate = bd.certify(program, bd.solve(program, gap=gap), exact=True)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "a.cert"
        certificate.save(path)
        size, seconds = path.stat().st_size, []
        for _ in range(rounds):
            start = time.perf_counter()
            command = [sys.executable, "-I", "-S", str(CHECKER), str(path)]
            subprocess.run(command, check=True, capture_output=True)
            seconds.append(time.perf_counter() - start)
    rows, atoms = program.design.shape
    record = {
        "rows": rows,
        "atoms": atoms,
        "megabytes": size / 1e6,
        "gap": certificate.relative_gap,
        "seconds": float(np.median(seconds)),
        "most": most,
    }
    print(
        f"{rows:>8d} {atoms:>8d} {size / 1e6:7.2f} {record['gap']:9.1e} {record['seconds']:9.2f} "
        f"{most:8.1f}  {'within' if record['seconds'] < most else 'OVER'}",
        flush=True,
    )
    return record


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--small", action="store_true", help="a quick round on small programs")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers here")
    options = parser.parse_args()
    subnetworks, cap = (20, 1.0) if options.small else (250, 20.0)
    size = (3_000, 1_000) if options.small else (60_000, 20_000)
    about = machine.describe()
    machine.show(about)

    for loss in bd.LOSSES:  # compile
        program = digits(2, loss, True)
        bd.certify(program, bd.solve(program, "newton", time_limit=cap), exact=True)
    print(f"digits, {digits(subnetworks, 'hinge', True).design}")
    print(f"exact certificates; targets: less than {SHARE:.0%} of the solve and {SECONDS} s")
    head = ("loss", "intercept", "share", "rounds", "solve s", "prove s", "of solve", "gap")
    print("{:14} {:>9} {:>7} {:>6} {:>9} {:>9} {:>8} {:>9}".format(*head))
    proofs = []
    for loss in bd.LOSSES:
        for intercept in (False, True):
            proofs.append(prove(digits(subnetworks, loss, intercept), cap))
            show(proofs[-1])

    print("\nchecker.py, with its time limits")
    columns = ("rows", "atoms", "MB", "gap", "seconds", "at most")
    print("{:>8} {:>8} {:>7} {:>9} {:>9} {:>8}".format(*columns))
    checks = [
        check(digits(subnetworks, "hinge", True), 1e-6, 2.0, ROUNDS),
        check(random_columns(*size), 1e-4, 60.0, 1),
    ]
    if options.json:
        result = {"machine": about, "proofs": proofs, "checks": checks}
        options.json.write_text(json.dumps(result, indent=1, default=float) + "\n")


if __name__ == "__main__":
    main()
