"""Measure ADMM splitting by depth: 1 to 5 hidden layers on real images, train and held out.

    OMP_WAIT_POLICY=passive python benchmarks/depth.py --data digits --cache depth.json
    BIDUAL_DATA=... python benchmarks/depth.py --data mnist --cache depth.json

The rows are the paper's algorithm, the same with one change each, and with all changes. MNIST-10k
gives 1,000 training and 2,000 held-out images, scikit-learn's digits 1,000 and 797. Each seed
chooses new ones. Images become frames of spikes: at each of 10 steps every pixel fires with its
grey level as probability. "convex finish" keeps the trained hidden layers and replaces the readout
by the certified optimum of its convex program. Its strength is the best of six on a fifth of the
training images, which the hidden layers have seen. The cache stores each finished run, and the
script does not repeat it.
"""

import argparse
import json
import os
import sys
import time
from importlib import metadata
from pathlib import Path

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import machine
import numpy as np

import bidual as bd

DEPTHS, SEEDS = (1, 2, 3, 4, 5), (0, 1, 2)
STEPS = 10
SIZES = {"digits": (1000, 797), "mnist": (1000, 2000)}
# loss |z - y|**2, rho = 1 and beta = 0.1 in the paper, whose loss is twice bidual's
PAPER = {"rho": 0.5, "spike_rho": 0.05, "initial": "uniform"}
CHANGES = {
    "adaptive penalties": {"adaptive": True},
    "acceleration": {"acceleration": 5},
    "exact box": {"spikes": "exact"},
    "simulated start": {"initial": "simulated"},
}
EVERYTHING = {name: value for change in CHANGES.values() for name, value in change.items()}
SHARES = (0.3, 0.1, 0.03, 0.01, 0.003, 0.001)  # strengths to try, relative to lambda_max
FINISH_GAP = 1e-6


def images(data, seed):
    """Return training and held-out images: X, y, X, y."""
    X, y = bd.tasks.digits() if data == "digits" else bd.tasks.mnist()
    train, held = SIZES[data]
    rng = np.random.default_rng(seed)
    order = rng.permutation(len(y))
    pixels = X[order[: train + held]].reshape(train + held, 1, -1)
    frames = rng.random((train + held, STEPS, pixels.shape[2])) < pixels
    labels = y[order[: train + held]]
    return frames[:train], labels[:train], frames[train:], labels[train:]


def accuracy(network, X, y):
    """Return the share of sequences that a network classifies correctly."""
    return float((network.predict(X) == y).mean())


def finish(network, X, y):
    """Return the network with the optimal readout, and the certified relative gap."""
    held = len(y) // 5
    found = {}
    tried = bd.readout_program(network, X[held:], y[held:], strength=1.0, intercept=True)
    for share in SHARES:
        program = tried.with_strength(share * tried.lambda_max)
        solution = bd.solve(program, gap=1e-3)
        refitted = network.with_readout(solution.weights, solution.intercept, program.classes)
        found[share] = accuracy(refitted, X[:held], y[:held])
    best = max(found, key=found.get)
    program = bd.readout_program(network, X, y, strength=1.0, intercept=True)
    program = program.with_strength(best * program.lambda_max)
    solution = bd.solve(program, gap=FINISH_GAP)
    return network.with_readout(
        solution.weights, solution.intercept, program.classes
    ), solution.certificate.relative_gap


def run(data, depth, seed, settings, width, sweeps, warm_up):
    """Train a network and return all figures of the table."""
    X, y, X_held, y_held = images(data, seed)
    start = time.perf_counter()
    splitting = bd.ADMMSplitting(hidden=(width,) * depth, **settings)
    trained = splitting.fit(X, y, sweeps=sweeps, warm_up=warm_up, seed=seed)
    seconds = time.perf_counter() - start
    finished, gap = finish(trained.network, X, y)
    last = trained.history[-1]
    return {
        "train": accuracy(trained.network, X, y),
        "held": accuracy(trained.network, X_held, y_held),
        "finished_train": accuracy(finished, X, y),
        "finished_held": accuracy(finished, X_held, y_held),
        "gap": gap,
        "seconds": seconds,
        "lagrangian": last.lagrangian,
        "residuals": last.residuals,
        "disagreement": last.disagreement,
        "rates": [float(rates.mean()) for rates in trained.network.rates(X_held)],
        "rise": max(sweep.rise for sweep in trained.history),
        "accelerated": sum(sweep.accelerated for sweep in trained.history),
    }


