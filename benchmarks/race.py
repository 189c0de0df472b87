"""A race to certified gaps: every solver on the same program in turn, each with its best setting.

    OMP_WAIT_POLICY=passive python benchmarks/race.py [--programs NAMES] [--cap 120] [--rounds 3]

Solvers take turns, medians over the rounds are compared. A solver that tells its
progress (bidual's) is run once to the smallest gap; one that does not (celer,
skglm, scikit-learn) is run afresh at one tolerance after the other, and its time
to a gap is that of its fastest run that got there, certification not counted.
Runs happen in a child process, killed past the cap; "> cap" then makes the
ratio a lower bound. celer and skglm are left out where they are not installed.
"""

import argparse
import json
import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import multiprocessing
import queue
import statistics
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec

import machine
import numpy as np

import bidual as bd

GAPS = (1e-3, 1e-6, 1e-9)
TOLERANCES = [10.0**-k for k in range(3, 15)]


def digits(loss, share, subnetworks=250):
    """Digit 3 against the rest on 1,797 LIF (64, 32) rows, with an intercept."""
    X, labels = bd.tasks.digits()
    lif = bd.LIF(hidden=(64, 32), leak=0.99, threshold=1.0)
    atoms = lif.sample(X, subnetworks=subnetworks, seed=0)
    y = np.where(labels == 3, 1.0, -1.0)
    program = lif.program(atoms, y, loss=loss, strength=0.0, intercept=True)
    return program.with_strength(share * program.lambda_max)


@dataclass(frozen=True)
class Race:
    """A program, and who runs beside newton."""

    program: Callable[[], bd.ConvexProgram]
    peers: tuple[str, ...]


RACES = {
    "squared-0.5": Race(lambda: digits("squared", 0.5), ("celer", "skglm", "sklearn")),
    "squared-0.1": Race(lambda: digits("squared", 0.1), ("celer", "skglm", "sklearn")),
    "squared-0.02": Race(lambda: digits("squared", 0.02), ("celer", "skglm", "clarabel")),
    "hinge-0.02": Race(lambda: digits("hinge", 0.02, 46), ("clarabel", "highs", "scs", "ecos")),
    "logistic-0.02": Race(
        lambda: digits("logistic", 0.02), ("skglm", "celer", "liblinear", "saga")
    ),
    "logistic-0.0033": Race(
        lambda: digits("logistic", 0.0033), ("skglm", "celer", "liblinear", "saga")
    ),
}


def fit_celer(program, design, tolerance):
    import celer

    n = program.design.shape[0]
    if program.loss.name == "squared":
        model = celer.Lasso(
            alpha=program.strength, fit_intercept=True, tol=tolerance, max_iter=10_000
        )
    else:
        model = celer.LogisticRegression(
            C=1 / (n * program.strength), fit_intercept=True, tol=tolerance, max_iter=10_000
        )
    return lambda: model.fit(design, program.target[:, 0])


def fit_skglm(program, design, tolerance):
    import skglm

    if program.loss.name == "squared":
        model = skglm.Lasso(program.strength, fit_intercept=True, tol=tolerance, max_iter=10_000)
    else:
        model = skglm.SparseLogisticRegression(
            program.strength, fit_intercept=True, tol=tolerance, max_iter=10_000
        )
    return lambda: model.fit(design, program.target[:, 0])


def fit_sklearn(program, design, tolerance):
    from sklearn.linear_model import Lasso

    model = Lasso(program.strength, fit_intercept=True, tol=tolerance, max_iter=10**7)
    return lambda: model.fit(design, program.target[:, 0])


def fit_logistic(solver):
    def fit(program, design, tolerance):
        from sklearn.linear_model import LogisticRegression

        n = program.design.shape[0]
        model = LogisticRegression(
            C=1 / (n * program.strength),
            l1_ratio=1.0,
            solver=solver,
            fit_intercept=True,
            intercept_scaling=1e5,  # of liblinear, which penalises it
            tol=tolerance,
            max_iter=10**6,
            random_state=0,
        )
        return lambda: model.fit(design, program.target[:, 0])

    return fit


FITS = {
    "celer": fit_celer,
    "skglm": fit_skglm,
    "sklearn": fit_sklearn,
    "liblinear": fit_logistic("liblinear"),
    "saga": fit_logistic("saga"),
}


