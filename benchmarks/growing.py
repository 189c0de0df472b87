"""Measure growing: the global optimum of small classes, and digits beside random dictionaries.

    python benchmarks/growing.py [--json FILE] [--seconds 20]

First-last-XOR on all strings of length 5 and 6, one LIF layer of leak 0.9, squared and hinge
loss. The script reports rounds and seconds from 50 random atoms to a global gap of 1e-6 with
exact pricing, and the distance to the objective over the complete dictionary.

Digits (1,797 images of 8 steps, digit >= 5 against the rest, half the sum of squares). The script
reports the objective with at most 200 atoms after a search of --seconds, beside the mean over
three dictionaries of 200 Gaussian atoms. Strengths are shares of the lambda_max of a fixed
Gaussian dictionary, because a grown dictionary has a larger lambda_max. A first, short run
compiles the kernels and does not count.
"""

import argparse
import json
import time
from itertools import product
from pathlib import Path
from typing import Any

import machine
import numpy as np

import bidual as bd
from bidual.solvers.growing.grow import grow

ATOMS = 200
SHARES = 0.1, 0.02


def xor() -> list[dict[str, Any]]:
    """Measure rounds and seconds to the optimum over all neurons."""
    lif = bd.LIF(hidden=(1,), leak=0.9)
    rows = []
    for steps, loss, share in product((5, 6), ("squared", "hinge"), (0.5, 0.1, 0.02, 0.005)):
        strings = np.array(list(product((0, 1), repeat=steps)))
        X, y = np.eye(2)[strings], strings[:, 0] ^ strings[:, -1]
        complete = lif.complete(X)
        strength = share * lif.program(complete, y, loss, strength=1.0).lambda_max
        best = bd.solve(lif.program(complete, y, loss, strength=strength), gap=1e-8)
        start = lif.sample(X, subnetworks=1000, seed=0).take(np.arange(50))
        begun = time.perf_counter()
        grown = grow(lif, X, y, loss, strength=strength, atoms=start, pricing="exact")
        above = grown.solution.certificate.primal - best.certificate.primal
        rows.append(
            {
                "steps": steps,
                "loss": loss,
                "share": share,
                "rounds": len(grown.history),
                "seconds": time.perf_counter() - begun,
                "atoms": grown.history[-1].atoms,
                "of": complete.atoms.shape[1],
                "gap": grown.relative_gap,
                "above": grown.program.relative(above),
                "stopped": grown.stopped.name,
            }
        )
        print("T={steps} {loss} {share}: {rounds} rounds, {seconds:.2f} s, {atoms} of {of} atoms, "
              "global gap {gap:.1e}, {above:.1e} above the optimum, {stopped}".format(**rows[-1]),
              flush=True)  # fmt: skip
    return rows


def digits(seconds: float) -> list[dict[str, Any]]:
    """Measure the objectives of grown and of Gaussian dictionaries."""
    X, digit = bd.tasks.digits()
    y, weights = np.where(digit >= 5, 1.0, -1.0), np.ones(len(digit))
    rows = []
    for hidden in ((1,), (8, 1)):
        lif = bd.LIF(hidden=hidden, leak=0.9)
        grow(lif, X, y, strength=30.0, row_weights=weights, pricing="search", rounds=2)
        reference = lif.sample(X, subnetworks=12_000, seed=0).take(np.arange(4_000))
        largest = lif.program(reference, y, strength=1.0, row_weights=weights).lambda_max
        for share in SHARES:
            options = {"strength": share * largest, "row_weights": weights}
            gaussian = []
            for seed in (1, 2, 3):
                dictionary = lif.sample(X, subnetworks=800, seed=seed).take(np.arange(ATOMS))
                solution = bd.solve(lif.program(dictionary, y, **options))
                gaussian.append(solution.certificate.primal)
            grown = grow(
                lif, X, y, pricing="search", most_atoms=ATOMS, time_limit=seconds, **options
            )
            objective = grown.solution.certificate.primal
            rows.append(
                {
                    "hidden": hidden,
                    "share": share,
                    "lambda_max": largest,
                    "gaussian": float(np.mean(gaussian)),
                    "grown": objective,
                    "change": objective / float(np.mean(gaussian)) - 1.0,
                    "atoms": grown.history[-1].atoms,
                    "active": grown.history[-1].active,
                    "rounds": len(grown.history),
                    "seconds": grown.history[-1].seconds,
                    "stopped": grown.stopped.name,
                }
            )
            print("digits {hidden} {share} of {lambda_max:.0f}: Gaussian {gaussian:.1f}, grown "
                  "{grown:.1f} ({change:+.1%}), {atoms} atoms, {active} in use, {rounds} rounds, "
                  "{seconds:.1f} s, {stopped}".format(**rows[-1]), flush=True)  # fmt: skip
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--json", type=Path, help="also write the numbers here")
    parser.add_argument("--seconds", type=float, default=20.0, help="time per run on digits")
    options = parser.parse_args()
    report = {"machine": machine.describe(), "xor": xor(), "digits": digits(options.seconds)}
    if options.json:
        options.json.write_text(json.dumps(report, indent=1))


if __name__ == "__main__":
    main()
