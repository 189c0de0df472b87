"""Exact certificates: true to the last unit, the very integers of the checker, and near the floats.

What is true is computed here in fractions, from the formulas alone; logarithms, exponentials
and roots come from mpmath, to 120 digits.
"""

import decimal
import errno
import math
import os
import re
import zipfile
from fractions import Fraction
from functools import partial
from types import SimpleNamespace

import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from targets_for import outputs_for, targets_for

import bidual as bd
from bidual.certificates import checker, integer_logs
from bidual.certificates.exact_terms import Scaled, integer_array, total_bound, total_loss
from bidual.formulations.losses.regression import Huber, Squared

from covering import examples, parameters, slow
from programs import KNOWN, random_program

CONTEXT = mpmath.MPContext()
CONTEXT.prec = 400  # bits: 120 digits
SLACK = Fraction(1, 10**100)  # relative, of what mpmath finds

each_loss = pytest.mark.parametrize("loss", bd.LOSSES)


# the truth


def real(x):
    """A fraction in mpmath."""
    return CONTEXT.mpf(x.numerator) / x.denominator


def fraction(x):
    """What mpmath found, as it is."""
    sign, mantissa, exponent, _ = x._mpf_
    return (-1) ** sign * int(mantissa) * Fraction(2) ** exponent


def log_sum(values):
    """Logarithm of the sum of exponentials."""
    top = max(values)
    return top + fraction(CONTEXT.log(sum(CONTEXT.exp(real(x - top)) for x in values)))


def entropy(parts, whole):
    return sum(p * fraction(CONTEXT.log(real(whole / p))) for p in parts if p)


def loss_of(program, z, y):
    """Loss of a row's fits, from the docstrings of the losses."""
    name, delta = program.loss.name, Fraction(program.loss.delta)
    if name == "softmax":
        return log_sum(z) - sum(t * f for t, f in zip(y, z, strict=True))
    each = {
        "squared": lambda z, y: (z - y) ** 2 / 2,
        "absolute": lambda z, y: abs(z - y),
        "huber": lambda z, y: (
            min((z - y) ** 2 / 2, max(delta * abs(z - y) - delta**2 / 2, 0))
            if abs(z - y) > delta
            else (z - y) ** 2 / 2
        ),
        "hinge": lambda z, y: max(1 - y * z, 0),
        "squared_hinge": lambda z, y: max(1 - y * z, Fraction(0)) ** 2 / 2,
        "logistic": lambda z, y: log_sum([Fraction(0), -y * z]),
    }[name]
    return sum(each(f, t) for f, t in zip(z, y, strict=True))


def bound_of(program, v, y, a):
    """-(a loss)*(-v) of a row, which has to be in the domain."""
    name, delta = program.loss.name, Fraction(program.loss.delta)
    if a == 0:
        assert not any(v)
        return 0
    if name == "softmax":
        parts = [a * t - x for t, x in zip(y, v, strict=True)]
        assert sum(v) == 0
        assert min(parts) >= 0
        return entropy(parts, a)
    total = 0
    for x, t in zip(v, y, strict=True):
        if name == "logistic":
            assert 0 <= t * x <= a
            total += entropy([t * x, a - t * x], a)
        else:
            assert {
                "squared": True,
                "absolute": abs(x) <= a,
                "huber": abs(x) <= a * delta,
                "hinge": 0 <= t * x <= a,
                "squared_hinge": t * x >= 0,
            }[name]
            curved = name in ("squared", "huber", "squared_hinge")
            total += x * t - (x * x / (2 * a) if curved else 0)
    return total


def fractions(integers, bits):
    """Integers over 2^bits as lists of rows."""
    unit = Fraction(2) ** -bits
    return [[x * unit for x in row] for row in np.atleast_2d(integers).tolist()]


def product(matrix, integers):
    """Of Python integers, without overflow."""
    return matrix.astype(int).astype(object) @ integers.astype(object)


def norm(program, row):
    if program.penalty.name == "l1":
        return sum(map(abs, row))
    return fraction(CONTEXT.sqrt(real(sum(x * x for x in row))))


