"""Primal and dual values of small programs as exact fractions, independent of the package's own.

Every float64 is a fraction, so D W, clips, sums and all losses but logistic and
softmax have exact values. Square roots and logarithms are bounded: primals are
rounded up and duals down, so that an exact dual is below every exact primal.
"""

import decimal
import math
from fractions import Fraction

import numpy as np

# 80 digits: errors stay 1e30 below MARGIN unless a fit or a weight is above 1e10
CONTEXT = decimal.Context(prec=80, Emax=decimal.MAX_EMAX, Emin=decimal.MIN_EMIN)
MARGIN = Fraction(1, 10**40)
ENTROPIC = ("logistic", "softmax")
UNBOUNDED = ("squared", "squared_hinge")


def exact_primal(program, weights, intercept=0.0):
    """Objective at W and b: exact, or an upper bound on it within MARGIN."""
    W, b = program.checked_answer(weights, intercept)
    fit = _product(program.design.to_dense(), _fractions(W)) + _fractions(b)
    y, a = _fractions(program.target), _fractions(program.row_weights)
    total = sum(a[i] * _loss(program.loss, fit[i], y[i]) for i in np.flatnonzero(a))
    norms = sum(_norm_above(program.penalty.name, row) for row in _fractions(W[W.any(axis=1)]))
    margin = MARGIN * sum(a) if program.loss.name in ENTROPIC else 0
    return total + Fraction(program.strength) * norms + margin


def exact_dual(program, V):
    """Dual objective at V made feasible: a lower bound on every primal."""
    v, y, a = feasible(program, V), _fractions(program.target), _fractions(program.row_weights)
    total = sum(_conjugate(program.loss.name, v[i], y[i], a[i]) for i in np.flatnonzero(a))
    return -total - (MARGIN * sum(a) if program.loss.name in ENTROPIC else 0)


def feasible(program, V):
    """V (N, C) as fractions moved to where all constraints of the dual hold exactly.

    First into the domain, then to zero sums, both by giving up as little as
    possible of single entries, and then towards 0 until the prices fit.
    """
    a, y = _fractions(program.row_weights), _fractions(program.target)
    v = _fractions(np.reshape(V, program.target.shape))
    if program.loss.name == "softmax":
        _clip_classes(v, y, a)
    else:
        v = _clip(v, y, a[:, None], program.loss)
    if program.intercept and program.loss.name == "softmax":
        _balance_classes(v, y)
    elif program.intercept:
        _balance(v)
    return v * _scale(program, _product(program.design.to_dense().T, v))


def _fractions(array):
    return np.frompyfunc(Fraction, 1, 1)(np.asarray(array, dtype=np.float64))


def _product(matrix, X):
    """A matrix of floats times dyadic fractions, in integers over one denominator each."""
    (left, one), (right, other) = _over_one(_fractions(matrix)), _over_one(X)
    return np.frompyfunc(lambda k: Fraction(k, one * other), 1, 1)(left @ right)


