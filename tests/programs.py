"""The programs that every backend is run on: known ones, and random ones over the whole grid."""

from dataclasses import dataclass

import numpy as np

import bidual as bd

from references import REFERENCES


@dataclass(frozen=True, eq=False)
class Known:
    """A program, its optimal value, W where it is unique, b, and V unless strength is 0."""

    program: bd.ConvexProgram
    value: float
    weights: np.ndarray | None
    intercept: np.ndarray
    dual: np.ndarray | None


KNOWN = {
    name: Known(
        bd.ConvexProgram(**reference.parts),
        reference.value,
        reference.weights if reference.unique else None,
        reference.intercept,
        reference.dual_point,
    )
    for name, reference in REFERENCES.items()
}


def random_program(
    loss, intercept=False, outputs=2, seed=0, share=0.2, penalty="l1", rows=40, atoms=15
):
    """A program with uneven row weights, some of them 0, at a share of lambda_max."""
    rng = np.random.default_rng(seed)
    D = bd.BinaryMatrix.from_dense(rng.random((rows, atoms)) < 0.3)
    z = D.to_dense() @ rng.normal(size=(atoms, outputs)) + 0.3 * rng.normal(size=(rows, outputs))
    if loss == "softmax":
        y = np.eye(outputs)[z.argmax(axis=1)]
    elif bd.LOSSES[loss].labels:
        y = np.where(z > np.median(z, axis=0), 1.0, -1.0)
    else:
        y = z
    a = rng.random(rows) * (rng.random(rows) < 0.9)
    program = bd.ConvexProgram(
        D, y, loss, 0.0, row_weights=a / a.sum(), intercept=intercept, penalty=penalty
    )
    return program.with_strength(share * program.lambda_max)


def random_programs(seed=0):
    """A random program for every loss, penalty, number of outputs and intercept, by name."""
    return {
        f"{loss}, {penalty}, {outputs} outputs{', intercept' if intercept else ''}": random_program(
            loss, intercept, outputs, seed, penalty=penalty
        )
        for loss in bd.LOSSES
        for penalty in ("l1", "group")
        for outputs in (1, 3)
        for intercept in (False, True)
        if outputs > 1 or loss != "softmax"
    }


RANDOM = random_programs()