class Truth:
    """Objective, bound and reference of what a certificate holds, as fractions."""

    def __init__(self, program, exact):
        D = program.design.to_dense()
        self.y = [[Fraction(x) for x in row] for row in program.target.tolist()]
        self.a = [Fraction(x) for x in program.row_weights.tolist()]
        self.program, self.strength = program, Fraction(program.strength)
        z = fractions(product(D, exact.weights) + exact.intercept, exact.weight_bits)
        used = exact.weights[exact.weights.any(axis=1)]
        W = fractions(used, exact.weight_bits) if len(used) else []
        self.primal = self.objective(z, W)
        (b0,) = fractions(exact.null_intercept, exact.weight_bits)
        self.reference = self.objective([b0] * len(z), [])
        v = fractions(exact.dual_point, exact.dual_bits)
        rows = zip(v, self.y, self.a, strict=True)
        self.dual = sum(bound_of(program, *row) for row in rows)
        for prices in fractions(product(D.T, exact.dual_point), exact.dual_bits):
            if program.penalty.name == "l1":
                assert max(map(abs, prices)) <= self.strength
            else:
                assert sum(s * s for s in prices) <= self.strength**2
        if program.intercept:
            assert not any(map(sum, zip(*v, strict=True)))

    def objective(self, z, W):
        """Of fits and of those weights that are not 0."""
        losses = zip(self.a, z, self.y, strict=True)
        total = sum(a * loss_of(self.program, f, t) for a, f, t in losses if a)
        return total + self.strength * sum(norm(self.program, row) for row in W)


def assert_proven(program, exact, path):
    """The certificate states what is true, loses little, and is the checker's."""
    truth = Truth(program, exact)
    n, C = program.target.shape
    unit = Fraction(2) ** -exact.bound_bits
    entries, total = n * C * unit, sum(truth.a)
    # exponentials of a row are off by a unit each in a sum >= 1, and two logarithms by one each
    logs = {"softmax": C + 2, "logistic": 3 * C}.get(program.loss.name, 0) * total / 2**48
    # two logarithms in each share of an entropy, whose parts add up to the weight
    of_entropies = {"softmax": 2, "logistic": 2 * C}.get(program.loss.name, 0) * total / 2**48
    norms = np.count_nonzero(exact.weights.any(axis=1)) * (program.penalty.name == "group")
    of_norms = unit + norms * truth.strength / Fraction(2) ** exact.weight_bits
    slack = SLACK * (1 + abs(truth.primal))
    assert truth.primal - slack <= exact.primal <= truth.primal + entries + logs + of_norms + slack
    slack = SLACK * (1 + abs(truth.dual))
    assert truth.dual + slack >= exact.dual >= truth.dual - entries - of_entropies - slack
    slack = SLACK * (1 + truth.reference)
    assert truth.reference + slack >= exact.reference >= truth.reference - entries - logs - slack
    assert exact.absolute_gap == exact.primal - exact.dual >= 0
    if exact.reference > 0:
        assert exact.relative_gap >= exact.absolute_gap / exact.reference
    else:
        assert exact.relative_gap == (math.inf if exact.absolute_gap else 0)
    exact.save(path)
    proven = checker.check(path)
    for name, claim in proven.claims.items():
        named = "absolute_gap" if name == "gap" else name  # the word of the file format
        assert getattr(exact, named) == claim * unit
    stated = (proven.rows, proven.atoms, proven.outputs, proven.loss, proven.penalty)
    asked = (*program.design.shape, C, program.loss.name, program.penalty.name)
    assert stated == asked
    assert (proven.intercept, proven.bound_bits) == (program.intercept, exact.bound_bits)
    assert dyadics(proven.targets, proven.target_bits) == truth.y
    assert dyadics([proven.row_weights], proven.row_weight_bits) == [truth.a]
    value, bits = proven.strength
    assert value / Fraction(2) ** bits == truth.strength
    return truth


def dyadics(rows, bits):
    return [[x / Fraction(2) ** bits for x in row] for row in rows]


# programs


@pytest.mark.parametrize("name", KNOWN)
def test_known_answers_are_proven(name, tmp_path):
    known = KNOWN[name]
    program = known.program
    given_weights = known.weights
    if given_weights is None:
        given_weights = bd.solve(program, "clarabel", gap=1e-8).weights
    exact = bd.certify(
        program,
        weights=given_weights,
        intercept=known.intercept * program.intercept,
        dual_point=known.dual,
        exact=True,
    )
    truth = assert_proven(program, exact, tmp_path / "a.cert")
    room = 1e-12 * max(program.reference, abs(known.value))
    assert truth.dual <= known.value + room
    if known.weights is not None:
        # the only answer, and its only V, leave nothing but rounding
        assert truth.primal >= known.value - room
        if known.dual is not None:
            assert exact.absolute_gap <= 1e-11 * max(program.reference, 1e-300)


