"""Laws of losses and penalties, which programs check.

A loss is checked once per number of outputs, a penalty once per shape of weights, a norm once.

The laws are tight. At z = prox(p) the Fenchel-Young inequality of a loss holds with equality for
v = z - p, and that of a penalty for W = prox(P) and prices P - W. A wrong sign, factor or
conjugate breaks one of them. By convexity a gradient lies between difference quotients.
"""

import weakref
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import numpy as np

from ..dictionaries.validation import Array
from .losses import Loss
from .losses.loss import kernel_prox
from .penalties import Penalty

_ROWS = 8  # rows of targets in the checks of a loss
_TOLERANCE = 1e-6  # relative: prox() may come from an iteration
_CLOSE = 1e-5  # step of difference quotients, in units of the points
_BENT = 1e-3  # relative error of second derivatives by differences
_SHAPES = ((4, 1), (5, 3))  # shapes of weights in the checks of a norm
_FAR = (1.0, 1e2, 1e4, 1e6)  # distances of fits from targets, where a finite domain shows

_WRONG_TERMS = "fenchel_young() is not strength value(W) + conjugate(prices) - <W, prices>"
_MANY = 100_000  # weights beyond which a penalty meets one point

_checked: weakref.WeakKeyDictionary[Any, set[Any]] = weakref.WeakKeyDictionary()


def check_loss(loss: Loss, target: Array) -> None:
    """Raise ValueError, naming the method, unless the methods of a loss agree on some targets.

    Each loss is checked once per number of outputs.
    """
    if _known(loss, target.shape[1]):
        return
    name = _named("loss", loss)
    y = _tried(loss, target)
    for law in (_values, _gradients, _seconds, _operators, _inequalities, _kernel):
        _hold(name, law, loss, y)
    _remember(loss, target.shape[1])


def check_penalty(penalty: Penalty, shape: tuple[int, int]) -> None:
    """Raise ValueError, naming the method, unless the methods of a penalty agree.

    Each penalty is checked once per ``shape`` (P, C) of a program's weights, since it may have
    parameters per atom. A norm has none, and is checked once on a few weights.
    """
    key = shape if penalty.norm is None else None
    if _known(penalty, key) or (penalty.norm is None and 0 in shape):
        return
    name = _named("penalty", penalty)
    if not isinstance(getattr(penalty, "separable", None), bool):
        raise ValueError(f"{name}: expected the class to set separable to True or False")
    for each in _SHAPES if penalty.norm is not None else (shape,):
        for points in _weights(each):
            for law in (_shapes, _values_of_weights, _bounds, _touching, _norm):
                _hold(name, law, penalty, points)
    _remember(penalty, key)


def _named(kind: str, part: Any) -> str:
    name = getattr(part, "name", None)
    if not isinstance(name, str) or not name:
        raise ValueError(f"{kind}: expected the class {type(part).__name__} to set name, a string")
    return f"{kind} {name}"


def _hold(name: str, law: Callable[[Any, Array], str | None], part: Any, values: Array) -> None:
    """Raise ValueError where a law is broken, or where a method fails on its arguments."""
    try:
        with np.errstate(all="ignore"):
            broken = law(part, values.copy())
    except Exception as error:
        raise ValueError(
            f"{name}: a method failed on arrays of shape {values.shape}: "
            f"{type(error).__name__}: {error}"
        ) from error
    if broken:
        raise ValueError(f"{name}: {broken}")


def _known(part: Any, key: Any) -> bool:
    try:
        return key in _checked.get(part, ())
    except TypeError:  # a caller's class without a hash
        return False


def _remember(part: Any, key: Any) -> None:
    with suppress(TypeError):
        _checked.setdefault(part, set()).add(key)


def _tried(loss: Loss, target: Array) -> Array:
    """Return a few different rows of the targets, numbers divided by the largest."""
    rows = np.unique(target, axis=0)
    y: Array = rows[np.linspace(0, len(rows) - 1, min(_ROWS, len(rows))).astype(int)]
    size = float(np.abs(y).max())
    if loss.labels or not loss.separable or size == 0:
        return y
    counted: Array = y / size
    try:
        loss.check_targets(counted)
    except ValueError:  # the loss may refuse targets in other units
        return y
    return counted


def _points(y: Array) -> Iterator[Array]:
    random = np.random.default_rng(0)
    for size in (0.3, 3.0):
        for _ in range(4):
            yield y + size * random.normal(size=y.shape)


