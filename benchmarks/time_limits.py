"""Measure how far each backend overruns a time limit: the table of docs/backends.md.

    python benchmarks/time_limits.py [--limits 0.5 2] [--rounds 3] [BACKEND ...]

Random 0/1 designs with three outputs at 0.003 lambda_max, and a gap that no backend reaches. The
design is 1,000 x 2,000 for newton, lasso, admm and sklearn, else 300 x 600. The seconds are medians
of rounds; the first solve of each backend, which loads it, does not count. The last column is the
time to build the model, which counts and is not cut short. OVER marks medians more than 20 % above
the limit and the time of the model.
"""

import argparse
import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import sys
import time
from statistics import median

import machine
import numpy as np

import bidual as bd

LARGE = ("newton", "lasso", "admm", "sklearn")
ROWS = [
    *[(name, "logistic", {}) for name in ("newton", "lasso", "admm", "sklearn")],
    *[(name, "hinge", {}) for name in ("newton", "admm")],
    *[("sklearn", loss, {}) for loss in ("squared", "squared_hinge", "softmax")],
    *[("osqp", loss, {}) for loss in ("hinge", "squared")],
    *[(name, loss, {}) for name in ("clarabel", "scs", "ecos") for loss in ("logistic", "hinge")],
    *[("highs", loss, {}) for loss in ("absolute", "squared")],
    *[("cvxpy", "logistic", {"solver": solver}) for solver in ("CLARABEL", "SCS")],
]


def program(name: str, loss: str) -> bd.ConvexProgram:
    """Return a program that takes the backend more than the limits."""
    rng = np.random.default_rng(0)
    rows, atoms = (1000, 2000) if name in LARGE else (300, 600)
    design = bd.BinaryMatrix.from_dense(rng.random((rows, atoms)) < 0.4)
    target = rng.normal(size=(rows, 3))
    if loss == "softmax":
        target = np.eye(3)[target.argmax(axis=1)]
    elif bd.LOSSES[loss].labels:
        target = np.sign(target)
    penalty = "group" if loss == "softmax" and name != "sklearn" else "l1"
    found = bd.ConvexProgram(design, target, loss, penalty=penalty)
    return found.with_strength(0.003 * found.lambda_max)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("backends", nargs="*")
    parser.add_argument("--limits", nargs="+", type=float, default=[0.5, 2.0])
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print(machine.describe() if hasattr(machine, "describe") else "")
    over = 0
    for name, loss, settings in ROWS:
        if options.backends and name not in options.backends:
            continue
        if (reason := bd.BACKENDS[name].available()) is not None:
            print(f"{name:<9} {loss:<14} {reason}")
            continue
        asked = program(name, loss)
        if (reason := bd.BACKENDS[name].accepts(asked)) is not None:
            print(f"{name:<9} {loss:<14} {reason}")
            continue
        bd.solve(asked, name, gap=1e-12, time_limit=0.2, **settings)
        cells, models = [], []
        for limit in options.limits:
            took = []
            for _ in range(options.rounds):
                start = time.perf_counter()
                found = bd.solve(asked, name, gap=1e-12, time_limit=limit, **settings)
                took.append(time.perf_counter() - start)
                models.append(found.compile_seconds)
            late = median(took) > 1.2 * limit + median(models)
            over += late
            cells.append(f"{median(took):6.2f}{' OVER' if late else '     '}")
        which = " ".join([name, *settings.values()])
        print(f"{which:<15} {loss:<14} {' '.join(cells)} {median(models):6.2f}", flush=True)
    return int(over > 0)


if __name__ == "__main__":
    sys.exit(main())
