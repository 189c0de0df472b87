"""Race solvers to certified gaps on the same programs, each with its best settings.

    OMP_WAIT_POLICY=passive python benchmarks/race.py [--programs NAMES] [--cap 120] [--rounds 3]

Solvers take turns. The race compares medians over the rounds. A solver runs from the start at one
tolerance after the other. Its time to a gap is that of its fastest run that reaches the gap. A
run's time covers all from the program in the solver's own form, built before, to the answer; for
newton this is all of bd.solve on packed columns. It includes certification for solvers that stop
by a certificate: bidual's own and the adapters of conic solvers. Each solver has its own process.
The race kills it if a run exceeds the cap. "> cap" then makes the ratio, of the best peer's time
to newton's, a lower bound. A solver that does not finish a round skips later rounds. The last
table shows each solver's format and settings. BIDUAL_DATA names the folder of MNIST's test
images. BIDUAL_ADELIE names a separate Python for adelie, which needs numpy < 2.

spiking_lasso is a benchopt benchmark of the same solvers and programs.
"""

import argparse
import json
import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import multiprocessing
import queue
import signal
import statistics
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import machine
import numpy as np

import bidual as bd

sys.path.insert(0, str(Path(__file__).with_name("spiking_lasso")))

from benchmark_utils import programs
from benchmark_utils.peers import GAPS, PATHS, PEERS

OURS = "newton"
PREPARING = 300.0  # seconds that a solver may take to prepare the program and to compile


@dataclass(frozen=True)
class Race:
    """Program, newton's peers, and the wanted ratio at GAPS[1].

    For a path, the strengths are ``shares`` of lambda_max, and the gap is the largest of the path.
    """

    data: Callable
    loss: str
    share: float
    peers: tuple[str, ...]
    wanted: float | None = None
    intercept: bool = False
    penalty: str = "l1"
    shares: tuple[float, ...] = ()

    def program(self) -> bd.ConvexProgram:
        design, target = self.data()
        parts = self.loss, self.share, self.intercept, self.penalty
        return programs.state(design, target, *parts)


def digits_46():
    return programs.digits_lif(46)


FIRST_ORDER = ("celer", "skglm", "sklearn")
LINEAR = ("clarabel", "highs", "scs", "ecos")
LOGISTIC = ("skglm", "celer", "liblinear", "saga")
DIGITS = programs.digits_lif
RACES = {
    "squared-0.5": Race(DIGITS, "squared", 0.5, FIRST_ORDER, 10),
    "squared-0.1": Race(DIGITS, "squared", 0.1, FIRST_ORDER, 20),
    "squared-0.02": Race(DIGITS, "squared", 0.02, ("celer", "skglm", "clarabel"), 100),
    "hinge-0.02": Race(digits_46, "hinge", 0.02, LINEAR, 50),
    "logistic-0.02": Race(DIGITS, "logistic", 0.02, LOGISTIC, 5),
    "logistic-0.0033": Race(DIGITS, "logistic", 0.0033, LOGISTIC, 20),
    "addition-squared-0.05": Race(programs.addition_lif, "squared", 0.05, FIRST_ORDER, 20),
    "addition-logistic-0.05": Race(
        programs.addition_lif, "logistic", 0.05, ("celer", "skglm", "liblinear"), 20
    ),
    "path-squared": Race(
        DIGITS,
        "squared",
        0.02,
        ("celer", "skglm"),
        50,
        shares=tuple(np.geomspace(1, 0.02, 30)),
    ),
    "mnist-softmax-group-0.05": Race(
        programs.mnist_classes_lif, "softmax", 0.05, ("scs", "adelie"), 10, penalty="group"
    ),
}
# an intercept fits the mean of the targets, which is most of lambda_max
RACES |= {
    f"{name}-intercept": replace(race, intercept=True)
    for name, race in RACES.items()
    if race.data in (DIGITS, digits_46) and not race.shares
}


def fit(name, race, program, prepared, tolerance):
    """Return the answers (program, weights, intercept, dual point) of a run, one per strength."""
    if not race.shares:
        return [(program, *PEERS[name].fit(program, prepared, tolerance))]
    strengths = program.lambda_max * np.array(race.shares)
    answers = PATHS[name](program, prepared, strengths, tolerance)
    each = [program.with_strength(strength) for strength in strengths]
    return [(at, *answer) for at, answer in zip(each, answers, strict=True)]