@pytest.mark.slow
@pytest.mark.parametrize(
    "backend",
    [
        "newton",
        *slow("clarabel", "lasso", "highs"),
    ],
)
def test_solutions_of_known_programs_are_proven(backend, tmp_path):
    ready = bd.BACKENDS[backend]
    if (reason := ready.available()) is not None:
        pytest.skip(reason)
    proven = 0
    for known in KNOWN.values():
        if ready.accepts(known.program) is None:
            solution = bd.solve(known.program, backend, gap=1e-8)
            exact = bd.certify(known.program, solution, exact=True)
            exact.save(tmp_path / "a.cert")
            claims = checker.check(tmp_path / "a.cert").claims
            assert exact.absolute_gap == claims["gap"] / Fraction(2) ** exact.bound_bits
            proven += 1
    assert proven > 10


GRID = {
    f"{loss}, {penalty}, {outputs} outputs{', intercept' if intercept else ''}": random_program(
        loss, intercept, outputs, 3, penalty=penalty, rows=30, atoms=10
    )
    for loss in bd.LOSSES
    for penalty in bd.PENALTIES
    for outputs in (1, 2, 10)
    for intercept in (False, True)
    if outputs > 1 or loss != "softmax"
}


@pytest.mark.parametrize("name", parameters(GRID))
def test_random_programs_are_proven_and_rounding_costs_little(name, tmp_path):
    program = GRID[name]
    for gap in (1e-6, 1e-9):
        solution = bd.solve(program, "clarabel", gap=gap)
        exact = bd.certify(program, solution, exact=True)
        truth = assert_proven(program, exact, tmp_path / "a.cert")
        found = solution.certificate.relative_gap
        assert exact.relative_gap <= found + 0.1 * gap
        assert truth.primal - truth.dual <= exact.absolute_gap
    rng = np.random.default_rng(1)
    W = rng.normal(size=(program.design.shape[1], program.outputs))
    b = rng.normal(size=program.outputs) * program.intercept
    assert_proven(program, bd.certify(program, weights=W, intercept=b, exact=True), tmp_path / "b")


@pytest.fixture(scope="module")
def digits():
    X, labels = bd.tasks.digits()
    lif = bd.LIF(hidden=(10,), leak=0.9, threshold=1.0)
    return lif.sample(X[::9], subnetworks=20, seed=0).atoms, labels[::9]


@pytest.mark.parametrize("gap", [1e-6, 1e-9])
@each_loss
def test_rounding_costs_little_on_digits(loss, gap, digits, tmp_path):
    D, labels = digits
    y = targets_for(loss, np.where(labels[:, None] == np.arange(10), 1.0, -1.0))
    y = y if loss == "softmax" else y[:, 3:4]
    program = bd.ConvexProgram(D, y, loss)
    program = program.with_strength(0.1 * program.lambda_max)
    solution = bd.solve(program, "newton", gap=gap)
    exact = bd.certify(program, solution, exact=True)
    assert exact.relative_gap <= solution.certificate.relative_gap + 0.1 * gap
    exact.save(tmp_path / "a.cert")
    assert checker.check(tmp_path / "a.cert").claims


def odd(loss, rows=12, atoms=5, outputs=1, intercept=False, penalty="l1", seed=0, **changes):
    """A small program with something unusual about it."""
    rng = np.random.default_rng(seed)
    outputs = outputs_for(loss, outputs)
    D = bd.BinaryMatrix.from_dense(rng.random((rows, atoms)) < 0.5)
    numbers = changes.pop("numbers", None)
    y = rng.normal(size=(rows, outputs)) if numbers is None else np.resize(numbers, (rows, outputs))
    a = changes.pop("row_weights", rng.random(rows) + 0.1)
    share = changes.pop("share", 0.2)
    strength = changes.pop("strength", None)
    name = changes.pop("own", loss)
    program = bd.ConvexProgram(
        *(D, targets_for(loss, y), name, 0.0, np.resize(a, rows), intercept), penalty=penalty
    )
    return program.with_strength(share * program.lambda_max if strength is None else strength)


