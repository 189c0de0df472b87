"""bidual compare: solve one program with every backend, certify and rebuild each answer."""

import argparse
import json
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .. import (
    BACKENDS,
    LIF,
    LOSSES,
    PENALTIES,
    ConvexProgram,
    Network,
    Progress,
    Solution,
    SpikeDictionary,
    Status,
    certify,
    solve,
    tasks,
)
from ..dictionaries.files.replacing import replacing
from ..dictionaries.live_line import LiveLine
from ..kernels.text import printable
from .tiny import tiny_program

_HIDDEN = (64, 32)
_POINTS = 200  # the results keep so many points of a backend's history


@dataclass(frozen=True)
class Job:
    """The settings of a comparison; the defaults are those of the demo."""

    task: str = "digits"
    loss: str = "squared"
    penalty: str = "l1"
    share: float = 0.1
    subnetworks: int = 16
    backends: tuple[str, ...] = tuple(BACKENDS)
    asked_gap: float = 1e-6
    time_limit: float = 60.0
    seed: int = 0
    out: str = "out"

    def __post_init__(self) -> None:
        if self.task not in tasks.TASKS:
            raise ValueError(f"task: expected one of {sorted(tasks.TASKS)}, got {self.task!r}")
        if self.loss not in LOSSES:
            raise ValueError(f"loss: expected one of {sorted(LOSSES)}, got {self.loss!r}")
        if self.penalty not in PENALTIES:
            raise ValueError(f"penalty: expected one of {sorted(PENALTIES)}, got {self.penalty!r}")
        if not 0 <= self.share < np.inf:
            raise ValueError(f"share: expected a finite number >= 0, got {self.share}")
        if self.subnetworks < 1:
            raise ValueError(f"subnetworks: expected at least 1, got {self.subnetworks}")
        if not 0 <= self.seed < 2**64:
            raise ValueError(f"seed: expected 0 <= seed < 2**64, got {self.seed}")
        if not self.backends:
            raise ValueError(f"backends: expected at least one of {list(BACKENDS)}, got none")
        for name in self.backends:
            if name not in BACKENDS:
                raise ValueError(f"backends: expected names of {list(BACKENDS)}, got {name!r}")
        if not 0 < self.asked_gap < np.inf:
            raise ValueError(f"gap: expected a finite number > 0, got {self.asked_gap}")
        if not self.time_limit > 0:
            raise ValueError(f"time-limit: expected seconds > 0, got {self.time_limit}")