def certified(answers):
    """Return the largest certified relative gap of a run's answers."""
    return max(
        bd.certify(program, weights=w, intercept=b, dual_point=v).relative_gap
        for program, w, b, v in answers
    )


def run(name, race, program, cap, results):
    """Put (seconds, certified relative gap) of each run into a queue, and None at its start."""
    os.setpgid(0, 0)  # child processes end with it
    warnings.simplefilter("ignore")
    peer = PEERS[name]
    peer.warm_up(program)
    begun = time.perf_counter()
    for tolerance in peer.tolerances:
        prepared = peer.prepare(program)  # again, because it may store earlier results
        results.put(None)
        start = time.perf_counter()
        answers = fit(name, race, program, prepared, tolerance)
        seconds = time.perf_counter() - start
        gap = certified(answers)
        results.put((seconds, gap))
        if gap <= GAPS[-1] or seconds > cap or time.perf_counter() - begun > 3 * cap:
            return


def points_of(name, race, program, cap):
    """Return (seconds, gap) of a solver's runs in its own process."""
    context = multiprocessing.get_context("fork")
    results = context.Queue()
    child = context.Process(target=run, args=(name, race, program, cap, results))
    child.start()
    points, deadline = [], time.perf_counter() + PREPARING
    try:
        while child.is_alive() or not results.empty():
            try:
                told = results.get(timeout=0.2)
            except queue.Empty:
                if time.perf_counter() > deadline:
                    break
                continue
            if told is None:
                deadline = time.perf_counter() + cap + 1
            else:
                points.append(told)
                deadline = time.perf_counter() + PREPARING
    finally:
        late = child.is_alive()
        if late:
            os.killpg(child.pid, signal.SIGKILL)
        child.join()
    if child.exitcode and not late:
        print(f"{name:<10} process ended with code {child.exitcode}; its earlier runs count")
    return points


def seconds_to(points, cap):
    """Return the seconds to each of GAPS, infinity if no run reaches it within the cap."""
    return [
        min(
            (seconds for seconds, gap in points if gap <= wanted and seconds <= cap), default=np.inf
        )
        for wanted in GAPS
    ]


def take_turns(solvers, race, program, options):
    """Return the median seconds to each of GAPS, and all points, by solver."""
    rounds = {solver: [] for solver in solvers}
    points = {solver: [] for solver in solvers}
    for _ in range(options.rounds):
        for solver in solvers:
            # a solver that exceeds the cap skips later rounds
            if not rounds[solver] or np.isfinite(rounds[solver][-1][0]):
                found = points_of(solver, race, program, options.cap)
                points[solver] += found
                rounds[solver].append(seconds_to(found, options.cap))
    medians = {
        solver: [statistics.median(column) for column in zip(*rows, strict=True)]
        for solver, rows in rounds.items()
    }
    return medians, points


def ratios_of(medians, cap):
    """Return (ratio, best peer) for each of GAPS; the peer is None if the ratio is a bound."""
    ratios = []
    peers = [solver for solver in medians if solver != OURS]
    for k in range(len(GAPS)):
        best = min(peers, key=lambda peer: medians[peer][k])
        reached = np.isfinite(medians[best][k])
        if not np.isfinite(medians[OURS][k]):
            ratios.append((0.0, best if reached else None))
        else:
            seconds = min(medians[best][k], cap)
            ratios.append((seconds / medians[OURS][k], best if reached else None))
    return ratios


def runners(race, program):
    """Return the solvers that run, and the reasons of the others."""
    takes, out = [OURS], {}
    for peer in race.peers:
        if (reason := PEERS[peer].refuses(program)) is not None:
            out[peer] = reason
        else:
            takes.append(peer)
    return takes, out


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--programs", default=",".join(RACES), metavar="NAMES", help=f"of {', '.join(RACES)}"
    )
    parser.add_argument("--cap", type=float, default=120.0, help="time limit of a run, seconds")
    parser.add_argument("--rounds", type=int, default=3, help="number of rounds")
    parser.add_argument("--json", metavar="FILE", help="also write the numbers here")
    parser.add_argument("--plot", metavar="FILE", help="draw gaps against seconds, and the ratios")
    options = parser.parse_args()
    names = options.programs.split(",")
    for name in names:
        if name not in RACES:
            parser.error(f"--programs: expected names of {', '.join(RACES)}, got {name!r}")
    about = machine.describe()
    for key in ("processor", "cores", "versions", "load"):
        print(f"{key:<10} {about[key]}")
    found = {name: result for name in names if (result := report(name, options)) is not None}
    print("\nsettings")
    for solver in sorted({solver for result in found.values() for solver in result["seconds"]}):
        peer = PEERS[solver]
        print(f"{solver:<10} {peer.package} {peer.version}, {peer.layout}: {peer.settings}")
    results = {"machine": about, "gaps": GAPS, "cap": options.cap, "races": found}
    if options.json:
        Path(options.json).write_text(json.dumps(results, indent=1))
    if options.plot:
        draw(results, options.plot)


