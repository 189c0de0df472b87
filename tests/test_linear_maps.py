"""The product of linear layers is that of fractions, rounded once per layer."""

from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bidual.dictionaries.interop.linear_maps import linear_map, product

from covering import examples


def fractions(matrix):
    return [[Fraction(value) for value in row] for row in np.atleast_2d(matrix).tolist()]


def after(first, second):
    """Apply one map after the other in fractions, rounded once."""
    (W, w), (A, a) = first, second
    columns = [[row[j] for row in fractions(A)] for j in range(A.shape[1])]
    rows = [*fractions(W), *fractions(w)]
    found = np.array(
        [[float(sum(x * y for x, y in zip(row, column, strict=True))) for column in columns]
         for row in rows[:-1]]
    )  # fmt: skip
    bias = [
        float(sum((x * y for x, y in zip(rows[-1], column, strict=True)), Fraction(constant)))
        for column, constant in zip(columns, a.tolist(), strict=True)
    ]
    return found, np.array(bias)


@examples(100)
@given(st.data())
def test_a_product_is_that_of_fractions_rounded_once_per_layer(data):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    widths = data.draw(st.lists(st.integers(1, 9), min_size=2, max_size=4))
    dtype, spread = data.draw(
        st.sampled_from([(np.float64, 60), (np.float32, 10), (np.float64, 1)])
    )

    def numbers(*shape):
        exponents = rng.integers(-spread, spread, shape, endpoint=True)
        return (rng.normal(size=shape) * 2.0**exponents * (rng.random(shape) < 0.9)).astype(dtype)

    maps = [
        linear_map(numbers(width, fan_in), data.draw(st.sampled_from([numbers(width), None])))
        for fan_in, width in pairwise(widths)
    ]
    expected = maps[0]
    for each in maps[1:]:
        expected = after(expected, each)
    for found, exact in zip(product(maps), expected, strict=True):
        assert found.dtype == np.float64
        assert np.array_equal(found, exact)


def test_sums_that_cancel_lose_nothing():
    first = linear_map([[1e200], [1.0], [-1e200]], [1.0, 2.0**-60, -1.0])
    weights, bias = product([first, linear_map([[1.0, 2.0**-500, 1.0]], [2.0**-70])])
    assert weights.item() == 2.0**-500
    assert bias.item() == 2.0**-70


@pytest.mark.parametrize(
    ("weight", "bias", "message"),
    [
        (np.ones(3), None, r"^weight: expected shape .m, fan-in., got .3,."),
        (np.ones((0, 3)), None, r"^weight: expected shape"),
        (np.ones((2, 3)), np.ones(3), r"^bias: expected shape .2,., got .3,."),
        (np.ones((2, 3)), [1.0, np.nan], r"^bias: expected finite"),
        (np.ones((2, 3)) * 1j, None, r"^weight: expected numbers, got complex"),
        ([[1.0, np.inf]], None, r"^weight: expected finite numbers, got NaN or infinity"),
        (None, None, r"^weight: expected numbers, got None"),
    ],
)
def test_what_is_no_linear_map_is_refused(weight, bias, message):
    with pytest.raises(ValueError, match=message):
        linear_map(weight, bias)


@pytest.mark.filterwarnings("error")
def test_products_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"^expected 2 inputs, the outputs of the layer before it"):
        product([linear_map(np.ones((2, 3))), linear_map(np.ones((2, 3)))])
    with pytest.raises(ValueError, match=r"^weight: expected finite numbers, also in the product"):
        product([linear_map([[1e300]]), linear_map([[1e300]])])