def add_parser(commands: Any) -> None:
    """Add the command to the parser."""
    default = Job()
    parser: argparse.ArgumentParser = commands.add_parser(
        "compare",
        help="solve one program with every backend and certify each answer",
        description=(
            "Samples a LIF (64, 32) dictionary on a task and states the convex program of training "
            "over it, with one output per class and with intercepts. Every backend solves the "
            "program in turn. The command certifies each answer in the original program, rebuilds "
            "the network and prints a table. It writes compare.json, compare.cert (the proof of "
            "the best answer) and, if matplotlib is installed, compare.png."
        ),
        epilog=(
            "The relative gap is (primal - dual) / (objective at W = 0). bidual proves it from "
            "the answer alone. A backend that runs out of time keeps the gap that it reached. "
            "Example: bidual compare --loss hinge --backends clarabel,ecos,admm --time-limit 120"
        ),
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    parser.add_argument(
        "--task", default=default.task, help=f"one of: {', '.join(sorted(tasks.TASKS))}"
    )
    parser.add_argument("--loss", default=default.loss, help=f"one of: {', '.join(sorted(LOSSES))}")
    parser.add_argument(
        "--penalty", default=default.penalty, help=f"one of: {', '.join(sorted(PENALTIES))}"
    )
    parser.add_argument(
        "--share",
        type=float,
        default=default.share,
        help="strength (lambda) as a share of lambda_max, from which on W = 0 is optimal",
    )
    parser.add_argument(
        "--subnetworks", type=int, default=default.subnetworks, help="number of random subnetworks"
    )
    parser.add_argument(
        "--backends",
        default=",".join(default.backends),
        metavar="NAMES",
        help="backends, separated by commas",
    )
    parser.add_argument(
        "--gap",
        type=float,
        default=default.asked_gap,
        help="certified relative gap that solvers must reach",
    )
    parser.add_argument(
        "--time-limit",
        type=float,
        default=default.time_limit,
        metavar="SECONDS",
        help="seconds per backend; ecos and sklearn check it only between outputs or fits",
    )
    parser.add_argument(
        "--seed", type=int, default=default.seed, help="seed of the random subnetworks"
    )
    parser.add_argument(
        "--out", default=default.out, metavar="FOLDER", help="folder for the results"
    )
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> int:
    names = tuple(dict.fromkeys(filter(None, map(str.strip, options.backends.split(",")))))
    return run_job(
        Job(
            task=options.task,
            loss=options.loss,
            penalty=options.penalty,
            share=options.share,
            subnetworks=options.subnetworks,
            backends=names,
            asked_gap=options.gap,
            time_limit=options.time_limit,
            seed=options.seed,
            out=options.out,
        )
    )


@dataclass(frozen=True)
class Data:
    """The training and test sets of a task."""

    X_train: NDArray[np.float64]
    y_train: NDArray[np.generic]
    X_test: NDArray[np.float64]
    y_test: NDArray[np.generic]


def run_job(job: Job) -> int:
    """Run the comparison and return the exit code.

    The code is 0, or 1 if no backend solves the program or an answer contradicts the bound of
    another. Ctrl-C stops the running backend and skips the others; the results so far are
    written, and the code is 130.
    """
    folder = _writable(job.out)
    load = tasks.TASKS[job.task]
    data = Data(*load(split="train"), *load(split="test"))
    lif = LIF(hidden=_HIDDEN)
    start = perf_counter()
    atoms = lif.sample(data.X_train, subnetworks=job.subnetworks, seed=job.seed)
    print(f"dictionary  {atoms} in {perf_counter() - start:.1f} s")
    program = lif.program(
        atoms, data.y_train, job.loss, strength=0.0, intercept=True, penalty=job.penalty
    )
    program = program.with_strength(job.share * program.lambda_max)
    print(
        f"program     {program.loss.name} + {program.penalty.name}, {program.outputs} outputs with "
        f"intercepts, strength {program.strength:.6g} = {job.share:g} lambda_max"
    )
    _warm_up(job)

    rows, interrupted = [], False
    best: tuple[dict[str, Any], Solution, Network] | None = None
    print(f"\n{_HEAD}")
    for name in job.backends:
        row, solution = _try_backend(name, program, job)
        if solution is not None:
            network = solution.network()
            row["train_accuracy"] = _accuracy(network, data.X_train, data.y_train)
            row["test_accuracy"] = _accuracy(network, data.X_test, data.y_test)
            if best is None or _gap_then_time(row) < _gap_then_time(best[0]):
                best = row, solution, network
        print(_table_row(row), flush=True)
        rows.append(row)
        interrupted = solution is not None and solution.status is Status.INTERRUPTED
        if interrupted:
            break

    contradiction = _cross_check(rows)
    results = {"program": _describe(job, lif, program, atoms), "rows": rows}
    _write(folder / "compare.json", json.dumps(results, indent=1, allow_nan=False).encode())
    print(f"results     {printable(folder / 'compare.json')}")
    if best is not None:
        _, solution, network = best
        if find_spec("matplotlib") is not None:
            from .figure import draw

            # the first held-out sequence that the network classifies correctly, or the first
            shown = int(np.argmax(network.predict(data.X_test) == data.y_test))
            example = data.X_test[shown], data.y_test[shown]
            _write(folder / "compare.png", draw(results, network, *example, solution.backend))
            print(f"picture     {printable(folder / 'compare.png')}")
        else:
            print("picture     none: matplotlib is not installed (pip install 'bidual[report]')")
        proof = folder / "compare.cert"
        certificate = certify(program, solution, exact=True)
        certificate.save(proof)
        print(
            f"proof       {printable(proof)}: the gap of {solution.backend}'s answer is at most "
            f"{certificate.relative_gap:.1e}, in integers\n"
            f"check it    bidual verify {printable(proof)}"
        )
    if interrupted:
        return 130
    return 0 if best is not None and not contradiction else 1


def _writable(out: str) -> Path:
    """Make the output folder; raise ValueError at once if it is not writable."""
    folder = Path(out)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise ValueError(
            f"out: expected a folder that can be written, got {out!r}: {error.strerror}"
        ) from error
    return folder


def _write(path: Path, content: bytes) -> None:
    """Write a file completely or not at all."""
    with replacing(path) as file:
        file.write(content)


def _warm_up(job: Job) -> None:
    """Compile the kernels, so that their compile time counts for no backend."""
    line = LiveLine()
    line.show("compiling kernels (the first run only)")
    tiny = tiny_program(job.loss, job.penalty, 2, True)
    for name in job.backends:
        if BACKENDS[name].available() is None and BACKENDS[name].accepts(tiny) is None:
            solve(tiny, name)
    line.clear()


def _try_backend(name: str, program: ConvexProgram, job: Job) -> tuple[dict[str, Any], Any]:
    """Solve with one backend; return a row of results, and the solution or None."""
    backend = BACKENDS[name]
    row: dict[str, Any] = {
        "backend": name,
        "status": "",
        "message": "",
        "version": backend.version,
        "compile_seconds": None,
        "solve_seconds": None,
        "recover_seconds": None,
        "iterations": None,
        "primal": None,
        "dual": None,
        "relative_gap": None,
        "active_atoms": None,
        "train_accuracy": None,
        "test_accuracy": None,
        "history": [],
    }
    refusal, missing = backend.accepts(program), backend.available()
    if refusal is not None:
        return row | {"status": "not accepted", "message": f"{name} {refusal}"}, None
    if missing is not None:
        row |= {"status": "unavailable", "message": missing}
        if backend.version is not None:  # no licence, but it still compiles
            start = perf_counter()
            backend.compile(program)
            row["compile_seconds"] = perf_counter() - start
        return row, None

    line = LiveLine()
    line.show(f"{name}: compiling")

    def show(progress: Progress) -> None:
        line.show(f"{name}: {progress.seconds:.1f} s, relative gap {progress.relative_gap:.1e}")

    try:
        solution = solve(program, name, job.asked_gap, job.time_limit, show)
    finally:
        line.clear()
    certificate = solution.certificate
    return row | {
        "status": solution.status.name.lower().replace("_", " "),
        "message": solution.message,
        "compile_seconds": solution.compile_seconds,
        "solve_seconds": solution.solve_seconds,
        "recover_seconds": solution.recover_seconds,
        "iterations": solution.iterations,
        "primal": certificate.primal,
        "dual": certificate.dual,
        "relative_gap": certificate.relative_gap,
        "active_atoms": solution.active.size,
        "history": _thinned(solution),
    }, solution


def _thinned(solution: Solution) -> list[list[float]]:
    """Return (seconds, relative gap) at each fall of the gap, for at most _POINTS points."""
    points, lowest = [], np.inf
    for progress in solution.history:
        if progress.relative_gap < lowest:
            lowest = progress.relative_gap
            points.append([progress.seconds, progress.relative_gap])
    if len(points) <= _POINTS:
        return points
    return [points[k] for k in np.linspace(0, len(points) - 1, _POINTS).astype(int)]


def _accuracy(network: Network, X: NDArray[np.float64], y: NDArray[np.generic]) -> float:
    return float(np.mean(network.predict(X) == y))


def _cross_check(rows: Sequence[dict[str, Any]]) -> bool:
    """Compare all primals with all duals and print the result; True for a contradiction."""
    solved = [row for row in rows if row["primal"] is not None]
    for row in rows:
        if row["status"] in ("unavailable", "not accepted", "failed"):
            print(f"  {row['message']}")
    if not solved:
        print("\nno backend could solve the program")
        return False
    lowest = min(solved, key=lambda row: float(row["primal"]))
    highest = max(solved, key=lambda row: float(row["dual"]))
    # float certificates hold up to rounding
    wrong = bool(lowest["primal"] < highest["dual"] - 1e-12 * abs(highest["dual"]))
    print(
        f"\nthe optimum lies between {highest['dual']:.9f} ({highest['backend']}'s bound) "
        f"and {lowest['primal']:.9f} ({lowest['backend']}'s answer)"
    )
    if wrong:
        print("CONTRADICTION: an answer lies below a proven bound; please report this")
    return wrong


def _describe(job: Job, lif: LIF, program: ConvexProgram, atoms: SpikeDictionary) -> dict[str, Any]:
    return {
        "task": job.task,
        "hidden": list(lif.hidden),
        "leak": lif.leak,
        "threshold": lif.threshold,
        "reset": lif.reset,
        "readout": atoms.readout,
        "subnetworks": job.subnetworks,
        "seed": job.seed,
        "rows": program.design.shape[0],
        "atoms": program.design.shape[1],
        "outputs": program.outputs,
        "loss": job.loss,
        "penalty": program.penalty.name,
        "intercept": program.intercept,
        "strength": program.strength,
        "lambda_max": program.lambda_max,
        "reference": program.reference,
        "asked_gap": job.asked_gap,
        "time_limit": job.time_limit if np.isfinite(job.time_limit) else None,
    }


def _gap_then_time(row: dict[str, Any]) -> tuple[bool, float]:
    """Return a sort key: certified answers by time, then the others by gap."""
    certified = row["status"] == "certified"
    return not certified, row["solve_seconds"] if certified else row["relative_gap"]


_HEAD = (
    f"{'backend':<9} {'status':<12} {'compile s':>9} {'solve s':>8} {'recover s':>9} "
    f"{'primal':>12} {'relative gap':>12} {'atoms':>6} {'train %':>8} {'test %':>7}"
)


def _table_row(row: dict[str, Any]) -> str:
    def number(name: str, form: str, factor: float = 1.0) -> str:
        return "-" if row[name] is None else format(factor * row[name], form)

    return (
        f"{row['backend']:<9} {row['status']:<12} {number('compile_seconds', '.2f'):>9} "
        f"{number('solve_seconds', '.2f'):>8} {number('recover_seconds', '.2f'):>9} "
        f"{number('primal', '.8f'):>12} "
        f"{number('relative_gap', '.1e'):>12} {number('active_atoms', '.0f'):>6} "
        f"{number('train_accuracy', '.1f', 100):>8} {number('test_accuracy', '.1f', 100):>7}"
    )
