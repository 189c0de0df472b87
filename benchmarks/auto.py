"""Measure the fastest backend by loss, penalty and outputs, as evidence for the rules of "auto".

    OMP_WAIT_POLICY=passive python benchmarks/auto.py [--subnetworks 250] [--cap 10]

The programs are digits in a LIF dictionary (250 subnetworks make 5,308 atoms), with intercepts:
digit 3 against the rest as one output, and all ten. They cover every loss and penalty, at 0.1
and 0.02 of lambda_max; with one output both penalties are the same. The table shows seconds to a
certified relative gap of 1e-6, with compilation and certification, of a run in one thread. "> cap"
means that the backend missed the gap within the cap, "-" that it does not support the program. The
last lines say for each program whether "auto" picks the fastest backend, and how many times as
long its pick took otherwise.
"""

import argparse
import json
import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import machine
import numpy as np
from threadpoolctl import threadpool_limits

import bidual as bd
from bidual.dictionaries.threads.threads import use_threads
from bidual.solvers import choose

GAP = 1e-6
SHARES = (0.1, 0.02)  # of lambda_max
OWN = "newton,lasso,admm"


def programs(subnetworks: int) -> Iterator[tuple[dict[str, Any], bd.ConvexProgram]]:
    """Yield each program to measure with its description."""
    X, labels = bd.tasks.digits()
    lif = bd.LIF(hidden=(64, 32), leak=0.99, threshold=1.0)
    atoms = lif.sample(X, subnetworks=subnetworks, seed=0)
    for outputs in (1, 10):
        target = np.where(labels == 3, 1.0, -1.0) if outputs == 1 else labels
        for loss in bd.LOSSES:
            for penalty in bd.PENALTIES:
                if outputs == 1 and (loss == "softmax" or penalty == "group"):
                    continue
                program = lif.program(
                    atoms, target, loss=loss, strength=0.0, intercept=True, penalty=penalty
                )
                for share in SHARES:
                    what = {"outputs": outputs, "loss": loss, "penalty": penalty, "share": share}
                    yield what, program.with_strength(share * program.lambda_max)


def seconds(program: bd.ConvexProgram, backend: str, cap: float) -> float:
    """Return the seconds to the gap, infinity if the backend misses it within the cap."""
    bd.solve(program, backend, gap=GAP, time_limit=min(1.0, cap))  # compiles kernels
    solution = bd.solve(program, backend, gap=GAP, time_limit=cap)
    if solution.status is not bd.Status.CERTIFIED:
        return np.inf
    return solution.compile_seconds + solution.solve_seconds + solution.recover_seconds


def cell(times: dict[str, float], backend: str, cap: float) -> str:
    """Format the seconds of a backend for the table."""
    if backend not in times:
        return "-"
    return f"{times[backend]:.2f}" if np.isfinite(times[backend]) else f"> {cap:g}"


def verdict(times: dict[str, float], winner: str | None, picked: str, cap: float) -> str:
    """Compare auto's pick with the fastest backend, in words."""
    if winner is None:
        return f"no backend reached the gap within the cap; auto picks {picked}"
    if picked == winner:
        return f"auto picks the fastest, {picked}"
    if picked not in times:
        return f"auto picks {picked}, which was not measured; {winner} was the fastest"
    bound = "" if np.isfinite(times[picked]) else "more than "
    lost = min(times[picked], cap) / times[winner]
    return f"auto picks {picked}, which took {bound}{lost:.1f} times as long as {winner}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--backends", default=OWN, metavar="NAMES", help=f"default {OWN}")
    parser.add_argument("--subnetworks", type=int, default=250, help="size of the dictionary")
    parser.add_argument("--cap", type=float, default=10.0, help="time limit of a run, seconds")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers here")
    arguments = parser.parse_args()
    names = arguments.backends.split(",")

    described = machine.describe()
    machine.show(described)
    records = []
    with threadpool_limits(1), use_threads(1):
        for what, program in programs(arguments.subnetworks):
            if not records:
                print(program.design)
                print(f"{'outputs':>7s} {'loss':13s} {'penalty':7s} {'share':>5s}", end="")
                print("".join(f"{name:>9s}" for name in names) + "  winner   auto")
            times = {
                name: seconds(program, name, arguments.cap)
                for name in names
                if bd.BACKENDS[name].accepts(program) is None
            }
            reached = {name: taken for name, taken in times.items() if np.isfinite(taken)}
            winner = min(reached, key=reached.__getitem__, default=None)
            picked = choose("auto", program).name
            said = verdict(times, winner, picked, arguments.cap)
            # JSON has no infinity: null stands for a gap that was not reached
            kept = {name: reached.get(name) for name in times}
            records.append(
                {**what, "seconds": kept, "winner": winner, "auto": picked, "verdict": said}
            )
            print(
                f"{what['outputs']:7d} {what['loss']:13s} {what['penalty']:7s} {what['share']:5g}"
                + "".join(f"{cell(times, name, arguments.cap):>9s}" for name in names)
                + f"  {winner or 'nobody':8s} {picked}",
                flush=True,
            )

    decided = [record for record in records if record["winner"] is not None]
    right = sum(record["auto"] == record["winner"] for record in decided)
    print(f"\nauto picks the fastest in {right} of {len(decided)} programs that a backend solved")
    for record in records:
        print(
            f"{record['outputs']:7d} {record['loss']:13s} {record['penalty']:7s}"
            f" {record['share']:5g}  {record['verdict']}"
        )
    described["load_after"] = machine.describe()["load"]
    print(f"load after: {described['load_after']}")
    if arguments.json:
        arguments.json.write_text(
            json.dumps({"machine": described, "gap": GAP, "programs": records}, indent=1) + "\n"
        )


if __name__ == "__main__":
    main()
