"""Programs of the race: 0/1 designs and targets; a loss and a strength complete the program.

Spiking dictionaries come from LIF (64, 32) subnetworks with leak 0.99 and threshold 1, sampled
with seed 0. Targets are -1 and +1.
"""

import os

import numpy as np

import bidual as bd

LAST = bd.LIF(hidden=(64, 32), leak=0.99, threshold=1.0)
EVERY = bd.LIF(hidden=(64, 32), leak=0.99, threshold=1.0, readout="every")


def state(design, target, loss, share, intercept=False, penalty="l1"):
    """Return the program at a share of its lambda_max."""
    program = bd.ConvexProgram(design, target, loss, 0.0, intercept=intercept, penalty=penalty)
    return program.with_strength(share * program.lambda_max)


def small(program):
    """Return the program of a few atoms, for a run that compiles the solver's code."""
    few = program.take(np.arange(min(program.design.shape[1], 100)))
    return few.with_strength(0.1 * few.lambda_max)


def digits_lif(subnetworks=250):
    """Return 1,797 images of digits, 3 against the rest; 250 subnetworks give 5,308 atoms."""
    X, labels = bd.tasks.digits()
    return LAST.sample(X, subnetworks, seed=0).atoms, np.where(labels == 3, 1.0, -1.0)


def addition_lif(samples=4096, subnetworks=153):
    """Return sums in base 2 of 5 digits, the digit at each of 6 steps: 24,576 rows, 4,297 atoms."""
    X, digits = bd.tasks.addition(samples=samples)
    # rows of the dictionary are the first step of all sequences, then the second, and so on
    return EVERY.sample(X, subnetworks, seed=0).atoms, np.where(digits.T.ravel() == 1, 1.0, -1.0)


def xor_lif(steps=11, subnetworks=250):
    """Return all strings of 11 bits, first bit xor last bit: 2,048 rows, 3,927 atoms."""
    X, labels = bd.tasks.first_last_xor(steps=steps)
    return LAST.sample(X, subnetworks, seed=0).atoms, np.where(labels == 1, 1.0, -1.0)


def mnist_lif(images=10_000, subnetworks=250):
    """Return the first test images of MNIST, 3 against the rest; BIDUAL_DATA names the folder."""
    X, labels = bd.tasks.mnist()
    atoms = LAST.sample(X[:images], subnetworks, seed=0).atoms
    return atoms, np.where(labels[:images] == 3, 1.0, -1.0)


def mnist_classes_lif(images=6_000, subnetworks=282):
    """Return the first test images of MNIST, ten classes one-hot; BIDUAL_DATA names the folder."""
    X, labels = bd.tasks.mnist()
    return LAST.sample(X[:images], subnetworks, seed=0).atoms, np.eye(10)[labels[:images]]


def correlated(n=1_000, atoms=10_000, density=0.15, correlation=0.6, seed=0):
    """Return Gaussian columns, each correlated with the previous, thresholded to 0/1.

    All columns have the same density. The target is the sign of a random combination of 1 % of
    the columns plus noise, whose deviation is a third of the combination's.
    """
    rng = np.random.default_rng(seed)
    dense = np.zeros((n, atoms), np.uint8)
    column, ones = rng.normal(size=n), round(density * n)
    for j in range(atoms):
        dense[np.argsort(column)[n - ones :], j] = 1
        column = correlation * column + np.sqrt(1 - correlation**2) * rng.normal(size=n)
    chosen = rng.choice(atoms, max(atoms // 100, 1), replace=False)
    signal = dense[:, chosen] @ rng.normal(size=chosen.size)
    signal += signal.std() / 3 * rng.normal(size=n)
    target = np.where(signal > np.median(signal), 1.0, -1.0)
    return bd.BinaryMatrix.from_dense(dense), target


def libsvm(path=None):
    """Read a file in LIBSVM's format, named here or by BIDUAL_LIBSVM; features become value > 0.

    0/1 features are unchanged. Two labels become -1 and +1. More than two values, as in
    regression, are the target.
    """
    named = path or os.environ.get("BIDUAL_LIBSVM")
    if not named:
        raise ValueError(
            "path: expected a LIBSVM file, got None; give path or set BIDUAL_LIBSVM to the file"
        )
    from sklearn.datasets import load_svmlight_file

    features, labels = load_svmlight_file(named)
    blocks = [features[:, start : start + 4096] for start in range(0, features.shape[1], 4096)]
    design = bd.BinaryMatrix.hstack(
        bd.BinaryMatrix.from_dense((block.toarray() > 0).astype(np.uint8)) for block in blocks
    )
    values = np.unique(labels)
    target = np.where(labels == values[-1], 1.0, -1.0) if values.size == 2 else labels
    return design, target
