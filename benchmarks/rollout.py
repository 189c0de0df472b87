"""Compare rollouts with snnTorch's step loop on the same networks: spikes and times.

    OMP_WAIT_POLICY=passive python benchmarks/rollout.py [--rounds 15] [--json FILE]

The script needs torch and snntorch (the extra ``interop``). The arms take turns; it compares
medians. snnTorch has its fastest setting: float32, and the faster of one and all threads. The
script also compares spikes layer by layer with snnTorch in float64. On the grids of weights and
inputs they are equal bit for bit; off the grids it counts flips.
"""

import argparse
import json
import os

os.environ.setdefault("OMP_WAIT_POLICY", "passive")

import time
from importlib import metadata
from itertools import pairwise

import machine
import numpy as np
import snntorch
import torch

import bidual as bd
from bidual.dictionaries import Layer, get_threads, roll, roll_columns, smallest_margins

SAMPLES, STEPS, INPUTS, HIDDEN = 4096, 28, 28, (64, 64, 64)
LEAK, THRESHOLD = 0.9, 1.0
TARGET = 3.0
LAWS = {"fan-in scaled": lambda fan_in: fan_in**-0.5, "unscaled": lambda fan_in: 1.0}


class StepLoop:
    """Layers in snnTorch: Linear and Leaky in a step loop, as in its tutorials."""

    def __init__(self, layers, sequences, dtype):
        self.dtype = dtype
        self.sequences = torch.tensor(sequences.transpose(1, 0, 2).copy(), dtype=dtype)
        self.linear = [
            torch.nn.Linear(*layer.weights.shape, bias=False, dtype=dtype) for layer in layers
        ]
        for linear, layer in zip(self.linear, layers, strict=True):
            linear.weight.data = torch.tensor(layer.weights.T.copy(), dtype=dtype)
        constants = {"threshold": torch.tensor(THRESHOLD, dtype=dtype)}
        self.neurons = [
            snntorch.Leaky(beta=torch.tensor(LEAK, dtype=dtype), **constants) for _ in layers
        ]

    @torch.no_grad()
    def run(self, keep=False):
        """Return the final spikes, or with ``keep`` those of every layer and step."""
        membranes = [neuron.init_leaky() for neuron in self.neurons]
        kept = [[] for _ in self.neurons]
        for step in self.sequences:
            signal = step
            for k, (linear, neuron) in enumerate(zip(self.linear, self.neurons, strict=True)):
                spikes, membranes[k] = neuron(linear(signal), membranes[k])
                signal = spikes.to(self.dtype)
                if keep:
                    kept[k].append(spikes.numpy())
        return [np.stack(layer, axis=1) for layer in kept] if keep else signal


def network(rng, law, on_grid):
    """Sample layers and sequences, on the grids or off both."""
    widths = (INPUTS, *HIDDEN)
    drawn = [rng.normal(size=shape) * LAWS[law](shape[0]) for shape in pairwise(widths)]
    sequences = rng.random((SAMPLES, STEPS, INPUTS))
    if on_grid:
        drawn = [np.rint(weights * 2.0**14) / 2.0**14 for weights in drawn]
        sequences = np.rint(sequences * 2.0**20) / 2.0**20
    # snnTorch fires if the membrane is above the threshold
    return [Layer.build(weights, LEAK, THRESHOLD, strict=True) for weights in drawn], sequences


def flips(layers, sequences, dtype):
    """Return the share of spikes per layer that differ from snnTorch, and the firing rates."""
    ours = roll(sequences, layers)
    theirs = StepLoop(layers, sequences, dtype).run(keep=True)
    differ = [float(np.mean(a != b)) for a, b in zip(ours, theirs, strict=True)]
    return differ, [float(a.mean()) for a in ours]


def race(layers, sequences, rounds):
    """Return the median seconds of each arm over interleaved rounds."""
    loop = StepLoop(layers, sequences, torch.float32)
    cores = get_threads()

    def theirs(count):
        torch.set_num_threads(count)
        loop.run()

    def ours(count):
        with bd.use_threads(count):
            roll_columns(sequences, layers, every_step=False)

    arms = {
        (name, count): run
        for name, run in (("snntorch", theirs), ("bidual", ours))
        for count in sorted({1, cores})
    }
    seconds = {arm: [] for arm in arms}
    for round_ in range(rounds + 1):
        for (name, count), run in arms.items():
            start = time.perf_counter()
            run(count)
            if round_:  # the first one compiles and warms up
                seconds[name, count].append(time.perf_counter() - start)
    return {arm: float(np.median(taken)) for arm, taken in seconds.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--json")
    options = parser.parse_args()
    described = machine.describe()
    described["versions"] |= {name: metadata.version(name) for name in ("torch", "snntorch")}
    machine.show(described)
    print(f"{SAMPLES} samples, T = {STEPS}, {INPUTS} inputs, {HIDDEN}, leak {LEAK}")
    results = {law: compare(law, options) for law in LAWS}
    if options.json:
        with open(options.json, "w") as file:
            json.dump({"machine": described, **results}, file, indent=2)


def compare(law, options):
    """Compare spikes, then times, for Gaussian weights scaled by a law."""
    rng = np.random.default_rng(options.seed)
    layers, sequences = network(rng, law, on_grid=True)
    differ, rates = flips(layers, sequences, torch.float64)
    print(f"\n{law} weights: firing rates by layer {', '.join(f'{r:.3f}' for r in rates)}")
    print(f"on the grids, against float64   {differ} of the spikes differ")
    single, _ = flips(layers, sequences, torch.float32)
    print(f"on the grids, against float32   {single}")
    off = network(rng, law, on_grid=False)
    flipped, _ = flips(*off, torch.float64)
    margins = ", ".join(f"{margin:.1e}" for margin in smallest_margins(off[1], off[0]))
    print(f"off the grids, against float64  {flipped}; smallest |u - threshold| {margins}")

    seconds = race(layers, sequences, options.rounds)
    for (name, count), taken in seconds.items():
        print(f"{name:9s} {count} thread{'s' * (count > 1)}  {1e3 * taken:8.1f} ms")
    best = {
        name: min(taken for arm, taken in seconds.items() if arm[0] == name)
        for name in ("snntorch", "bidual")
    }
    ratio = best["snntorch"] / best["bidual"]
    alone = seconds["snntorch", 1] / seconds["bidual", 1]
    print(f"ratio of the best arms {ratio:.2f} (target {TARGET}); on one thread {alone:.2f}")
    return {
        "ratio": ratio,
        "one_thread_ratio": alone,
        "seconds": {f"{name} {count}": taken for (name, count), taken in seconds.items()},
        "rates": rates,
        "flips": {"grid": differ, "grid float32": single, "off grid": flipped},
    }


if __name__ == "__main__":
    main()