ODD = {
    "n = 1": {"rows": 1, "intercept": True},
    "n = 1, no intercept": {"rows": 1},
    "P = 1": {"atoms": 1, "outputs": 2, "penalty": "group"},
    "strength 0": {"strength": 0.0, "intercept": True},
    "above lambda_max": {"share": 1.5, "intercept": True, "outputs": 2},
    "at lambda_max": {"share": 1.0, "outputs": 2, "penalty": "group"},
    "huge strength": {"strength": 1e200},
    "tiny strength": {"strength": 1e-200},
    "row weights of all sizes": {
        "row_weights": [1e-300, 1.0, 2.0**-40, 0.0, 1e9, 0.1],
        "outputs": 2,
        "intercept": True,
    },
    "row weights that are tiny": {"row_weights": [1e-30, 3e-30, 0.0]},
    "no common grid": {"numbers": [0.1, 1e-8, 1e6, -0.3], "intercept": True},
    "targets of 1e-300": {"numbers": [1e-300, -2e-300, 3e-300], "outputs": 2},
    "one class": {"numbers": [1.0], "intercept": True},
    "one class, no intercept": {"numbers": [1.0], "penalty": "group", "outputs": 2},
    "equal targets": {"numbers": [-2.5], "intercept": True, "outputs": 3, "penalty": "group"},
    "targets of 0": {"numbers": [0.0], "intercept": True},
}


@pytest.mark.parametrize("size", [0.0, 1.0, 1e10, 1e150, 1e-150])
@pytest.mark.parametrize("name", ODD)
@each_loss
def test_odd_programs_are_proven_at_any_weights(loss, name, size, tmp_path):
    program = odd(loss, **ODD[name])
    rng = np.random.default_rng(5)
    W = size * rng.normal(size=(program.design.shape[1], program.outputs))
    b = size * rng.normal(size=program.outputs) * program.intercept
    exact = bd.certify(program, weights=W, intercept=b, exact=True)
    assert_proven(program, exact, tmp_path / "a.cert")


@pytest.mark.parametrize("delta", [1e-3, 0.7, 1e5])
def test_other_deltas_are_proven(delta, tmp_path):
    program = odd("huber", own=Huber(delta), intercept=True, outputs=2)
    solution = bd.solve(program, "clarabel", gap=1e-7)
    exact = bd.certify(program, solution, exact=True)
    assert_proven(program, exact, tmp_path / "a.cert")
    assert exact.relative_gap <= solution.certificate.relative_gap + 1e-8


@pytest.mark.parametrize("scale", [1e-100, 1e-12, 1e-3, 1e6, 1e9, 1e12, 1e100])
@pytest.mark.parametrize("gap", [1e-6, 1e-9, 1e-12])
def test_the_scale_of_targets_changes_nothing(gap, scale, tmp_path):
    unit = random_program("squared", True, 1)
    program = bd.ConvexProgram(
        *(unit.design, scale * unit.target, "squared", scale * unit.strength, unit.row_weights),
        intercept=True,
    )
    solution = bd.solve(program, "newton", gap=gap)
    exact = bd.certify(program, solution, exact=True)
    assert_proven(program, exact, tmp_path / "a.cert")
    assert exact.relative_gap <= solution.certificate.relative_gap + 0.1 * gap


# whatever is handed in


SIZES = st.sampled_from([1e-300, 1e-20, 1e-3, 1.0, 1e3, 1e20])


