"""Small named programs whose primal and dual answers are known by hand.

With the pull u(z) = -loss'(z), an answer W, b is optimal with dual point V when

    V_i = a_i u(Z_i) at Z = D W + b, or at a kink anything between the two sides of it,
    every row of D'V has a dual norm of at most strength, and where W_j is not 0
    it has that dual norm in the direction of W_j,
    columns of V sum to 0 where there is an intercept.

Most answers follow from solving these for one number. There is only one optimal V
each: a fit with one slope, or else a weight that is not 0, fixes every entry. To add a
program: a line in ``_all``, and a builder if need be; the tests prove what it claims.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import expit

from bidual import BinaryMatrix

Array = NDArray[np.float64]

_LOSSES = ("squared", "absolute", "huber", "hinge", "squared_hinge", "logistic", "softmax")
_CLASSES = 3  # of softmax, unless told


@dataclass(frozen=True, eq=False)
class Reference:
    """A program and its optimum. N rows, P atoms, C outputs.

    Attributes
    ----------
    parts : dict
        Keyword arguments of :class:`bidual.ConvexProgram`.
    value : float
        The optimal value.
    weights : (P, C) array
        An optimal W.
    intercept : (C,) array
        The b that goes with it; any number may be added to all of it with softmax.
    dual_point : (N, C) array or None
        The only optimal V; None at strength 0, where nothing beyond the bound 0 is asked.
    reason : str
        Why this is the optimum.
    unique : bool
        Whether no other W is optimal.
    """

    parts: dict[str, Any]
    value: float
    weights: Array
    intercept: Array
    dual_point: Array | None
    reason: str
    unique: bool = True

    def __post_init__(self) -> None:
        for part in (self.weights, self.intercept, self.dual_point):
            if part is not None:
                part.flags.writeable = False


def _losses(loss: str, z: Array, y: Array) -> Array:
    """Loss of each row, summed over outputs; huber with delta 1."""
    apart, missing = np.abs(z - y), np.maximum(1 - y * z, 0)
    each: Array = {
        "softmax": -y * _log_shares(z),
        "squared": apart**2 / 2,
        "absolute": apart,
        "huber": np.where(apart <= 1, apart**2 / 2, apart - 1 / 2),
        "hinge": missing,
        "squared_hinge": missing**2 / 2,
        "logistic": np.logaddexp(0, -y * z),
    }[loss]
    rows: Array = each.sum(axis=1)
    return rows


def _log_shares(z: Array) -> Array:
    """Logarithm of the softmax of each row."""
    shares: Array = z - np.logaddexp.reduce(z, axis=1, keepdims=True)
    return shares


def _pull(loss: str, z: Array, y: Array) -> Array:
    """Minus the slope of the loss in z; 0 at a kink."""
    pulls: Array = {
        "softmax": y - np.exp(_log_shares(z)),
        "squared": y - z,
        "absolute": np.sign(y - z),
        "huber": np.clip(y - z, -1, 1),
        "hinge": np.where(y * z < 1, y, 0),
        "squared_hinge": y * np.maximum(1 - y * z, 0),
        "logistic": y * expit(-y * z),
    }[loss]
    return pulls


def _fit(loss: str, pull: Array, y: Array) -> Array:
    """Return the z with that pull; the kink y where a pull within the kink is asked for."""
    found: Array = y
    if loss == "softmax":
        found = np.log(y - pull)  # any number may be added to a row
    elif loss == "logistic":
        found = y * np.log((1 - y * pull) / (y * pull))
    elif loss in ("squared", "huber", "squared_hinge"):
        found = y - pull
    return found


def _norms(penalty: str, W: Array) -> Array:
    """Norm of each row in the penalty."""
    norms: Array = np.linalg.norm(W, ord=1 if penalty == "l1" else 2, axis=1)
    return norms


def _dual_norms(penalty: str, prices: Array) -> Array:
    """Norm of each row that the strength bounds."""
    norms: Array = np.linalg.norm(prices, ord=np.inf if penalty == "l1" else 2, axis=1)
    return norms


def _matrix(rows: ArrayLike) -> BinaryMatrix:
    return BinaryMatrix.from_dense(np.asarray(rows))


def _reference(
    reason: str,
    rows: ArrayLike,
    target: Array,
    weights: Array,
    dual_point: Array | None,
    intercept: Array | None = None,
    unique: bool = True,
    *,
    loss: str,
    strength: float,
    penalty: str = "l1",
    row_weights: Array | None = None,
) -> Reference:
    n, outputs = target.shape
    b = np.zeros(outputs) if intercept is None else intercept
    a = np.full(n, 1 / n) if row_weights is None else row_weights
    value = a @ _losses(loss, np.asarray(rows) @ weights + b, target)
    value += strength * _norms(penalty, weights).sum()
    parts = {
        "design": _matrix(rows),
        "target": target,
        "loss": loss,
        "strength": strength,
        "row_weights": a,
        "intercept": intercept is not None,
        "penalty": penalty,
    }
    return Reference(parts, float(value), weights, b, dual_point, reason, unique)


def _targets(loss: str, rows: int, outputs: int) -> Array:
    """Classes in turn, signs, or signs times a size a row."""
    if loss == "softmax":
        return np.eye(outputs)[np.arange(rows) % outputs]
    signs = np.where(np.sin(1.0 + np.arange(rows * outputs)) > 0, 1.0, -1.0).reshape(rows, outputs)
    if loss in ("hinge", "squared_hinge", "logistic"):
        return signs
    sizes: Array = signs * np.array([3.0, 2.0, 0.5, 0.1])[:rows, None]
    # sizes differ within a row where the row formula allows it
    return sizes * np.linspace(1.0, 2.0, outputs) if loss == "squared" else sizes


def _orthogonal(
    loss: str, penalty: str = "l1", outputs: int = 1, strength: float = 0.125, rows: int = 4
) -> Reference:
    """D = I, so that every entry (l1) or row (group, softmax) of W is a problem of its own.

    At W = 0 its price is a u(0). Beyond the strength that shrinks onto the dual ball,
    in the same direction, and W is the fit there. (Where losses bend or end, targets
    of one size in a row keep the direction: all of its entries move alike.)
    """
    y = _targets(loss, rows, outputs)
    a = np.array([0.4, 0.3, 0.2, 0.1])[:rows] if rows > 1 else np.ones(1)
    pull = a[:, None] * _pull(loss, np.zeros_like(y), y)
    if penalty == "l1" and loss != "softmax":
        sizes = np.abs(pull)
    else:
        sizes = _dual_norms(penalty, pull)[:, None]
    v = pull * np.minimum(1, strength / sizes)
    w = np.where(sizes > strength, _fit(loss, v / a[:, None], y), 0)
    if loss == "softmax":
        # of the W with the same fit, the one of least norm
        w -= w.min(axis=1, keepdims=True) if penalty == "l1" else w.mean(axis=1, keepdims=True)
    return _reference(
        "each entry or row is a problem in one number: its price shrinks to the strength",
        np.eye(rows),
        y,
        w,
        v,
        # of two classes, either may carry the difference alone
        unique=not (loss == "softmax" and penalty == "l1" and outputs == 2),
        loss=loss,
        strength=strength,
        penalty=penalty,
        row_weights=a,
    )


def _constant(
    loss: str, penalty: str = "l1", strength: float = 0.05, intercept: bool = False
) -> Reference:
    """D = 1: one level for all rows, whose pulls add up to the strength, or to 0 for an intercept.

    An intercept is the level for nothing, so that W = 0. Under the group penalty
    a second output has the opposite targets, and the opposite answer.
    """
    a = np.array([0.6, 0.3, 0.1])
    s = 0.0 if intercept else strength
    if loss == "softmax":
        # frequencies, but for the strength that the most and the least frequent class pay
        y, level = np.eye(_CLASSES), np.log(np.array([[0.6 - s, 0.3, 0.1 + s]]) / 0.3)
        v = a[:, None] * _pull(loss, level, y)
    else:
        labels = loss in ("hinge", "squared_hinge", "logistic")
        y = np.array([[1.0], [-1.0], [-1.0]]) if labels else np.array([[1.0], [2.0], [6.0]])
        number = {
            "squared": 1.8 - s,  # the mean
            "absolute": 1.0,  # the median
            "huber": (1.3 - s) / 0.9,  # the last row pulls by delta = 1 only
            "hinge": 1.0,  # the larger class
            "squared_hinge": 0.2 - s,  # the difference of the classes
            "logistic": np.log((0.6 - s) / (0.4 + s)),  # the log odds
        }[loss]
        level = np.array([[number]])
        v = a[:, None] * _pull(loss, level, y)
        v[0] = s - v[1:].sum()  # the same but at a kink
        if penalty == "group":
            y, level, v = (np.hstack([part, -part]) for part in (y, level, v))
    return _reference(
        "the level at which the pulls of the rows add up to the strength, or to 0 if it is free",
        np.ones((3, 1)),
        y,
        np.zeros_like(level) if intercept else level,
        v,
        level[0] if intercept else None,
        loss=loss,
        strength=strength,
        penalty=penalty,
        row_weights=a,
    )


def _above_lambda_max(loss: str, penalty: str) -> Reference:
    rng = np.random.default_rng(3)
    rows = rng.integers(0, 2, (12, 5))
    outputs = _CLASSES if loss == "softmax" else 2
    if loss == "softmax":
        y = np.eye(outputs)[rng.integers(0, outputs, 12)]
    elif loss in ("hinge", "squared_hinge", "logistic"):
        y = np.where(rng.random((12, outputs)) < 0.4, 1.0, -1.0)
    else:
        y = rng.normal(size=(12, outputs))
    v = _pull(loss, np.zeros((12, outputs)), y) / 12
    return _reference(
        "the prices of all atoms at W = 0 are below the strength",
        rows,
        y,
        np.zeros((5, outputs)),
        v,
        loss=loss,
        strength=1.25 * float(_dual_norms(penalty, rows.T @ v).max()),
        penalty=penalty,
    )


def _interpolation(loss: str) -> Reference:
    y = _targets(loss, 4, 1)
    return _reference(
        "at strength 0 the identity fits every target, and no loss is below 0",
        np.eye(4),
        y,
        y,
        None,
        unique="hinge" not in loss,  # larger margins cost nothing either
        loss=loss,
        strength=0.0,
    )


def _least_squares() -> Reference:
    y = np.array([[1.0], [2.0], [-1.0]])
    return _reference(
        "the normal equations [[2, 1], [1, 2]] W = [3, 1]; the fits miss by 2/3, -2/3 and 2/3",
        [[1, 0], [1, 1], [0, 1]],
        y,
        np.array([[5.0], [-1.0]]) / 3,
        None,
        loss="squared",
        strength=0.0,
    )


def _constant_target() -> Reference:
    return _reference(
        "the intercept alone fits, so that the objective at W = 0 is 0",
        [[1, 0], [1, 1]],
        np.full((2, 1), 2.5),
        np.zeros((2, 1)),
        np.zeros((2, 1)),
        np.array([2.5]),
        loss="squared",
        strength=0.1,
    )


def _duplicated(reference: Reference) -> Reference:
    design = reference.parts["design"]
    return replace(
        reference,
        parts={**reference.parts, "design": BinaryMatrix.hstack([design, design])},
        weights=np.vstack([reference.weights, reference.weights]) / 2,
        reason="two copies of a column share its weight in any way: " + reference.reason,
        unique=False,
    )


def _with_zero_column(reference: Reference) -> Reference:
    design = reference.parts["design"]
    nothing = _matrix(np.zeros((design.shape[0], 1)))
    return replace(
        reference,
        parts={**reference.parts, "design": BinaryMatrix.hstack([design, nothing])},
        weights=np.pad(reference.weights, ((0, 1), (0, 0))),
        reason="a zero column can only cost: " + reference.reason,
    )


def _with_idle_row(reference: Reference) -> Reference:
    """Add a row of weight 0, with all atoms and the first target, which then is badly missed."""
    parts = dict(reference.parts)
    design = parts["design"]
    parts["design"] = BinaryMatrix.vstack([design, _matrix(np.ones((1, design.shape[1])))])
    parts["target"] = np.vstack([parts["target"], parts["target"][:1]])
    parts["row_weights"] = np.append(parts["row_weights"], 0.0)
    point = reference.dual_point
    return replace(
        reference,
        parts=parts,
        dual_point=None if point is None else np.pad(point, ((0, 1), (0, 0))),
        reason="a row of weight 0 has no say: " + reference.reason,
    )


def _all() -> dict[str, Reference]:
    """Every reference by name; the loss is squared and the penalty l1 where it does not say."""
    found: dict[str, Reference] = {}
    for loss in _LOSSES:
        few = _CLASSES if loss == "softmax" else 1
        each = {
            "orthogonal columns": _orthogonal(loss, outputs=few),
            "orthogonal columns, group": _orthogonal(loss, "group", 3, 0.2),
            "ten outputs": _orthogonal(loss, outputs=10),
            "ten outputs, group": _orthogonal(loss, "group", 10, 0.25),
            "one row": _with_zero_column(_orthogonal(loss, outputs=few, rows=1)),
            "one column": _constant(loss),
            "duplicate columns": _duplicated(_constant(loss)),
            "duplicate columns, group": _duplicated(_orthogonal(loss, "group", few + 1, 0.2)),
            "zero column, group": _with_zero_column(_orthogonal(loss, "group", few + 1, 0.2)),
            "all-ones column, intercept": _constant(loss, intercept=True),
            "all-ones column, intercept, group": _constant(loss, "group", intercept=True),
            "above lambda_max": _above_lambda_max(loss, "l1"),
            "above lambda_max, group": _above_lambda_max(loss, "group"),
            "row of weight 0": _with_idle_row(_orthogonal(loss, outputs=few)),
        }
        if loss != "softmax":  # which has no single output
            each["groups of one, group"] = _orthogonal(loss, "group")
        if loss not in ("logistic", "softmax"):  # whose infimum 0 is not attained
            each["interpolation at strength 0"] = _interpolation(loss)
        suffix = "" if loss == "squared" else f", {loss}"
        found |= {name + suffix: reference for name, reference in each.items()}
    return found | {
        "separable logistic": _orthogonal("logistic", strength=0.05, rows=1),
        "separable softmax": _orthogonal("softmax", outputs=2, strength=0.05, rows=1),
        "separable softmax, group": _orthogonal("softmax", "group", 2, 0.05, rows=1),
        "least squares at strength 0": _least_squares(),
        "constant target, intercept": _constant_target(),
    }


REFERENCES: dict[str, Reference] = _all()