def rows(depths):
    """Yield each row's name, settings and depths, and whether it ends after one sweep."""
    yield "plain", PAPER, depths, False
    ends = tuple(depth for depth in depths if depth in (min(DEPTHS), max(DEPTHS)))
    for name, change in CHANGES.items():
        yield f"plain + {name}", PAPER | change, ends, False
    yield "everything on", PAPER | EVERYTHING, depths, False
    yield "everything on, one sweep", PAPER | EVERYTHING, depths, True


def percent(runs, name):
    """Format the mean over seeds and the standard deviation, in per cent."""
    values = 100 * np.array([found[name] for found in runs])
    return f"{values.mean():.1f} ± {values.std():.1f}"


def table(data, kept, depths, seeds):
    """Print a Markdown table, each row without and with the convex finish."""
    print(f"\n{data}: train / held out, % (mean ± deviation over {len(seeds)} seeds)\n")
    print("| | " + " | ".join(f"{depth} hidden" for depth in depths) + " |")
    print("|---" * (len(depths) + 1) + "|")
    for name, _, own, _ in rows(depths):
        for what, prefix in ((name, ""), (f"{name}, convex finish", "finished_")):
            cells = []
            for depth in depths:
                runs = [kept.get(key(data, name, depth, seed)) for seed in seeds]
                told = depth in own and all(runs)
                parts = [percent(runs, prefix + side) for side in ("train", "held")] if told else []
                cells.append(" / ".join(parts))
            print(f"| {what} | " + " | ".join(cells) + " |")


def key(data, name, depth, seed):
    """Return the key of a run in the cache."""
    return f"{data}, {name}, {depth} hidden, seed {seed}"


def main():
    """Run what the cache lacks, and print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", choices=SIZES, default="digits")
    parser.add_argument("--cache", metavar="FILE", help="store runs here and skip stored ones")
    parser.add_argument("--depths", type=int, nargs="+", default=DEPTHS)
    parser.add_argument("--seeds", type=int, nargs="+", default=SEEDS)
    parser.add_argument("--width", type=int, default=64)
    parser.add_argument("--sweeps", type=int, default=40)
    parser.add_argument("--warm-up", type=int, default=15)
    options = parser.parse_args()
    machine.show(machine.describe())
    path = Path(options.cache) if options.cache else None
    kept = json.loads(path.read_text()) if path and path.exists() else {}
    chosen = [options.width, options.sweeps, options.warm_up, STEPS, SIZES, PAPER, CHANGES, SHARES]
    settled = json.loads(json.dumps([*chosen, metadata.version("bidual")]))  # as in the cache
    if kept.setdefault("settings", settled) != settled:
        sys.exit(
            f"cache: expected runs with the settings {settled}, got {kept['settings']}; name "
            "another file"
        )
    for seed in options.seeds:
        for name, settings, depths, one in rows(options.depths):
            for depth in depths:
                told = key(options.data, name, depth, seed)
                if told in kept:
                    continue
                sweeps = 1 if one else options.sweeps
                kept[told] = run(
                    options.data, depth, seed, settings, options.width, sweeps, options.warm_up
                )
                found = kept[told]
                print(
                    f"{told}: {found['train']:.3f} / {found['held']:.3f}, finished "
                    f"{found['finished_train']:.3f} / {found['finished_held']:.3f}, "
                    f"{found['seconds']:.0f} s",
                    flush=True,
                )
                if path:
                    whole = path.with_suffix(".part")
                    whole.write_text(json.dumps(kept, indent=1))
                    whole.replace(path)  # an interruption leaves no partial file
    table(options.data, kept, options.depths, options.seeds)


if __name__ == "__main__":
    main()