@each_loss
@pytest.mark.parametrize("intercept", [False, True], ids=["plain", "intercept"])
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
@examples(12)
@given(data=st.data(), penalty=st.sampled_from(list(bd.PENALTIES)), outputs=st.integers(1, 3))
def test_any_weights_and_any_dual_point_are_proven(
    loss, intercept, penalty, outputs, data, tmp_path_factory
):
    program = odd(
        loss,
        7,
        4,
        outputs,
        intercept,
        penalty,
        data.draw(st.integers(0, 5)),
        share=data.draw(st.sampled_from([0.0, 0.05, 0.5, 1.0, 3.0])),
    )

    def draw(*shape):
        numbers = arrays(float, shape, elements=st.floats(-4, 4, width=16))
        return data.draw(SIZES) * data.draw(numbers)

    W, b = draw(4, program.outputs), draw(program.outputs) * intercept
    V = data.draw(st.sampled_from([None, draw(7, program.outputs)]))
    exact = bd.certify(program, weights=W, intercept=b, dual_point=V, exact=True)
    truth = assert_proven(program, exact, tmp_path_factory.getbasetemp() / "any.cert")
    # no other weights have an objective below the bound
    others, offsets = draw(4, program.outputs), draw(program.outputs) * intercept
    to_fractions = np.frompyfunc(Fraction, 1, 1)
    fits = program.design.to_dense().astype(int).astype(object) @ to_fractions(others)
    z = (fits + to_fractions(offsets)).tolist()
    objective = truth.objective(z, to_fractions(others).tolist())
    assert exact.dual <= objective * (1 + SLACK) + SLACK


# logarithms and exponentials


def enclosures(function, values, precise):
    """Assert that integers are those next to 2^48 times the truth, whatever holds the values."""
    short = [x for x in values if x < 2**63]
    for held in (np.array(short, dtype=np.int64), np.array(values, dtype=object)):
        lows, highs = function(held)
        assert lows.dtype == highs.dtype == np.int64
        for x, low, high in zip(held.tolist(), lows.tolist(), highs.tolist(), strict=True):
            true = fraction(precise(x)) * 2**48
            assert (low, high) == (math.floor(true), math.ceil(true)), x


LOGS = [1, 3, 7, 3 * 2**48, *(2**k + d for k in range(1, 63) for d in (-1, 0, 1)), 2**63 - 1]
LONG_LOGS = [*LOGS, 2**63, 2**64 + 3, 3**200, 2**4096 - 1]


@pytest.mark.parametrize("ulps", [integer_logs._ULPS, 2.0**80], ids=["floats", "decimals"])
@pytest.mark.parametrize("values", [LOGS, LONG_LOGS, None], ids=["short", "long", "random"])
def test_logarithms_are_next_to_the_truth(values, ulps, monkeypatch):
    monkeypatch.setattr(integer_logs, "_ULPS", ulps)
    if values is None:
        rng = np.random.default_rng(0)
        values = [int(x) for x in np.exp(rng.uniform(0, 43, 500))]
    enclosures(integer_logs.integer_logs, values, CONTEXT.log)


@pytest.mark.parametrize("ulps", [integer_logs._ULPS, 2.0**80], ids=["floats", "decimals"])
@pytest.mark.parametrize("bits", [-3, -1, 0, 1, 10, 48, 49, 52, 60, 128, 400, 1200])
def test_exponentials_are_next_to_the_truth(bits, ulps, monkeypatch):
    monkeypatch.setattr(integer_logs, "_ULPS", ulps)
    rng = np.random.default_rng(bits + 5)
    powers = np.concatenate([rng.uniform(0, 64, 100), np.exp(rng.uniform(-50, 5, 100))])
    values = {int(Fraction(x) * Fraction(2) ** bits) for x in powers}
    values |= {0, 1, 2, 3} | {int(64 * Fraction(2) ** bits) + k for k in (-1, 0, 1)}
    values = sorted(x for x in values if x >= 0)

    def precise(x):
        with CONTEXT.workprec(400 + max(bits, 0)):  # to tell from 1 what is next to it
            return CONTEXT.exp(-real(x / Fraction(2) ** bits))

    def function(values):
        return integer_logs.integer_exps(values, bits)

    enclosures(function, values, precise)


@pytest.mark.parametrize(
    ("function", "values", "precise"),
    [
        (
            integer_logs.integer_logs,
            np.exp(np.random.default_rng(1).uniform(0, 43, 300_000)).astype(np.int64),
            CONTEXT.log,
        ),
        (
            partial(integer_logs.integer_exps, bits=50),
            np.random.default_rng(2).integers(0, 2**52, 300_000),
            lambda x: CONTEXT.exp(-real(Fraction(x, 2**50))),
        ),
    ],
    ids=["logarithms", "exponentials"],
)
def test_floats_near_integers_are_next_to_the_truth(function, values, precise, monkeypatch):
    asked = []
    with monkeypatch.context() as wider:
        wider.setattr(integer_logs, "_ULPS", 20 * integer_logs._ULPS)
        one_by_one = integer_logs._apart
        wider.setattr(integer_logs, "_apart", lambda x, f: asked.extend(x) or one_by_one(x, f))
        function(values)
    near = [int(x) for x in asked]
    assert len(near) > 100
    enclosures(function, near, precise)


