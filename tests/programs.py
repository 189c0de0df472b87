"""Small programs with answers known by hand, for every backend that accepts them."""

from dataclasses import dataclass

import numpy as np

import bidual as bd


@dataclass(frozen=True)
class Known:
    """A program, its optimal value, and its weights where they are unique."""

    program: bd.ConvexProgram
    value: float
    weights: np.ndarray | None = None


def _soft(values, step):
    return np.sign(values) * np.maximum(np.abs(values) - step, 0.0)


def _matrix(rows):
    return bd.BinaryMatrix.from_dense(rows)


def _orthogonal():
    # D = I: each weight is its target, shrunk by strength / a
    y = np.array([3.0, -2.0, 0.5, -0.1])
    strength, a = 0.2, 0.25
    w = _soft(y, strength / a)
    value = a * 0.5 * ((w - y) ** 2).sum() + strength * np.abs(w).sum()
    return Known(bd.ConvexProgram(_matrix(np.eye(4)), y, "squared", strength), value, w[:, None])


def _duplicates():
    # both columns may share the weight; the value is that of one column
    y = np.array([2.0, 4.0])
    strength = 0.5
    w = float(_soft(y.mean(), strength))
    value = 0.25 * ((w - y) ** 2).sum() + strength * abs(w)
    return Known(bd.ConvexProgram(_matrix([[1, 1], [1, 1]]), y, "squared", strength), value)


def _zero_column():
    y = np.array([2.0, 4.0])
    w = float(_soft(y.mean(), 0.5))
    value = 0.25 * ((w - y) ** 2).sum() + 0.5 * abs(w)
    program = bd.ConvexProgram(_matrix([[1, 0], [1, 0]]), y, "squared", 0.5)
    return Known(program, value, np.array([[w], [0.0]]))


def _ones_column_with_intercept():
    # the intercept does the all-ones column's work for nothing
    y = np.array([1.0, 2.0, 6.0])
    value = 0.5 * ((y - y.mean()) ** 2).mean()
    program = bd.ConvexProgram(_matrix([[1], [1], [1]]), y, "squared", 0.3, intercept=True)
    return Known(program, value, np.zeros((1, 1)))


def _above_lambda_max(loss):
    rng = np.random.default_rng(3)
    D = _matrix(rng.integers(0, 2, (12, 5)))
    y = np.where(rng.random(12) < 0.4, 1.0, -1.0)
    program = bd.ConvexProgram(D, y, loss, 0.0)
    program = program.with_strength(1.01 * program.lambda_max)
    return Known(program, program.reference, np.zeros((5, 1)))


def _one_row():
    program = bd.ConvexProgram(_matrix([[1]]), [3.0], "squared", 1.0)
    return Known(program, 0.5 + 2.0, np.array([[2.0]]))


def _hinge_one_column():
    # margins w, w, -w: the loss (2 max(0, 1 - w) + 1 + w) / 3 falls by 1/3 up to w = 1
    program = bd.ConvexProgram(_matrix([[1], [1], [1]]), [1.0, 1.0, -1.0], "hinge", 0.1)
    return Known(program, 2 / 3 + 0.1, np.array([[1.0]]))


def _logistic_separable():
    # one row, one column: log(1 + exp(-w)) + s w, least where the sigmoid of -w is s
    strength = 0.05
    w = np.log((1 - strength) / strength)
    value = np.log1p(np.exp(-w)) + strength * w
    program = bd.ConvexProgram(_matrix([[1]]), [1.0], "logistic", strength)
    return Known(program, float(value), np.array([[w]]))


def _weighted():
    # the row of weight 0 has no say
    y = np.array([3.0, -2.0, 100.0])
    a = np.array([0.5, 0.25, 0.0])
    w = np.array([_soft(3.0, 0.2 / 0.5), _soft(-2.0, 0.2 / 0.25)])
    value = (0.5 * a[:2] * (w - y[:2]) ** 2).sum() + 0.2 * np.abs(w).sum()
    D = _matrix([[1, 0], [0, 1], [1, 1]])
    return Known(bd.ConvexProgram(D, y, "squared", 0.2, row_weights=a), value, w[:, None])


def _constant_target():
    # the intercept alone fits it, so the reference is 0 and W = 0 is optimal
    program = bd.ConvexProgram(
        _matrix([[1, 0], [1, 1]]), [2.5, 2.5], "squared", 0.1, intercept=True
    )
    return Known(program, 0.0, np.zeros((2, 1)))


def _outputs():
    # outputs of an orthogonal design are shrunk entry by entry
    rng = np.random.default_rng(5)
    y = rng.normal(size=(6, 4))
    w = _soft(y, 0.05 * 6)
    value = ((w - y) ** 2).sum() / 12 + 0.05 * np.abs(w).sum()
    return Known(bd.ConvexProgram(_matrix(np.eye(6)), y, "squared", 0.05), float(value), w)


KNOWN = {
    "orthogonal columns": _orthogonal(),
    "duplicate columns": _duplicates(),
    "zero column": _zero_column(),
    "all-ones column, intercept": _ones_column_with_intercept(),
    "above lambda_max, squared": _above_lambda_max("squared"),
    "above lambda_max, hinge": _above_lambda_max("hinge"),
    "above lambda_max, logistic": _above_lambda_max("logistic"),
    "one row": _one_row(),
    "hinge, one column": _hinge_one_column(),
    "separable logistic": _logistic_separable(),
    "row of weight 0": _weighted(),
    "constant target, intercept": _constant_target(),
    "four outputs": _outputs(),
}


def random_program(loss, intercept, outputs=2, seed=0, share=0.2):
    """A program of 40 rows and 15 atoms with uneven row weights, some of them 0."""
    rng = np.random.default_rng(seed)
    D = _matrix(rng.random((40, 15)) < 0.3)
    z = D.to_dense() @ rng.normal(size=(15, outputs)) + 0.3 * rng.normal(size=(40, outputs))
    y = z if loss == "squared" else np.where(z > np.median(z, axis=0), 1.0, -1.0)
    a = rng.random(40) * (rng.random(40) < 0.9)
    program = bd.ConvexProgram(D, y, loss, 0.0, row_weights=a / a.sum(), intercept=intercept)
    return program.with_strength(share * program.lambda_max)


RANDOM = {
    f"{loss}{', intercept' if intercept else ''}": random_program(loss, intercept)
    for loss in bd.LOSSES
    for intercept in (False, True)
}
