"""Exact products equal Python's integers, and bounds of rounded ones are proven in fractions."""

import hashlib
import math
import os
import re
import subprocess
import sys
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

import bidual as bd

from covering import examples

LOWEST, HIGHEST = -(2**63), 2**63 - 1
int64s = st.one_of(
    st.integers(LOWEST, HIGHEST),
    st.sampled_from([0, 1, -1, LOWEST, LOWEST + 1, HIGHEST, 2**32 - 1, -(2**32)]),
    st.integers(0, 62).flatmap(lambda b: st.integers(-(2**b), 2**b)),
)


@st.composite
def binary_arrays(draw, columns=200):
    shape = draw(st.integers(0, 200)), draw(st.integers(0, columns))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    return (rng.random(shape) < draw(st.sampled_from([0.0, 0.05, 0.5, 1.0]))).astype(np.uint8)


def whole_numbers(draw, length, outputs):
    """A (length, outputs) array of int64 whose bits are as many as the draw likes."""
    low, high = sorted((draw(int64s), draw(int64s)))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    values = rng.integers(low, high, (length, outputs), endpoint=True)
    if length:
        values[draw(st.integers(0, length - 1))] = draw(st.sampled_from([low, high]))
    return values


@st.composite
def products(draw):
    dense = draw(binary_arrays())
    outputs = draw(st.sampled_from([0, 1, 3]))
    return dense, *(whole_numbers(draw, length, outputs) for length in dense.shape)


def python(values):
    return np.asarray(values).astype(object)


def overflows(values):
    return bool(values.size) and np.max(np.abs(python(values)).sum(axis=0)) >= 2**63


def check(product, values, expected):
    """Both grades of a product against Python integers, or the refusal where those may not fit."""
    high, low = product(values, pairs=True)
    assert high.dtype == low.dtype == np.int64
    assert high.shape == expected.shape
    assert np.array_equal(python(high) * 2**32 + python(low), expected)
    assert ((low >= 0) & (low < 2**32)).all()
    if overflows(values):
        with pytest.raises(OverflowError, match="pass pairs=True"):
            product(values)
    else:
        found = product(values)
        assert found.dtype == np.int64
        assert found.shape == expected.shape
        assert np.array_equal(found, expected)


@examples(150)
@given(case=products())
@example(case=(np.ones((1, 1), int), np.array([[LOWEST]]), np.array([[LOWEST]])))
@example(case=(np.ones((200, 200), int), np.full((200, 1), LOWEST), np.full((200, 1), HIGHEST)))
@example(case=(np.ones((2, 5), int), np.array([[LOWEST], [HIGHEST]]), np.ones((5, 1), int)))
def test_integer_products_equal_those_of_python(case):
    dense, rows, weights = case
    D = bd.BinaryMatrix.from_dense(dense)
    check(D.rmatvec_exact, rows, python(dense).T @ python(rows))
    check(D.matvec_exact, weights, python(dense) @ python(weights))
    if rows.shape[1]:
        check(D.rmatvec_exact, rows[:, 0], python(dense).T @ python(rows[:, 0]))
        check(D.matvec_exact, weights[:, 0], python(dense) @ python(weights[:, 0]))


@pytest.mark.parametrize("bits", range(1, 64))
@pytest.mark.parametrize("sign", [1, -1])
def test_every_number_of_bits_is_taken(bits, sign):
    # the largest of each width, next to nothing, on 600 rows: more than one register
    dense = np.random.default_rng(bits).integers(0, 2, (600, 9))
    rows = np.zeros(600, dtype=np.int64)
    rows[[0, 599]] = [sign * (2**bits - 1), -sign] if bits < 63 else [sign * (2**63 - 2), sign]
    D = bd.BinaryMatrix.from_dense(dense)
    assert np.array_equal(D.rmatvec_exact(rows), python(dense).T @ python(rows))
    if bits < 63:
        rows[0] = -sign * 2**bits
        check(D.rmatvec_exact, rows, python(dense).T @ python(rows))


