"""Compare a sweep of ADMM splitting with a plain NumPy version, and measure peak memory.

    python benchmarks/admm.py [--rounds 5] [--json FILE] [--small]

The data imitate N-MNIST: 34 x 34 pixels of two polarities, so 2,312 inputs of 0 or 1, and a frame
per millisecond with 14 events (4,200 in 300 ms; Orchard et al. 2015). Rates depend on pixel and
class. The network has 200 samples of 150 frames, 512 hidden neurons, 10 outputs, and all settings
of the paper. A second run adds the paper's noise 0.01 N(0, 1), which makes all inputs nonzero.

The plain version uses float64 arrays with time first, products of whole layers, a stored
pseudo-inverse of the inputs, a loop over coupled time steps, and BLAS with all threads. A sweep
updates weights, spikes, membranes and the multiplier; bidual's also sums the Lagrangian. Both
versions have the same start, must agree after two sweeps, and then take turns. "with history"
also simulates the network after the sweep, as ``fit`` does. Peak memory is that of a process that
creates the inputs (8-bit integers, or float32 with noise) and trains for two sweeps. With --small
the sizes are small and the times mean little.
"""

import argparse
import json
import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import resource
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import machine
import numpy as np

import bidual as bd
from bidual.formulations.losses import find_loss
from bidual.formulations.targets import encode
from bidual.solvers.splitting.sweeps import Training

EVENTS, OUTPUTS, NOISE = 14, 10, 0.01
TARGET, MEMORY = 5.0, 2.0  # ratio, GB
TOLERANCE = 1e-6  # rounding, times the condition numbers of two layers' Gram matrices


@dataclass(frozen=True)
class Size:
    samples: int
    steps: int
    inputs: int
    hidden: int


FULL, SMALL = Size(200, 150, 34 * 34 * 2, 512), Size(50, 40, 400, 64)


def frames(size: Size, noisy: bool) -> tuple[Any, Any]:
    """Draw events (n, T, d) and their labels."""
    rng = np.random.default_rng(0)
    labels = np.arange(size.samples) % OUTPUTS
    rates = rng.exponential(EVENTS / size.inputs, (OUTPUTS, size.inputs))
    shape = size.steps, size.inputs
    X = np.empty((size.samples, *shape), dtype=np.float32 if noisy else np.uint8)
    for events, label in zip(X, labels, strict=True):
        events[:] = rng.random(shape) < rates[label]
        if noisy:
            noise = NOISE * rng.standard_normal(shape)
            events += np.rint(noise * 2.0**20) / 2.0**20  # on the grid of inputs
    return X, labels


def network(size: Size) -> bd.ADMMSplitting:
    return bd.ADMMSplitting(hidden=(size.hidden,), initial="uniform")


def training(size: Size, X: Any, labels: Any) -> Training:
    loss = find_loss("squared")
    targets, classes = encode(labels, len(X), loss)
    return Training(network(size), X, targets, loss, classes, None, 0)


class Plain:
    """NumPy version of the same sweep, for one hidden layer."""

    def __init__(self, size: Size, X: Any, ours: Training) -> None:
        (batch,) = ours._batches
        self.settings, self.y = network(size), batch.targets
        (self.a,) = (spikes.copy() for spikes in batch.spikes)
        self.z, self.outputs = (membranes.copy() for membranes in batch.membranes)
        self.multiplier = np.zeros_like(self.y)
        self.inputs = X.transpose(1, 0, 2).reshape(-1, X.shape[2]).astype(np.float64)
        # the same threshold for eigenvalues of 0 as in bidual
        self.inverse = np.linalg.pinv(self.inputs.T @ self.inputs, 1e-12, hermitian=True)
        self.W1 = np.zeros((X.shape[2], self.z.shape[2]))
        self.W2 = np.zeros((self.z.shape[2], self.y.shape[1]))

    def sweep(self) -> None:
        s = self.settings
        leak, threshold, rho, beta = s.leak, s.threshold, s.rho, s.spike_rho
        z, a, outputs, W2 = self.z, self.a, self.outputs, self.W2
        width = z.shape[2]

        target = z.copy()
        target[1:] += threshold * a[:-1] - leak * z[:-1]
        self.W1 = self.inverse @ (self.inputs.T @ target.reshape(-1, width))
        c = (self.inputs @ self.W1).reshape(z.shape)

        target = outputs.copy()
        target[1:] -= leak * outputs[:-1]
        target[-1] += self.multiplier / rho
        right = rho * (target @ W2.T) + beta * (z > threshold)
        right[:-1] -= rho * threshold * (z[1:] - leak * z[:-1] - c[1:])
        matrix, eye = rho * W2 @ W2.T, np.eye(width)
        before = np.linalg.inv(matrix + (rho * threshold**2 + beta) * eye)
        at_end = np.linalg.inv(matrix + beta * eye)
        np.clip(right[:-1] @ before, 0, 1, out=a[:-1])
        np.clip(right[-1] @ at_end, 0, 1, out=a[-1])

        for t in range(len(z)):
            q = c[t] + leak * z[t - 1] - threshold * a[t - 1] if t else c[t]
            if t + 1 < len(z):
                curvature = 1 + leak**2
                point = (q + leak * (z[t + 1] - c[t + 1] + threshold * a[t])) / curvature
            else:
                curvature, point = 1.0, q
            low = np.minimum(point, threshold)
            high = np.where(point > threshold, point, threshold * (1 + 1e-5))
            silent = rho * curvature * (low - point) ** 2 + beta * a[t] ** 2
            firing = rho * curvature * (high - point) ** 2 + beta * (1 - a[t]) ** 2
            z[t] = np.where(firing < silent, high, low)

        spikes = a.reshape(-1, width)
        cross = spikes.T @ target.reshape(-1, outputs.shape[2])
        self.W2 = np.linalg.pinv(spikes.T @ spikes, 1e-12, hermitian=True) @ cross
        c = a @ self.W2
        for t in range(len(z) - 1):
            ahead = outputs[t + 1] - c[t + 1]
            if t + 2 == len(z):
                ahead = ahead + self.multiplier / rho
            outputs[t] = (c[t] + leak * (ahead + (outputs[t - 1] if t else 0))) / (1 + leak**2)
        arriving = c[-1] + leak * outputs[-2]
        outputs[-1] = (rho * arriving - self.multiplier + self.y) / (1 + rho)
        self.multiplier += rho * (outputs[-1] - arriving)