def run(name, program, cap, results):
    """Put (seconds, certified relative gap) of a solver into a queue, as they come."""
    warnings.simplefilter("ignore")
    easy = program.with_strength(0.9 * program.lambda_max)  # compiles, and starts threads
    if name not in FITS:
        bd.solve(easy, name, gap=1e-3, time_limit=cap)
        solution = bd.solve(
            program,
            name,
            gap=GAPS[-1],
            time_limit=cap,
            callback=lambda progress: results.put((progress.seconds, progress.relative_gap)),
        )
        results.put((solution.compile_seconds, np.inf))
        return
    dense = np.asfortranarray(program.design.to_dense())
    FITS[name](easy, dense, 1e-3)()
    begun = time.perf_counter()
    for tolerance in TOLERANCES:
        fit = FITS[name](program, dense, tolerance)
        start = time.perf_counter()
        model = fit()
        seconds = time.perf_counter() - start
        gap = bd.certify(
            program, weights=np.ravel(model.coef_), intercept=np.ravel(model.intercept_)
        ).relative_gap
        results.put((seconds, gap))
        if gap <= GAPS[-1] or time.perf_counter() - begun > cap:
            return


def race(name, program, cap):
    """Seconds to each of GAPS, infinity where a solver did not get there under the cap."""
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    child = context.Process(target=run, args=(name, program, cap, results))
    child.start()
    points, deadline = [], time.perf_counter() + 1.5 * cap + 20
    while child.is_alive() or not results.empty():
        try:
            points.append(results.get(timeout=0.2))
        except queue.Empty:
            if time.perf_counter() > deadline:
                child.kill()
    child.join()
    return [
        min((s for s, gap in points if gap <= wanted and s <= cap), default=np.inf)
        for wanted in GAPS
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--programs", default=",".join(RACES), metavar="NAMES")
    parser.add_argument("--cap", type=float, default=120.0, help="seconds a solver may take")
    parser.add_argument("--rounds", type=int, default=3, help="times that each takes its turn")
    parser.add_argument("--json", metavar="FILE", help="write the numbers here too")
    options = parser.parse_args()
    about = machine.describe()
    for key in ("processor", "cores", "versions", "load"):
        print(f"{key:<10} {about[key]}")
    found = {}
    for name in options.programs.split(","):
        program = RACES[name].program()
        solvers = ("newton", *(p for p in RACES[name].peers if p in bd.BACKENDS or installed(p)))
        print(f"\n{name}: {program}")
        print(f"{'solver':<10}" + "".join(f"{f's to {gap:.0e}':>14}" for gap in GAPS))
        bd.solve(program, "newton", gap=1e-3)  # compiles
        times = {solver: [] for solver in solvers}
        for _ in range(options.rounds):
            for solver in solvers:
                # whoever does not finish under the cap is not asked again
                if not times[solver] or np.isfinite(times[solver][-1][0]):
                    times[solver].append(race(solver, program, options.cap))
        medians = {
            solver: [statistics.median(column) for column in zip(*rows, strict=True)]
            for solver, rows in times.items()
        }
        for solver, row in medians.items():
            cells = (f"{s:.3f}" if np.isfinite(s) else f"> {options.cap:g}" for s in row)
            print(f"{solver:<10}" + "".join(f"{cell:>14}" for cell in cells), flush=True)
        ratios = []
        for k in range(len(GAPS)):
            best = min(medians[solver][k] for solver in solvers[1:])
            bound = ">= " if not np.isfinite(best) else ""
            ratio = min(best, options.cap) / medians["newton"][k]
            ratios.append(f"{bound}{ratio:.1f}")
        print(f"{'ratio':<10}" + "".join(f"{ratio:>14}" for ratio in ratios), flush=True)
        found[name] = {"seconds": medians, "ratios": ratios}
    if options.json:
        with open(options.json, "w") as file:
            json.dump({"machine": about, "gaps": GAPS, "races": found}, file, indent=1)


def installed(peer):
    package = {"liblinear": "sklearn", "saga": "sklearn"}.get(peer, peer)
    return find_spec(package) is not None


if __name__ == "__main__":
    main()
