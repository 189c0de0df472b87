"""Build a dictionary too large for memory into a file, map it and multiply with it.

    python benchmarks/large.py FILE [--samples 60000] [--subnetworks 1500]

The script prints time and peak memory per step. After an interruption, start it again and it
continues. With a finished file it verifies, maps and multiplies. The sequences are
scikit-learn's digits, repeated with random changes of pixels.
"""

import argparse
import resource
import time
from contextlib import contextmanager

import machine
import numpy as np

import bidual as bd


@contextmanager
def step(name):
    """Time a step, and print the peak memory of the process up to its end."""
    start = time.perf_counter()
    yield
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    print(f"{name:34s} {time.perf_counter() - start:9.2f} s   peak {peak:5.2f} GiB", flush=True)


def sequences(samples, rng):
    images, _ = bd.tasks.digits()
    chosen = images[rng.integers(0, len(images), samples)]
    noise = rng.integers(-3, 4, chosen.shape) / 16
    return np.clip(chosen + noise, 0, 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("file")
    parser.add_argument("--samples", type=int, default=60_000)
    parser.add_argument("--subnetworks", type=int, default=1500)
    options = parser.parse_args()
    machine.show(machine.describe())
    rng = np.random.default_rng(0)
    X = sequences(options.samples, rng)
    bank = bd.SampledWitnesses(8, (200,), options.subnetworks, seed=0, neuron=bd.Neuron(0.95, 1.0))
    with step("start"):
        pass
    with step("build (or verify a finished file)"):
        atoms = bd.SpikeDictionary.build(options.file, X, bank).atoms
    print(f"{atoms}: {atoms.nbytes / 1e9:.2f} GB packed")
    del atoms  # pages that were read from the map count as memory
    with step("load, every checksum verified"):
        atoms = bd.SpikeDictionary.load(options.file).atoms
    r, w = rng.normal(size=atoms.shape[0]), rng.normal(size=atoms.shape[1])
    with step("column sums"):
        largest = int(atoms.column_sums().max())
    with step("D'r to 12 bits"):
        atoms.rmatvec_within(r, largest * 2.0**-9)
    with step("D'r, float64"):
        exact = atoms.rmatvec(r)
    with step("D'r to 1e-6"):
        values, bound = atoms.rmatvec_within(r, 1e-6)
    if np.abs(values - exact).max() > bound + 1e-9:
        raise AssertionError(
            f"D'r: expected an error of at most {bound}, got {np.abs(values - exact).max()}"
        )
    with step("D w, float64"):
        atoms.matvec(w)
    with step("Gram of 1,000 columns"):
        atoms.gram(rng.permutation(atoms.shape[1])[:1000])


if __name__ == "__main__":
    main()