@pytest.mark.parametrize("precision", [5, 28, 100])
@pytest.mark.parametrize("bits", [60, 128])
def test_exponentials_next_to_integers_are_enclosed(bits, precision):
    # powers as close as can be to those of which 2^48 exp(-x) is an integer, on either side
    found = {"above": 0, "below": 0}
    for k in range(200):
        whole = 2**48 // 3 + 7919 * k
        power = CONTEXT.log(CONTEXT.mpf(2**48) / whole) * 2**bits
        x = int(CONTEXT.floor(power)) + k % 2
        true = 2**48 * CONTEXT.exp(-real(x / Fraction(2) ** bits))
        found["above" if true > whole else "below"] += 1
        with decimal.localcontext() as context:  # of the caller's, which must not matter
            context.prec = precision
            low, high = checker.integer_exp(x, bits)
            (made_low,), (made_high,) = integer_logs.integer_exps(np.array([x]), bits)
        assert low <= true <= high
        assert made_low <= true <= made_high
        assert high - low <= 2
    assert min(found.values()) == 100


@pytest.mark.parametrize("value", [1, 2, 3, 2**48, 2**48 + 1, 2**63, 3**2500])
def test_the_checkers_logarithms_enclose_the_truth(value):
    low, high = checker.integer_log(value)
    assert low <= 2**48 * CONTEXT.log(value) <= high
    assert high - low <= 1


# sums over rows


LENGTHS = st.one_of(st.integers(0, 80), st.integers(55, 64))  # on both sides of int64, and near it


def inside(loss, x, y, most):
    """A number of the conjugate's domain, from any x."""
    if loss == "squared":
        return x if most else 0
    if loss == "squared_hinge":
        return y * abs(x) if most else 0
    within = abs(x) % (most + 1)
    return (y if loss in checker.LABEL_LOSSES else 1 - 2 * (x % 2)) * within