def report(name, options):
    """Run a race, print it and return its numbers; return None if its data are missing."""
    race = RACES[name]
    try:
        program = race.program()
    except (ValueError, FileNotFoundError) as error:
        print(f"\n{name}: not run, {error}")
        return None
    takes, out = runners(race, program)
    path = f", {len(race.shares)} strengths down to it" if race.shares else ""
    print(f"\n{name}: {program}{path}")
    for peer, reason in out.items():
        print(f"{peer:<10} not run: {reason}")
    print(f"{'solver':<10}" + "".join(f"{f's to {gap:.0e}':>16}" for gap in GAPS), flush=True)
    medians, points = take_turns(takes, race, program, options)
    for solver, row in medians.items():
        cells = (f"{s:.3f}" if np.isfinite(s) else f"> {options.cap:g}" for s in row)
        print(f"{solver:<10}" + "".join(f"{cell:>16}" for cell in cells))
    ratios = ratios_of(medians, options.cap) if len(takes) > 1 else []
    cells = (f"{'' if who else '>= '}{ratio:.1f} {who or ''}" for ratio, who in ratios)
    wanted = f"   wanted at {GAPS[1]:.0e}: {race.wanted:g}" if race.wanted else ""
    print(f"{'ratio':<10}" + "".join(f"{cell.strip():>16}" for cell in cells) + wanted, flush=True)
    return {
        "program": repr(program),
        # JSON knows no infinity
        "seconds": {s: [x if np.isfinite(x) else None for x in row] for s, row in medians.items()},
        "ratios": [{"ratio": ratio, "peer": who} for ratio, who in ratios],
        "wanted": race.wanted,
        "not_run": out,
        "points": points,
    }


def draw(results, file):
    """Draw the best gap over time, a panel per program, and the ratios at GAPS[1]."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.ticker import NullFormatter

    races = results["races"]
    solvers = list(dict.fromkeys(s for result in races.values() for s in result["points"]))
    colours = {solver: f"C{k}" for k, solver in enumerate(solvers)}
    columns = 4
    rows = -(-(len(races) + 1) // columns)
    figure = Figure(figsize=(4.2 * columns, 3.2 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes, (name, result) in zip(panels, races.items(), strict=False):
        for solver, points in result["points"].items():
            if points:
                seconds, gaps = np.array(sorted(points)).T
                best = np.maximum(np.minimum.accumulate(gaps), 1e-13)  # draws gaps of 0 at 1e-13
                first = np.r_[True, np.diff(best) < 0]
                line = {"color": colours[solver], "label": solver, "lw": 0.8}
                axes.loglog(seconds[first], best[first], ".-", **line)
        axes.xaxis.set_minor_formatter(NullFormatter())
        axes.set(title=name, xlabel="seconds", ylabel="certified relative gap")
        axes.legend(fontsize=7)
    last = panels[len(races)]
    bars = [(name, r["ratios"][1], r["wanted"]) for name, r in races.items() if r["ratios"]]
    for k, (_, ratio, wanted) in enumerate(bars):
        last.barh(k, ratio["ratio"], color="C0" if ratio["peer"] else "C1")
        if wanted:
            last.plot([wanted, wanted], [k - 0.4, k + 0.4], "k-")
    last.set(
        title="best peer / newton\n(orange: at least; line: wanted)",
        xscale="log",
        yticks=range(len(bars)),
        yticklabels=[name for name, _, _ in bars],
    )
    last.set_xlim(left=0.5)
    last.xaxis.set_minor_formatter(NullFormatter())
    last.tick_params("y", labelsize=7)
    for axes in panels[len(races) + 1 :]:
        axes.set_axis_off()
    figure.savefig(file, dpi=110)


if __name__ == "__main__":
    main()