def _values(loss: Loss, y: Array) -> str | None:
    shape = (len(y), y.shape[1] if loss.separable else 1)
    for z in _points(y):
        value, gradient = loss.value(z, y), loss.gradient(z, y)
        if np.shape(value) != shape:
            return f"value() has shape {np.shape(value)}, expected {shape}"
        if np.shape(gradient) != z.shape:
            return f"gradient() has shape {np.shape(gradient)}, expected {z.shape}"
        if not (value >= 0).all():
            return f"value() is {np.min(value):.6g}, expected numbers of at least 0; add a constant"
    return None


def _gradients(loss: Loss, y: Array) -> str | None:
    """Check that gradient() lies between the difference quotients of value()."""
    for z in _points(y):
        for c in range(y.shape[1]):
            step = np.zeros_like(z)
            step[:, c] = _CLOSE * np.maximum(np.abs(z[:, c]), 1.0)
            h, slope = step[:, c], loss.gradient(z, y)[:, c]
            at, ahead, behind = (_total(loss.value(x, y)) for x in (z, z + step, z - step))
            low, high = (at - behind) / h, (ahead - at) / h
            room = 1e-8 * np.maximum(np.abs(low), np.abs(high)) + 1e-14 * np.abs(at) / h + 1e-12
            if not ((low - room <= slope) & (slope <= high + room)).all():
                i = int(np.argmax(np.maximum(low - slope, slope - high)))
                if low[i] > high[i] + room[i]:
                    return (
                        f"value() is not convex: its slope falls from {low[i]:.6g} to {high[i]:.6g}"
                    )
                return (
                    f"gradient() is {slope[i]:.6g}, expected a number from "
                    f"{low[i]:.6g} to {high[i]:.6g}, the difference quotients of value()"
                )
    return None


def _seconds(loss: Loss, y: Array) -> str | None:
    if loss.separable and loss.lacks("second") is None:
        for z in _points(y):
            h = _CLOSE * np.maximum(np.abs(z), 1.0)
            at, ahead, behind = (loss.gradient(x, y) for x in (z, z + h, z - h))
            low, high = (at - behind) / h, (ahead - at) / h
            second = loss.second(z, y)
            room = _BENT * np.maximum(np.abs(low), np.abs(high)) + 1e-9
            steady = np.abs(high - low) <= 0.1 * room + 1e-9  # no kink nearby
            apart = np.abs(second - 0.5 * (low + high))
            if (steady & ~(apart <= room)).any():
                i = np.unravel_index(np.argmax(np.where(steady, apart, 0.0)), apart.shape)
                return (
                    f"second() is {second[i]:.6g}, expected about "
                    f"{0.5 * (low[i] + high[i]):.6g}, the difference quotient of gradient()"
                )
            if (second[steady] > loss.curvature * (1 + _BENT)).any():
                most = second[steady].max()
                return f"second() is {most:.6g}, expected at most the curvature {loss.curvature:g}"
    return None


def _operators(loss: Loss, y: Array) -> str | None:
    """Check a loss(z) + (a loss)*(-v) + z v = 0 at z = prox(p) with steps a, v = z - p."""
    for points in _points(y):
        for a in (0.1, 1.0, 7.0):
            steps = np.full(len(y), a) * np.linspace(1.0, 1.5, len(y))
            z = loss.prox(points, y, steps)
            if np.shape(z) != points.shape:
                return f"prox() has shape {np.shape(z)}, expected {points.shape}"
            each = steps[:, None]
            v = loss.move_inside(z - points, y, each, False)
            sizes = np.abs(z - points) + np.abs(points)
            if not (np.abs(v - (z - points)) <= _TOLERANCE * sizes).all():
                return (
                    "prox() or domain() is wrong: prox(p) - p must lie in domain(), as minus a "
                    "subgradient of the weighted loss"
                )
            broken = _equality(loss, z, v, y, each)
            if broken:
                return f"at prox() {broken}"
    return None


def _equality(loss: Loss, z: Array, v: Array, y: Array, a: Array) -> str | None:
    value, conjugate, product = a * loss.value(z, y), loss.conjugate(v, y, a), z * v
    if np.shape(conjugate) != np.shape(value):
        return f"conjugate() has shape {np.shape(conjugate)}, expected {np.shape(value)}"
    if not loss.separable:
        product = product.sum(axis=1, keepdims=True)
    left, sizes = value + conjugate + product, np.abs(value) + np.abs(conjugate) + np.abs(product)
    terms = loss.fenchel_young(z, v, y, a)
    if np.shape(terms) != np.shape(value):
        return f"fenchel_young() has shape {np.shape(terms)}, expected {np.shape(value)}"
    if not (np.abs(left) <= _TOLERANCE * sizes + 1e-12).all():
        i = np.unravel_index(np.nanargmax(np.abs(left)), left.shape)
        return (
            f"a value(z) + conjugate(v) + z v is {left[i]:.6g}, expected 0: prox(), value() or "
            "conjugate() is wrong"
        )
    if not (np.abs(terms - left) <= _TOLERANCE * sizes + 1e-12).all():
        return "fenchel_young() is not a value(z) + conjugate(v) + z v"
    return None