@pytest.mark.parametrize(
    "values",
    [
        [HIGHEST],
        [HIGHEST - 5, 5],
        [-HIGHEST],
        [2**62, 2**62 - 1],
        [-(2**62), 2**62 - 1],
        [HIGHEST // 7] * 7,
        [2**61] * 3 + [2**61 - 1],
    ],
)
def test_sums_are_refused_from_two_to_the_63_on_and_not_before(values):
    ones = np.ones((len(values), 1), dtype=np.uint8)
    tall, wide = bd.BinaryMatrix.from_dense(ones), bd.BinaryMatrix.from_dense(ones.T)
    missing = HIGHEST - sum(map(abs, values))
    assert missing >= 0
    values[0] += int(math.copysign(missing, values[0]))
    for name, product in (("rows", tall.rmatvec_exact), ("weights", wide.matvec_exact)):
        assert product(values) == [sum(values)]
        past = [*values]
        past[0] += int(math.copysign(1, past[0])) if abs(past[0]) < HIGHEST or past[0] < 0 else 0
        if past == values:
            continue
        with pytest.raises(OverflowError, match=rf"^{name}: expected a sum of \|{name}\| below"):
            product(past)
        high, low = product(past, pairs=True)
        assert int(high[0]) * 2**32 + int(low[0]) == sum(past)


def test_one_output_too_many_is_refused_with_the_others():
    D = bd.BinaryMatrix.from_dense(np.ones((2, 1)))
    with pytest.raises(OverflowError, match=r"got 2\*\*63;"):
        D.rmatvec_exact([[1, 2**62], [1, 2**62]])


def test_pairs_refuse_lengths_whose_halves_could_overflow():
    empty = bd.BinaryMatrix(np.zeros((0, 2**24), dtype=np.uint64), 2**30)
    with pytest.raises(OverflowError, match=r"^rows: expected fewer than 2\*\*30"):
        empty.rmatvec_exact(np.broadcast_to(np.int64(1), 2**30), pairs=True)


@pytest.mark.parametrize(
    ("values", "got"),
    [
        ([1.0, 2.0], "float64"),
        ([1j, 2], r"complex numbers \(complex128\)"),
        ([2**64, 1], "object"),
        (["1", "2"], r"strings \(<U1\)"),
        (np.array([2**63, 1], dtype=np.uint64), str(2**63)),
    ],
)
def test_what_is_no_int64_is_refused(values, got):
    D = bd.BinaryMatrix.from_dense(np.eye(2))
    for pairs in (False, True):
        with pytest.raises(ValueError, match=rf"^rows: expected integers that fit .* got {got}$"):
            D.rmatvec_exact(values, pairs=pairs)
        with pytest.raises(ValueError, match=rf"^weights: expected integers that .* got {got}$"):
            D.matvec_exact(values, pairs=pairs)


@pytest.mark.parametrize("dtype", [bool, np.int8, np.uint8, np.int32, np.uint64, ">i8"])
def test_any_integer_type_and_memory_order_is_taken(dtype):
    dense = np.random.default_rng(0).integers(0, 2, (70, 5))
    D = bd.BinaryMatrix.from_dense(dense)
    rows = np.random.default_rng(1).integers(0, 2, (70, 3)).astype(dtype)
    for layout in (rows, np.asfortranarray(rows), np.repeat(rows, 2, axis=0)[::2]):
        layout.flags.writeable = False
        assert np.array_equal(D.rmatvec_exact(layout), dense.T @ rows.astype(int))
        assert np.array_equal(D.matvec_exact(layout[:5]), dense @ rows[:5].astype(int))


# ---- D' r to an accuracy


def exact(dense, rows):
    return [
        [sum((Fraction(r) for r in rows[dense[:, j] != 0, c].tolist()), Fraction(0))
         for c in range(rows.shape[1])]
        for j in range(dense.shape[1])
    ]  # fmt: skip


def assert_within(dense, rows, accuracy):
    """The bound holds, in fractions, is what was asked for, and took no more bits than needed."""
    D = bd.BinaryMatrix.from_dense(dense)
    values, bound = D.rmatvec_within(rows, accuracy)
    assert values.dtype == np.float64
    assert values.shape == (dense.shape[1], rows.shape[1])
    assert 0.0 <= bound <= accuracy
    for found, wanted in zip(values.tolist(), exact(dense, rows), strict=True):
        assert all(abs(Fraction(f) - w) <= bound for f, w in zip(found, wanted, strict=True))
    ones, size = int(dense.sum(axis=0).max(initial=0)), float(np.abs(rows).max(initial=0.0))
    if ones and size >= 2.0**-1022:  # floats below end before their bits do
        # one bit less would halve 2**-k, and triple the bound where conversion begins to round
        assert bound > accuracy / 3 or Fraction(bound) <= Fraction(size) * ones / 2**11
        assert bound > accuracy / 3 or Fraction(bound) >= Fraction(size) * ones / 2**12
    return values, bound


@st.composite
def real_products(draw):
    dense = draw(binary_arrays(columns=6))
    outputs = draw(st.sampled_from([1, 1, 2]))
    scale = 2.0 ** draw(st.sampled_from([0, 0, 0, -1000, -1074, -1060, 900, 1014, -3, 17]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    rows = rng.normal(size=(dense.shape[0], outputs)) * scale
    rows *= 2.0 ** rng.integers(-draw(st.sampled_from([0, 0, 60, 300])), 1, rows.shape)
    if draw(st.booleans()):
        rows = np.sign(rows) * scale  # a power of two: rounding up takes one more bit
    return dense, rows, draw(st.integers(10, 51))


@examples(300)
@given(case=real_products())
@example(case=(np.ones((200, 1), int), np.full((200, 1), 1 - 2.0**-53), 11))
@example(case=(np.ones((200, 2), int), np.full((200, 1), 1 - 2.0**-53), 50))
@example(case=(np.ones((3, 1), int), np.full((3, 1), 5e-324), 50))
@example(case=(np.ones((3, 1), int), np.array([[5e-324], [1e-300], [1e300]]), 40))
def test_bound_of_a_rounded_product_is_proven(case):
    dense, rows, bits = case
    ones, size = int(dense.sum(axis=0).max(initial=0)), float(np.abs(rows).max(initial=0.0))
    accuracy = max(ones, 1) * size * 2.0**-bits or 5e-324
    try:
        assert_within(dense, rows, accuracy)
    except ValueError as error:
        # twice the error of 52 bits is always granted
        if bits < 50 or "accuracy: expected at least" not in str(error):
            raise


def test_more_bits_than_63_with_the_sum_are_summed_in_pairs():
    # 51 digits and 2**13 rows near 1: the integers pass 2**63, where int64 would wrap
    rows = np.nextafter(np.linspace(0.9, 1.0, 2**13), 0.0)[:, None]
    dense = np.ones((2**13, 2), dtype=np.uint8)
    dense[::3, 1] = 0
    _, bound = assert_within(dense, rows, 1.6 * 2.0**-39)
    assert bound >= 2.0**-39  # the grid's share of it: 2**13 ones times 2**-52


@pytest.mark.parametrize("rows", [1, 200, 5000])
@pytest.mark.parametrize("size", [1.0, 0.7e-300, 3e300, 2e-305])
def test_the_accuracy_that_a_refusal_names_is_granted_and_nothing_less(rows, size):
    D = bd.BinaryMatrix.from_dense(np.ones((rows, 1)))
    operand = np.full(rows, size)
    operand[::2] *= 0.3
    with pytest.raises(ValueError, match=r"^accuracy: expected at least") as refusal:
        D.rmatvec_within(operand, 5e-324)
    best = float(re.search(r"at least (\S+),", str(refusal.value)).group(1))
    values, bound = D.rmatvec_within(operand, best)
    assert bound == best
    assert abs(Fraction(values[0]) - sum(map(Fraction, operand.tolist()))) <= bound
    with pytest.raises(ValueError, match=r"^accuracy"):
        D.rmatvec_within(operand, math.nextafter(best, 0.0))


def test_zeros_cost_no_accuracy():
    D = bd.BinaryMatrix.from_dense(np.ones((5, 3)))
    values, bound = D.rmatvec_within(np.zeros((5, 2)), 5e-324)
    assert np.array_equal(values, np.zeros((3, 2)))
    assert bound == 0.0
    values, bound = bd.BinaryMatrix.from_dense(np.zeros((5, 3))).rmatvec_within([1e308] * 5, 5e-324)
    assert np.array_equal(values, np.zeros(3))
    assert bound == 0.0
    values, bound = bd.BinaryMatrix.from_dense(np.zeros((5, 0))).rmatvec_within(np.ones(5), 0.1)
    assert values.shape == (0,)


def test_an_accuracy_of_infinity_takes_12_bits():
    rows = np.random.default_rng(0).normal(size=(100, 1))
    _, bound = assert_within(np.ones((100, 1), dtype=np.uint8), rows, math.inf)
    assert 100 * np.abs(rows).max() / 2**12 <= bound <= 100 * np.abs(rows).max() / 2**11


@pytest.mark.parametrize("accuracy", [0.0, -1.0, math.nan, -math.inf])
def test_an_accuracy_that_is_not_positive_is_refused(accuracy):
    with pytest.raises(ValueError, match=r"^accuracy: expected a positive number"):
        bd.BinaryMatrix.from_dense(np.eye(2)).rmatvec_within([1.0, 2.0], accuracy)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_rows_that_are_not_finite_are_refused(value):
    with pytest.raises(ValueError, match=r"^rows: expected finite"):
        bd.BinaryMatrix.from_dense(np.eye(2)).rmatvec_within([1.0, value], 0.1)


def test_a_product_past_the_largest_float_is_refused():
    D = bd.BinaryMatrix.from_dense(np.ones((4, 1)))
    with pytest.raises(OverflowError, match=r"^rows: expected products within float64"):
        D.rmatvec_within(np.full(4, 1e308), 1e300)
    with np.errstate(all="raise"):
        assert D.rmatvec_within([1e308, -1e308, 1e-308, 0.0], 1e306)[0] == [0.0]


# ---- Gram matrices with weights


@examples(150)
@given(data=st.data(), dense=binary_arrays(columns=40))
@example(data=None, dense=np.ones((200, 3), int))
def test_weighted_gram_matrices_equal_those_of_python(data, dense):
    n = dense.shape[0]
    weights = np.full(n, HIGHEST // 200) if data is None else whole_numbers(data.draw, n, 1)[:, 0]
    D = bd.BinaryMatrix.from_dense(dense)
    if overflows(weights[:, None]):
        with pytest.raises(OverflowError, match=r"^weights: expected a sum"):
            D.weighted_gram(weights)
        return
    found = D.weighted_gram(weights)
    assert found.dtype == np.int64
    assert np.array_equal(found, python(dense).T @ (python(weights)[:, None] * python(dense)))


@pytest.mark.parametrize("weights", [np.ones((3, 2), int), np.ones(2, int), [0.5, 1.0, 2.0]])
def test_weights_of_a_gram_matrix_are_whole_numbers_a_row(weights):
    with pytest.raises(ValueError, match=r"^weights: expected"):
        bd.BinaryMatrix.from_dense(np.eye(3)).weighted_gram(weights)


# ---- other machines

EVERY_PRODUCT = """
import hashlib
import numpy as np, bidual as bd
from bidual.kernels import bits

digest = hashlib.sha256()
for n, columns in ((1, 1), (200, 13), (1100, 70)):
    rng = np.random.default_rng(n)
    dense = rng.integers(0, 2, (n, columns))
    D = bd.BinaryMatrix.from_dense(dense)
    rows, weights = rng.integers(-2**40, 2**40, (n, 2)), rng.integers(-2**40, 2**40, (columns, 2))
    assert np.array_equal(D.rmatvec_exact(rows), dense.T @ rows)
    assert np.array_equal(D.matvec_exact(weights), dense @ weights)
    assert np.array_equal(D.gram(), dense.T @ dense)
    assert np.array_equal(D.gram([0], np.arange(columns)), dense.T[:1] @ dense)
    assert np.array_equal(D.weighted_gram(rows[:, 0]), dense.T @ (rows[:, :1] * dense))
    assert np.array_equal(D.column_sums(), dense.sum(axis=0))
    assert np.array_equal(D.to_csc().toarray(), dense)
    out = np.zeros(n)
    D.add_column(-1, 0.1, out)
    assert np.array_equal(out, 0.1 * dense[:, -1])
    real = rng.normal(size=n)
    results = D.rmatvec(real), D.matvec(rng.normal(size=columns)), *D.price(real, [0])
    for result in (*results, D.rmatvec_within(real, 1e-3)[0]):
        digest.update(result.tobytes())
print(digest.hexdigest())
"""
ASSEMBLY = """
assembly = "".join("".join(kernel.inspect_asm().values()) for kernel in
                   (bits.integer_rmatvec, bits.gram, bits.rmatvec, bits.matvec))
print("zmm" in assembly, "ymm" in assembly)
"""
HASWELL = "+avx,+avx2,+bmi,+bmi2,+fma,+lzcnt,+popcnt"


@pytest.mark.parametrize(
    ("cpu", "features"), [("haswell", HASWELL), ("x86-64", "")], ids=["haswell", "x86-64"]
)
@pytest.mark.skipif(os.uname().machine != "x86_64", reason="names processors of x86-64")
@pytest.mark.slow
def test_smaller_machines_give_the_same_bits(cpu, features, tmp_path, capsys):
    exec(EVERY_PRODUCT, {})
    here = capsys.readouterr().out.strip()
    environment = {
        **os.environ,
        "NUMBA_CPU_NAME": cpu,
        "NUMBA_CPU_FEATURES": features,
        "NUMBA_CACHE_DIR": str(tmp_path),
    }
    shown = subprocess.run(
        [sys.executable, "-c", EVERY_PRODUCT + ASSEMBLY],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert shown.stdout.split() == [here, "False", str(cpu == "haswell")]
    assert len(here) == hashlib.sha256().digest_size * 2


@pytest.mark.parametrize("rows", [[2**62 + 2**11 + 1], [2**53 + 1], [-(2**53) - 1]])
def test_rows_that_float64_does_not_hold_are_refused_where_a_bound_is_told(rows):
    # their rounding would be missing from the bound
    one = bd.BinaryMatrix.from_dense([[1]])
    with pytest.raises(ValueError, match=r"^rows: expected float64, or integers below 2\*\*53"):
        one.rmatvec_within(np.array(rows), 2048)
    with pytest.raises(ValueError, match=r"^rows: expected float64"):
        one.rmatvec_within(np.ones(1, dtype=np.longdouble), 1e-3)
    assert one.rmatvec_within(np.array([2**53 - 1]), 2**40)[1] <= 2**40