def assert_alike(plain: Plain, ours: Training) -> float:
    """Check that both agree; return the largest difference relative to its array."""
    (batch,) = ours._batches
    pairs = {
        "first weights": (ours.weights[0], plain.W1),
        "last weights": (ours.weights[1], plain.W2),
        "spikes": (batch.spikes[0], plain.a),
        "membranes": (batch.membranes[0], plain.z),
        "outputs": (batch.membranes[1], plain.outputs),
        "multiplier": (batch.multiplier, plain.multiplier),
    }
    apart = {name: float(np.abs(a - b).max() / np.abs(b).max()) for name, (a, b) in pairs.items()}
    if max(apart.values()) > TOLERANCE:
        raise AssertionError(
            f"bidual and plain version: expected differences up to {TOLERANCE}, got {apart}"
        )
    return max(apart.values())


def race(size: Size, noisy: bool, rounds: int) -> dict[str, Any]:
    """Measure the seconds of each arm; the arms take turns."""
    X, labels = frames(size, noisy)
    ours = training(size, X, labels)
    plain = Plain(size, X, ours)
    density = float(np.count_nonzero(X) / X.size)
    for _ in range(2):
        plain.sweep()
        ours.relax(True, "auto")
    apart = assert_alike(plain, ours)
    arms = {
        "plain": plain.sweep,
        "bidual": lambda: ours.relax(True, "auto"),
        "with history": lambda: ours.sweep(True, "auto"),
    }
    seconds: dict[str, list[float]] = {name: [] for name in arms}
    for _ in range(rounds):
        for name, run in arms.items():
            start = time.perf_counter()
            run()
            seconds[name].append(time.perf_counter() - start)
    return {
        "noisy": noisy,
        "density": density,
        "apart": apart,
        "median": {name: float(np.median(taken)) for name, taken in seconds.items()},
        "least": {name: min(taken) for name, taken in seconds.items()},
    }


def peak(size: Size, noisy: bool) -> float:
    """Return the peak GB of this process after two sweeps."""
    X, labels = frames(size, noisy)
    network(size).fit(X, labels, sweeps=2)
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def alone(size: Size, noisy: bool) -> float:
    """Return the peak GB of a new process."""
    with ProcessPoolExecutor(1, get_context("spawn")) as pool:
        return pool.submit(peak, size, noisy).result()


def show(record: dict[str, Any]) -> None:
    what = "events and noise" if record["noisy"] else "events"
    print(f"\n{what}: {record['density']:.2%} of the inputs are nonzero")
    print(f"{'':14s}{'median s':>9s}{'least s':>9s}{'ratio':>7s}{'of least':>10s}")
    median, least = record["median"], record["least"]
    for name in median:
        ratios = median["plain"] / median[name], least["plain"] / least[name]
        print(
            f"{name:14s}{median[name]:9.3f}{least[name]:9.3f}{ratios[0]:7.1f}{ratios[1]:10.1f}",
            flush=True,
        )
    print(f"equal to {record['apart']:.0e}; peak memory {record['gigabytes']:.2f} GB")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=5, help="number of rounds")
    parser.add_argument("--small", action="store_true", help="a quick round on a small network")
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the numbers here")
    options = parser.parse_args()
    size = SMALL if options.small else FULL
    described = machine.describe()
    machine.show(described)
    print(
        f"{size.samples} samples, T = {size.steps}, {size.inputs} inputs, {size.hidden} hidden, "
        f"{OUTPUTS} outputs; targets: a ratio of {TARGET:g} on events, less than {MEMORY:g} GB"
    )
    gigabytes = {noisy: alone(size, noisy) for noisy in (False, True)}  # before this process grows
    records = []
    for noisy in (False, True):
        records.append(race(size, noisy, options.rounds) | {"gigabytes": gigabytes[noisy]})
        show(records[-1])
    described["load_after"] = machine.describe()["load"]
    print(f"load after: {described['load_after']}")
    if options.json:
        result = {"machine": described, "size": vars(size), "sweeps": records}
        options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