def _inequalities(loss: Loss, y: Array) -> str | None:
    """Check a loss(z) + (a loss)*(-v) + z v >= 0 for all v in the domain, which contains 0."""
    random = np.random.default_rng(1)
    a = np.linspace(0.5, 1.0, len(y))[:, None]
    lower, upper = loss.domain(y, a)
    if not ((np.broadcast_to(lower, y.shape) <= 0) & (np.broadcast_to(upper, y.shape) >= 0)).all():
        return "domain() does not contain v = 0, where the conjugate is minus the least value"
    if any(np.any(end) for end in loss.domain(y, np.zeros_like(a))):
        return "domain() must be 0 where the row weight a is 0"
    for size in _FAR:
        z = y + size * random.normal(size=y.shape)
        slopes = -a * loss.gradient(z, y)
        for v in (random.normal(size=y.shape), 0.3 * (y - z), a * (y - z), 3.0 * slopes, -slopes):
            v = loss.move_inside(v, y, a, False)
            value, conjugate, product = a * loss.value(z, y), loss.conjugate(v, y, a), z * v
            if not loss.separable:
                product = product.sum(axis=1, keepdims=True)
            left = value + conjugate + product
            sizes = np.abs(value) + np.abs(conjugate) + np.abs(product)
            if (left < -_TOLERANCE * sizes - 1e-12).any():
                return (
                    f"a value(z) + conjugate(v) + z v is {np.nanmin(left):.6g}, expected at least "
                    "0: conjugate() is too small, or domain() too large"
                )
            terms = loss.fenchel_young(z, v, y, a)
            if (np.abs(terms - left) > _TOLERANCE * sizes + 1e-12).any():
                return "fenchel_young() is not a value(z) + conjugate(v) + z v"
    return None


def _kernel(loss: Loss, y: Array) -> str | None:
    """Check that the kernel with the loss's code computes the loss."""
    if loss.code is None:
        return None
    steps = np.linspace(0.5, 2.0, len(y))
    for points in _points(y):
        points = np.ascontiguousarray(points)
        try:
            z = kernel_prox(loss.code, loss.delta, points, y, steps)
        except ValueError:
            return f"no kernel has the code {loss.code!r}; leave code out"
        if not np.allclose(z, loss.prox(points, y, steps), rtol=_TOLERANCE, atol=_TOLERANCE):
            return f"the kernel with the code {loss.code!r} computes another loss; leave code out"
    return None


def _total(values: Array) -> Array:
    total: Array = values.sum(axis=1)
    return total