@st.composite
def programs_of_integers(draw):
    """What the checker asks of a program, in integers of any length, with fits and a dual point."""
    loss = draw(st.sampled_from(list(bd.LOSSES)))
    n, outputs = draw(st.integers(1, 4)), draw(st.integers(1 + (loss == "softmax"), 3))
    labels = loss in checker.LABEL_LOSSES or loss == "softmax"
    bits = st.one_of(st.just(0), st.integers(-70, 80))

    def matrix(length):
        number = st.integers(-(2**length), 2**length)
        row = st.lists(number, min_size=outputs, max_size=outputs)
        return draw(st.lists(row, min_size=n, max_size=n))

    a = [abs(row[0]) for row in matrix(draw(LENGTHS))]
    a_bits, dual_bits = draw(bits), draw(bits)
    # an integer over 2^bits, as every float is
    delta = draw(st.sampled_from([(1, 0), (2**52 + 1, 52), (3, 2), (5**22, 0)]))
    targets, target_bits = matrix(draw(LENGTHS)), 0 if labels else draw(bits)
    if loss == "softmax":
        targets = [[int(c == row[0] % outputs) for c in range(outputs)] for row in targets]
    elif labels:
        targets = [[1 - 2 * (y % 2) for y in row] for row in targets]
    dual = []
    for xs, ys, mass in zip(matrix(draw(LENGTHS)), targets, a, strict=True):
        most = checker.floor_shift(mass, a_bits - dual_bits)
        if loss == "huber":
            most = checker.floor_shift(most * delta[0], delta[1])
        if loss == "softmax":
            parts = [
                (1 - y) * (abs(x) % (most // outputs + 1)) for x, y in zip(xs, ys, strict=True)
            ]
            dual.append([y * sum(parts) - p for y, p in zip(ys, parts, strict=True)])
        else:
            room = mass if loss in ("squared", "squared_hinge") else most
            dual.append([inside(loss, x, y, room) for x, y in zip(xs, ys, strict=True)])
    return SimpleNamespace(
        loss=loss,
        delta=delta,
        row_weights=a,
        row_weight_bits=a_bits,
        targets=targets,
        target_bits=target_bits,
        fits=matrix(draw(LENGTHS)),
        weight_bits=draw(bits),
        dual_point=dual,
        dual_bits=dual_bits,
        bound_bits=draw(st.integers(-100, 100)),
    )


@examples(600)
@given(program=programs_of_integers(), copies=st.integers(1, 3))
@pytest.mark.slow
def test_sums_are_the_checkers_whatever_the_lengths(program, copies):
    def held(rows, bits):
        flat = integer_array([x for row in rows for x in row])
        return Scaled(flat.reshape(len(rows), -1).T, bits)

    whole, bits = program.delta
    loss = (
        bd.Huber(math.ldexp(whole, -bits)) if program.loss == "huber" else bd.LOSSES[program.loss]
    )
    rows = range(len(program.fits))
    a = held([[x] for x in program.row_weights], program.row_weight_bits)
    y = held(program.targets, program.target_bits)
    z = held(program.fits, program.weight_bits)
    for upper in (False, True):
        shares = [checker.row_loss(program, i, program.fits[i], upper) for i in rows]
        parts = loss, a, z, y, program.bound_bits, upper
        assert total_loss(*parts) == sum(shares)
        counts = [copies + i for i in rows]
        assert total_loss(*parts, counts) == sum(
            count * share for count, share in zip(counts, shares, strict=True)
        )
    v = held(program.dual_point, program.dual_bits)
    bound = sum(checker.row_bound(program, i, program.dual_point[i]) for i in rows)
    assert total_bound(loss, a, v, y, program.bound_bits) == bound


def test_exponentials_of_very_many_outputs_add_up():
    outputs = 2**15  # ones over 2^48 that add up to 2^63
    fits, targets = [0] * outputs, [1] + [0] * (outputs - 1)
    program = SimpleNamespace(
        loss="softmax",
        row_weights=[1],
        row_weight_bits=0,
        targets=[targets],
        weight_bits=10,
        bound_bits=60,
    )
    z, y = (Scaled(integer_array(x)[:, None], bits) for x, bits in ((fits, 10), (targets, 0)))
    a = Scaled(integer_array([1])[None], 0)
    for upper in (False, True):
        share = checker.row_loss(program, 0, fits, upper)
        assert total_loss(bd.LOSSES["softmax"], a, z, y, 60, upper) == share
        assert share == pytest.approx(2**60 * math.log(outputs), rel=1e-12)


# bad input


class Own(Squared):
    """A loss of a user's own."""

    name = "own"


class Disguised(Squared):
    """Another one, with the name of one of ours."""

    name = "squared"


@pytest.mark.parametrize("own", [Own(), Disguised()], ids=["own", "disguised"])
def test_a_loss_of_ones_own_is_refused_before_any_work(own, monkeypatch):
    program = odd("squared", own=own, strength=0.1)
    W = np.ones((5, 1))
    bd.certify(program, weights=W)

    def worked(*args, **options):
        raise AssertionError("a pass over the columns")

    monkeypatch.setattr(bd.BinaryMatrix, "price", worked)
    monkeypatch.setattr(bd.BinaryMatrix, "matvec", worked)
    monkeypatch.setattr(bd.BinaryMatrix, "matvec_exact", worked)
    with pytest.raises(ValueError, match=r"^program: expected one of .*'squared', .*got <loss"):
        bd.certify(program, weights=W, exact=True)


@pytest.mark.parametrize(
    ("part", "value"),
    [
        ("weights", np.full((5, 1), np.nan)),
        ("weights", np.zeros((4, 1))),
        ("intercept", [np.inf]),
        ("dual_point", np.full((12, 1), np.nan)),
        ("dual_point", np.zeros((5, 1))),
    ],
)
def test_bad_parts_are_refused_by_name(part, value):
    good = {"weights": np.zeros((5, 1)), "intercept": [0.0], "dual_point": np.zeros((12, 1))}
    program = odd("squared", intercept=True)
    assert bd.certify(program, **good, exact=True).absolute_gap > 0
    with pytest.raises(ValueError, match=f"^{part}: expected"):
        bd.certify(program, **{**good, part: value}, exact=True)


@pytest.mark.parametrize("size", [1.7e308, *slow(1e154, 1e200, 1e307, -1e308)])
@pytest.mark.parametrize(
    "part", ["weights", "intercept", "dual_point", "target", "row_weights", "strength"]
)
@each_loss
def test_numbers_near_the_end_of_floats_are_proven_or_refused(loss, part, size, tmp_path):
    rng = np.random.default_rng(3)
    stated = {"target": {"numbers": [size, -size, 0.0]}} if part == "target" else {}
    stated |= {"row_weights": {"row_weights": abs(size)}, "strength": {"strength": abs(size)}}
    for intercept in (False, True):
        program = odd(loss, intercept=intercept, **{"strength": 0.5, **stated.get(part, {})})
        shape = program.design.shape[1], program.outputs
        W = size * rng.choice([1.0, -1.0, 0.5], shape) if part == "weights" else np.ones(shape)
        parts = {"weights": W}
        if part == "intercept" and intercept:
            parts["intercept"] = np.full(program.outputs, size)
        if part == "dual_point":
            parts["dual_point"] = np.full(program.target.shape, size)
        near = refused = None
        try:
            near = bd.certify(program, **parts)
            exact = bd.certify(program, **parts, exact=True)
        except ValueError as error:
            refused = str(error)
        if refused is None:
            assert_proven(program, exact, tmp_path / "a.cert")
            assert not np.isnan([near.primal, near.dual, near.absolute_gap]).any()
        else:
            named = "weights" if part == "weights" else "(program|weights)"
            assert re.match(f"{named}: expected", refused), refused
            assert part != "dual_point"  # an odd one loses to V = 0


@pytest.mark.parametrize("size", [1.0, 1e3, 1e6, 1e10])
@each_loss
def test_a_bad_answer_keeps_its_relative_gap(loss, size):
    program = odd(loss, intercept=True)
    W = np.full((5, program.outputs), size)
    near = bd.certify(program, weights=W)
    exact = bd.certify(program, weights=W, exact=True)
    assert near.relative_gap * (1 - 1e-9) <= exact.relative_gap <= 1.1 * near.relative_gap


# files


@pytest.fixture
def exact():
    program = odd("squared", intercept=True)
    return bd.certify(program, bd.solve(program, "newton"), exact=True)


def test_the_same_certificate_is_the_same_bytes(exact, tmp_path):
    exact.save(tmp_path / "a.cert")
    exact.save(tmp_path / "b.cert", complete={"of": [1, 2]})
    exact.save(tmp_path / "c.cert")
    first, other, again = ((tmp_path / f"{x}.cert").read_bytes() for x in "abc")
    assert first == again
    assert first != other
    with zipfile.ZipFile(tmp_path / "b.cert") as archive:
        assert archive.read("completeness.json") == b'{"of":[1,2]}'
    assert checker.check(tmp_path / "b.cert").claims == checker.check(tmp_path / "a.cert").claims


def test_a_saved_file_may_be_read_by_others(exact, tmp_path):
    exact.save(tmp_path / "a.cert")
    (tmp_path / "plain").write_bytes(b"")
    assert (tmp_path / "a.cert").stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_a_missing_folder_is_told(exact, tmp_path):
    with pytest.raises(FileNotFoundError):
        exact.save(tmp_path / "none" / "a.cert")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("where", ["writing", "moving"])
@pytest.mark.parametrize("there", [False, True], ids=["new", "replaced"])
def test_a_full_disk_leaves_nothing_half_written(where, there, exact, tmp_path, monkeypatch):
    path = tmp_path / "a.cert"
    if there:
        path.write_bytes(b"what was there")

    def full(*args, **options):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    if where == "writing":
        monkeypatch.setattr(zipfile._ZipWriteFile, "write", full)
    else:
        monkeypatch.setattr(os, "replace", full)
    with pytest.raises(OSError, match="No space left"):
        exact.save(path)
    assert [each.name for each in tmp_path.iterdir()] == ["a.cert"] * there
    if there:
        assert path.read_bytes() == b"what was there"


def test_completeness_that_is_no_json_leaves_nothing(exact, tmp_path):
    with pytest.raises(TypeError):
        exact.save(tmp_path / "a.cert", complete={"not": object()})
    assert list(tmp_path.iterdir()) == []