def _over_one(X):
    """Numerators over one denominator, and the denominator."""
    denominator = math.lcm(*(x.denominator for x in X.flat))
    return np.frompyfunc(lambda x: x.numerator * (denominator // x.denominator), 1, 1)(
        X
    ), denominator


def root_above(x):
    """The square root of a fraction, or a number above it by less than a relative 2**-200."""
    numerator, denominator = x.numerator * x.denominator << 400, x.denominator << 200
    root = math.isqrt(numerator)
    return Fraction(root + (root * root < numerator), denominator)


def _norm_above(penalty, row):
    return sum(map(abs, row)) if penalty == "l1" else root_above(sum(x * x for x in row))


def _decimal(x):
    return CONTEXT.divide(decimal.Decimal(x.numerator), decimal.Decimal(x.denominator))


def _logsumexp(values):
    top = max(values)
    total = decimal.Decimal(0)
    for value in values:
        total = CONTEXT.add(total, CONTEXT.exp(_decimal(value - top)))
    return top + Fraction(CONTEXT.ln(total))


def _xlogx(x):
    return x * Fraction(CONTEXT.ln(_decimal(x))) if x else Fraction(0)


def _loss(loss, z, y):
    """Loss of one row, summed over outputs."""
    if loss.name == "softmax":
        return _logsumexp(z) - sum(z * y)
    return sum(_scalar_loss(loss, *pair) for pair in zip(z, y, strict=True))


def _scalar_loss(loss, z, y):
    apart, missing = abs(z - y), max(1 - y * z, Fraction(0))
    if loss.name == "squared":
        return apart**2 / 2
    if loss.name == "absolute":
        return apart
    if loss.name == "huber":
        delta = Fraction(loss.delta)
        return apart**2 / 2 if apart <= delta else delta * apart - delta**2 / 2
    if loss.name == "hinge":
        return missing
    if loss.name == "squared_hinge":
        return missing**2 / 2
    assert loss.name == "logistic"
    return _logsumexp([Fraction(0), -y * z])


def _conjugate(loss, v, y, a):
    """(a loss)*(-v) of one row with a > 0, summed over outputs, for v in the domain."""
    if loss == "softmax":
        return a * sum(_xlogx(p) for p in y - v / a)
    if loss == "logistic":
        return a * sum(_xlogx(p) + _xlogx(1 - p) for p in v * y / a)
    curved = loss in ("squared", "huber", "squared_hinge")
    return sum(v * v) / (2 * a) * curved - sum(v * y)


@np.vectorize(otypes=[object], excluded=[3])
def _clip(v, y, a, loss):
    """The closest entry for which the conjugate is finite."""
    reach = a * Fraction(loss.delta) if loss.name == "huber" else a
    if a == 0:
        return Fraction(0)
    if loss.labels:
        share = max(v * y, Fraction(0))
        return y * (share if loss.name in UNBOUNDED else min(share, reach))
    return v if loss.name in UNBOUNDED else max(-reach, min(v, reach))


def _clip_classes(v, y, a):
    """In place: a row takes from other classes, a in all at most, what it gives to its own."""
    for i, own in enumerate(np.argmax(y, axis=1)):
        v[i] = [Fraction(0) if c == own else min(v[i, c], Fraction(0)) for c in range(len(v[i]))]
        _shrink(v[i], range(len(v[i])), max(-sum(v[i]) - a[i], Fraction(0)))
        v[i, own] = -sum(v[i])


def _balance(v):
    """In place: columns sum to 0, since entries with the sign of a surplus give it up."""
    for column in v.T:
        surplus = sum(column)
        _shrink(column, [i for i, x in enumerate(column) if x * surplus > 0], abs(surplus))


def _shrink(values, places, amount):
    """In place: move entries of one sign towards 0, the greatest first, by ``amount`` in all."""
    for place in sorted(places, key=lambda place: -abs(values[place])):
        step = min(amount, abs(values[place]))
        values[place] -= step if values[place] > 0 else -step
        amount -= step
    assert amount == 0


def _balance_classes(v, y):
    """In place: columns of softmax sum to 0, and rows still do.

    A row hands -v_ic from its own class to class c: a flow between classes. One
    with a surplus (it receives too much) is the start of a path against flows that
    ends at a class with the opposite, and that path can be given up.
    """
    own = np.argmax(y, axis=1)
    classes = range(v.shape[1])
    while any(surplus := v.sum(axis=0)):
        start = next(c for c in classes if surplus[c] > 0)
        paths, found = {start: []}, [start]  # for each class met, the (row, class) of its path
        for c in found:
            for d in classes:
                giving = [i for i in np.flatnonzero(own == c) if v[i, d] < 0]
                if giving and d not in paths:
                    paths[d] = [*paths[c], (min(giving, key=lambda i: v[i, d]), d)]
                    found.append(d)
        end = next(c for c in found if surplus[c] < 0)
        step = min(surplus[start], -surplus[end], *(-v[place] for place in paths[end]))
        for i, c in paths[end]:
            v[i, c] += step
            v[i, own[i]] -= step


def _scale(program, prices):
    """The largest share of V whose prices fit, or a little less with a square root."""
    strength = Fraction(program.strength)
    if program.penalty.name == "l1":
        largest = max(abs(price) for price in prices.flat)
    else:
        square = max(sum(row * row) for row in prices)
        largest = root_above(square) if square > strength**2 else Fraction(0)
    return strength / largest if largest > strength else Fraction(1)