def _weights(shape: tuple[int, int]) -> Iterator[Array]:
    """Yield points of several sizes and signs, with one nonzero entry, and with equal entries."""
    random = np.random.default_rng(2)
    yield random.normal(size=shape) * np.logspace(-1, 1, shape[0])[:, None]
    if shape[0] * shape[1] > _MANY:
        return
    single = np.zeros(shape)
    single[shape[0] // 2, -1] = -2.0
    yield single
    yield np.full(shape, 1.5)


def _shapes(penalty: Penalty, points: Array) -> str | None:
    outputs = (points.shape[1],) if penalty.separable else (1,)
    for name, found in (
        ("value", penalty.value(points)),
        ("conjugate", penalty.conjugate(points, 1.0)),
        ("scaling", penalty.scaling(points, 1.0)),
        ("fenchel_young", penalty.fenchel_young(points, points, 100.0)),
    ):
        if np.shape(found) != outputs:
            return f"{name}() has shape {np.shape(found)}, expected {outputs}"
    if np.shape(penalty.prox(points, 1.0)) != points.shape:
        return f"prox() has shape {np.shape(penalty.prox(points, 1.0))}, expected {points.shape}"
    return None


def _values_of_weights(penalty: Penalty, points: Array) -> str | None:
    nothing = np.zeros_like(points)
    if penalty.value(nothing).any() or not (penalty.value(points) >= 0).all():
        return "value() must be 0 at W = 0 and at least 0 elsewhere"
    if penalty.separable:
        alone = np.concatenate([penalty.value(points[:, [c]]) for c in range(points.shape[1])])
        if not np.allclose(alone, penalty.value(points), rtol=1e-9):
            return "value() is not a sum over outputs; set separable = False"
    return None


def _bounds(penalty: Penalty, points: Array) -> str | None:
    """Check strength value(W) + conjugate(prices) >= <W, prices> for all feasible prices."""
    random = np.random.default_rng(3)
    axis = 0 if penalty.separable else None
    few = points.size > _MANY
    for strength in (1.0,) if few else (0.05, 1.0):
        others = () if few else (random.normal(size=points.shape),)
        for prices in (points, -points, *others):
            feasible = prices * (penalty.scaling(prices, strength) * (1 - 1e-9))
            conjugate = penalty.conjugate(feasible, strength)
            if not np.isfinite(conjugate).all():
                return "scaling() leads to prices at which conjugate() is infinite"
            for size in (1.0,) if few else (0.01, 1.0, 100.0):
                for each in (feasible, random.permutation(points), *others):
                    W = size * each
                    value, products = strength * penalty.value(W), W * feasible
                    left = value + conjugate - products.sum(axis=axis)
                    sizes = np.abs(value) + np.abs(conjugate) + np.abs(products).sum(axis=axis)
                    if (left < -_TOLERANCE * sizes - 1e-12).any():
                        return (
                            f"strength value(W) + conjugate(prices) - <W, prices> is "
                            f"{np.nanmin(left):.6g}, expected at least 0: conjugate() is too "
                            "small, or scaling() too large"
                        )
                    terms = penalty.fenchel_young(W, feasible, strength)
                    if not (np.abs(terms - left) <= _TOLERANCE * sizes + 1e-12).all():
                        return _WRONG_TERMS
    return None


def _touching(penalty: Penalty, points: Array) -> str | None:
    """Check equality at W = prox(P) and prices P - W, which bound the feasible prices."""
    for step in (0.05, 1.0):
        W = penalty.prox(points, step)
        prices = points - W
        scaling = penalty.scaling(prices, step)
        if not (scaling >= 1 - _TOLERANCE).all():
            return f"scaling() is {scaling.min():.6g} at the feasible prices of prox(), expected 1"
        inside = prices * (scaling * (1 - 1e-9))
        value, conjugate = step * penalty.value(W), penalty.conjugate(inside, step)
        axis = 0 if penalty.separable else None
        products = (W * prices).sum(axis=axis)
        left = value + conjugate - products
        sizes = np.abs(value) + np.abs(conjugate) + np.abs(W * prices).sum(axis=axis)
        if not (np.abs(left) <= _TOLERANCE * sizes + 1e-12).all():
            return (
                f"at prox() strength value(W) + conjugate(prices) - <W, prices> is "
                f"{left[np.nanargmax(np.abs(left))]:.6g}, expected 0: prox(), value() or "
                "conjugate() is wrong"
            )
        terms = penalty.fenchel_young(W, inside, step)
        room = _TOLERANCE * sizes + 1e-12
        if not (np.abs(terms - left) <= room).all():
            return _WRONG_TERMS
        # doubled prices are infeasible if any are, and the scaling makes them feasible
        doubled = penalty.scaling(2 * prices, step)
        back = penalty.conjugate(2 * prices * doubled * (1 - 1e-9), step)
        if not np.isfinite(back).all():
            return "scaling() leads to prices at which conjugate() is infinite"
        beyond = penalty.conjugate(2 * prices * np.minimum(doubled * (1 + 1e-6), 1.0), step)
        if (np.isfinite(beyond) & (doubled < 1 - _TOLERANCE)).any():
            return f"scaling() is {doubled.min():.6g}, but conjugate() is finite at a larger factor"
    return None


def _norm(penalty: Penalty, points: Array) -> str | None:
    if penalty.norm is None:
        return None
    if penalty.norm not in ("entries", "rows") or (penalty.norm == "entries") != penalty.separable:
        return f"norm is {penalty.norm!r}, expected 'entries' if separable, 'rows' if not, or None"
    lengths = np.abs(points) if penalty.separable else np.linalg.norm(points, axis=1, keepdims=True)
    expected = lengths.sum(axis=0)
    largest = lengths.max(axis=0)
    scaling = np.minimum(1.0, 0.5 / np.where(largest > 0, largest, 0.5))
    if not np.allclose(penalty.value(points), expected, rtol=1e-9):
        return f"value() is not the norm {penalty.norm!r}; leave norm out"
    if not np.allclose(penalty.scaling(points, 0.5), scaling, rtol=1e-9):
        return f"scaling() is not that of the norm {penalty.norm!r}; leave norm out"
    return None
