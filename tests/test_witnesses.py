"""Witness weights are N(0, 1) on a dyadic grid, the same everywhere, from (seed, index) alone."""

import hashlib
import itertools
from statistics import NormalDist

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtri
from scipy.stats import kstest

import bidual as bd
from bidual.dictionaries.witnesses.sampled import normal_weights
from bidual.kernels.orthogonal import orthonormalise

from covering import examples

WORDS = 2**24  # a weight is chosen by the top 24 bits of a word
BLOCK = 2**20  # looked at together; all of them at once would take 128 MB an array


def blocks():
    for start in range(0, WORDS, BLOCK):
        yield np.arange(start, start + BLOCK, dtype=np.uint64)


def weights_of(top):
    return normal_weights(top << np.uint64(40))


def probability(top):
    return (top.astype(np.float64) + 0.5) / WORDS


NEURON = bd.Neuron(0.9, 1.0)


def sampled(*sizes, neuron=NEURON, **named):
    return bd.SampledWitnesses(*sizes, neuron=neuron, **named)


def weights(bank, index):
    return [layer.weights for layer in bank.layers(index)]


def flat(bank, index):
    return np.concatenate([layer.ravel() for layer in weights(bank, index)])


def philox_words(key, count):
    """Philox 4x64-10 of Salmon et al. (2011) in Python integers; the counter starts at 1."""
    mask = 2**64 - 1
    words = []
    for counter in range(1, count // 4 + 2):
        a, b, c, d = counter, 0, 0, 0
        low, high = key
        for _ in range(10):
            first, second = 0xD2E7470EE14C6C93 * a, 0xCA5A826395121157 * c
            a, b = (second >> 64) ^ b ^ low, second & mask
            c, d = (first >> 64) ^ d ^ high, first & mask
            low, high = (low + 0x9E3779B97F4A7C15) & mask, (high + 0xBB67AE8584CAA73B) & mask
        words += [a, b, c, d]
    return words[:count]


def test_no_value_is_near_a_rounding_boundary():
    # so anyone's inverse normal that is right to 1e-13 gives the same weights; SciPy's is
    # right to a few 2**-53 relative, here at most 2e-15
    for top in blocks():
        exact = ndtri(probability(top))
        in_grid = exact * 2.0**14
        assert (np.abs(in_grid - np.floor(in_grid) - 0.5) * 2.0**-14).min() >= 1e-13
        assert np.abs(exact).max() < 5.5


def test_every_weight_is_the_nearest_multiple_of_the_grid():
    for top in blocks():
        weights = weights_of(top)
        in_grid = weights * 2.0**14
        assert np.array_equal(in_grid, np.rint(in_grid))
        assert np.abs(weights - ndtri(probability(top))).max() <= 2.0**-15
        assert np.abs(weights).max() < 5.5


def test_map_is_monotone_and_antisymmetric():
    below = -np.inf
    for top in blocks():
        weights = weights_of(top)
        assert weights[0] >= below
        assert (np.diff(weights) >= 0).all()
        assert np.array_equal(weights_of(np.uint64(WORDS - 1) - top), -weights)
        below = weights[-1]


@pytest.mark.slow
def test_another_inverse_normal_gives_the_same_weights():
    # Wichura's AS 241 (Python's) against SciPy's: where the boundary is near, and anywhere
    drawn = np.random.default_rng(24).integers(0, WORDS, 30_000, dtype=np.uint64)
    near = []
    for top in blocks():
        in_grid = ndtri(probability(top)) * 2.0**14
        near.append(top[np.argsort(np.abs(in_grid - np.floor(in_grid) - 0.5))[:200]])
    ends = np.array([0, 1, WORDS // 2 - 1, WORDS // 2, WORDS - 1], dtype=np.uint64)
    tops = np.concatenate([drawn, *near, ends])
    expected = [round(NormalDist().inv_cdf(p) * 2**14) for p in probability(tops).tolist()]
    assert np.array_equal(weights_of(tops) * 2.0**14, expected)


@examples(100)
@given(top=st.integers(0, WORDS - 1), low=st.integers(0, 2**40 - 1))
def test_only_the_top_24_bits_of_a_word_matter(top, low):
    words = np.array([top << 40, top << 40 | low], dtype=np.uint64)
    assert np.ptp(normal_weights(words)) == 0


@pytest.mark.parametrize(
    ("seed", "index"), [(0, 0), (1, 0), (0, 1), (2**64 - 1, 6), (987654321, 2)]
)
def test_weights_come_from_one_philox_stream_keyed_by_index_and_seed(seed, index):
    # nothing of NumPy, SciPy or the package: the weights as their documentation defines them
    bank = sampled(inputs=3, hidden=(5, 4, 2), subnetworks=7, seed=seed)
    words = iter(philox_words((index, seed), 3 * 5 + 5 * 4 + 4 * 2))
    for layer, (fan_in, width) in zip(weights(bank, index), [(3, 5), (5, 4), (4, 2)], strict=True):
        assert layer.shape == (fan_in, width)
        assert layer.dtype == np.float64
        for i, j in itertools.product(range(fan_in), range(width)):
            p = ((next(words) >> 40) + 0.5) / WORDS
            assert layer[i, j] == round(NormalDist().inv_cdf(p) * 2**14) / 2**14


PINNED = {
    # (seed, index, inputs, hidden): SHA-256 of the float64 bytes, layer by layer
    (0, 0, 8, (64, 32)): "fb15ef1c5fa7325aa508065904a97467c46a4f0894a35b8a10c10ab4c125a125",
    (123, 5, 1, (1,)): "93c509d177878287680f1bd50444e3e1b7213b78054e3eb37135fcfd1abc22b7",
    (
        2**64 - 1,
        40,
        17,
        (9, 1, 30),
    ): "324e656e0a6a4ae712d25b9d130e4831df19c953015cea460ddd68775671e6b0",
}


@pytest.mark.parametrize("case", PINNED, ids=str)
def test_weights_have_the_pinned_digest(case):
    seed, index, inputs, hidden = case
    bank = sampled(inputs, hidden, index + 1, seed)
    digest = hashlib.sha256(flat(bank, index).astype("<f8").tobytes())
    assert digest.hexdigest() == PINNED[case]


@examples(30)
@given(
    seed=st.integers(0, 2**64 - 1),
    hidden=st.lists(st.integers(1, 9), min_size=1, max_size=3),
    inputs=st.integers(1, 9),
    more=st.integers(1, 2**63),
    order=st.permutations(range(4)),
)
def test_a_subnetwork_depends_on_neither_the_others_nor_the_order_of_calls(
    seed, hidden, inputs, more, order
):
    few = sampled(inputs, hidden, 4, seed)
    many = sampled(inputs, hidden, 4 + more, seed)
    expected = [flat(few, k) for k in range(4)]
    for k in order:
        assert np.array_equal(flat(few, k), expected[k])
        assert np.array_equal(flat(many, k), expected[k])


def test_first_layers_do_not_depend_on_the_layers_above():
    deep = weights(sampled(5, (7, 3, 2), 1, 9), 0)
    shallow = weights(sampled(5, (7, 3), 1, 9), 0)
    assert all(np.array_equal(a, b) for a, b in zip(shallow, deep[:2], strict=True))


def test_weights_are_the_callers_own():
    bank = sampled(2, (3,), 1, 0)
    weights(bank, 0)[0][:] = 7
    assert not (weights(bank, 0)[0] == 7).any()


# 4 standard errors leave one in 16,000 to chance, and the seeds are fixed: a failure is a change
STANDARD_ERRORS = 4.0


def test_different_seeds_and_indices_are_uncorrelated():
    keys = [(0, 0), (0, 1), (1, 0), (1, 1), (0, 2**32), (2**32, 0), (2**64 - 1, 0), (0, 2**63)]
    drawn = np.array([flat(sampled(200, (100,), k + 1, s), k) for s, k in keys])
    correlations = np.corrcoef(drawn)[np.triu_indices(len(keys), 1)]
    assert np.abs(correlations).max() < STANDARD_ERRORS / np.sqrt(drawn.shape[1])
    # a shift by one stream position would show as equal entries
    for one, other in itertools.combinations(drawn, 2):
        assert np.mean(one == other) < 0.001


def test_sampled_weights_are_standard_normal():
    bank = sampled(inputs=100, hidden=(100, 100), subnetworks=20, seed=2026)
    sample = np.concatenate([flat(bank, k) for k in range(20)])
    n = sample.size
    moments = [np.mean(sample**power) for power in (1, 2, 3, 4)]
    # E x^2k - (E x^k)^2 of N(0, 1): 1, 2, 15, 96
    for found, expected, variance in zip(moments, (0, 1, 0, 3), (1, 2, 15, 96), strict=True):
        assert abs(found - expected) < STANDARD_ERRORS * np.sqrt(variance / n)
    # at 5 percent a sample of N(0, 1) stays below 1.358 / sqrt(n); the grid adds 2**-15 * 0.4
    assert kstest(sample, "norm").statistic < 1.358 / np.sqrt(n)


def test_neighbouring_weights_are_independent():
    sample = flat(sampled(400, (500,), 1, 31), 0)
    for lag in (1, 2, 4, 500):
        products = sample[:-lag] * sample[lag:]
        assert abs(products.mean()) < STANDARD_ERRORS / np.sqrt(products.size)


def bank(**changes):
    return sampled(**{"inputs": 3, "hidden": (4, 2), "subnetworks": 5, "seed": 0} | changes)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("hidden", ()),
        ("hidden", (0,)),
        ("hidden", (4, 0, 2)),
        ("hidden", (4, -1)),
        ("hidden", (4, 2.5)),
        ("inputs", 0),
        ("inputs", -3),
        ("subnetworks", 0),
        ("subnetworks", -1),
        ("seed", -1),
        ("seed", 2**64),
        ("law", "normal"),
        ("neuron", 0.9),
        ("hidden", 4),
        ("hidden", "ab"),
        ("hidden", (np.nan,)),
        ("seed", None),
        ("subnetworks", 2**64 + 1),
    ],
)
def test_a_number_out_of_its_range_is_refused_by_name(name, value):
    with pytest.raises(ValueError, match=f"^{name}: expected"):
        bank(**{name: value})


@pytest.mark.parametrize("index", [-1, 5, 2**64])
def test_an_index_outside_the_bank_is_refused(index):
    with pytest.raises(IndexError, match=r"^index: expected 0 to 4"):
        bank().layers(index)


LAYER = (40, 24)


def layer_of(law="gaussian", shape=LAYER, index=0, **rest):
    return sampled(shape[0], shape[1:], index + 1, 5, law=law, **rest).layers(index)[0]


def test_fan_in_weights_are_the_gaussian_ones_over_the_root_of_the_fan_in():
    expected = layer_of().weights / np.sqrt(40)
    found = layer_of("fan-in").weights
    assert np.abs(found - expected).max() <= 2.0**-15
    assert np.array_equal(found * 2.0**14, np.rint(found * 2.0**14))


@pytest.mark.parametrize("shape", [(40, 24), (24, 40), (30, 30), (1, 5), (5, 1)])
def test_orthogonal_weights_are_the_orthonormal_factor_of_the_gaussian_ones(shape):
    found = layer_of("orthogonal", shape).weights
    assert np.array_equal(found * 2.0**14, np.rint(found * 2.0**14))
    drawn = layer_of(shape=shape).weights
    if shape[1] > shape[0]:
        found, drawn = found.T, drawn.T
    # LAPACK's factor, up to the signs of its columns
    factor, triangle = np.linalg.qr(drawn)
    assert np.abs(found - factor * np.sign(np.diag(triangle))).max() <= 2.0**-15 + 1e-12


def test_leaks_and_thresholds_of_a_range_are_uniform_on_the_grid_and_within_it():
    neuron = bd.Neuron(leak=(0.3, 0.9), threshold=(0.5, 2.0))
    layer = sampled(1, (4000,), 1, 3, neuron=neuron).layers(0)[0]
    for values, low, high in ((layer.leak, 0.3, 0.9), (layer.threshold, 0.5, 2.0)):
        assert values.min() >= low
        assert values.max() <= high
        inner = values[(values > low) & (values < high)] * 2.0**14
        assert np.array_equal(inner, np.rint(inner))
        # at 5 percent, as above
        assert kstest((values - low) / (high - low), "uniform").statistic < 1.358 / np.sqrt(4000)
    assert np.array_equal(layer.reset, layer.threshold)


def test_a_range_between_two_points_of_the_grid_is_kept():
    low, high = 0.5 + 2.0**-18, 0.5 + 2.0**-17  # its points would all be rounded to 0.5
    layer = sampled(1, (50,), 1, 3, neuron=bd.Neuron((low, high), 1.0)).layers(0)[0]
    assert (layer.leak == low).all()
    above = 1 - 2.0**-17, 1 - 2.0**-18
    layer = sampled(1, (50,), 1, 3, neuron=bd.Neuron(above, 1.0)).layers(0)[0]
    assert (layer.leak == above[1]).all()


def test_nearly_dependent_vectors_are_made_orthonormal_too():
    vectors = 1.0 / (np.arange(8)[:, None] + np.arange(20) + 1)  # a condition of 1e8
    found = vectors.copy()
    orthonormalise(found)
    assert np.abs(found @ found.T - np.eye(8)).max() < 1e-14
    factor = np.linalg.qr(vectors.T)[0].T  # spans of the first k vectors are the same
    for k in range(1, 9):
        outside = found[:k] - found[:k] @ factor[:k].T @ factor[:k]
        assert np.abs(outside).max() < 1e-7


def test_what_is_not_asked_for_draws_no_words():
    full = {"recurrent": True, "bias": True, "neuron": bd.Neuron((0.1, 0.9), (0.5, 1.0))}
    plain, whole = layer_of(), layer_of(**full)
    assert np.array_equal(plain.weights, whole.weights)
    assert plain.recurrent is None
    assert not plain.bias.any()
    # the words after the weights, in the documented order
    words = np.array(philox_words((0, 5), 40 * 24 + 24 * 24 + 3 * 24), dtype=np.uint64)[40 * 24 :]
    recurrent, bias, leak, threshold = np.split(words, [24 * 24, 25 * 24, 26 * 24])
    assert np.array_equal(whole.recurrent, normal_weights(recurrent).reshape(24, 24))
    assert np.array_equal(whole.bias, normal_weights(bias))
    for words, values, low, high in (
        (leak, whole.leak, 0.1, 0.9),
        (threshold, whole.threshold, 0.5, 1.0),
    ):
        expected = [low + ((int(word) >> 40) + 0.5) / WORDS * (high - low) for word in words]
        assert np.abs(values - expected).max() <= 2.0**-15 + 1e-15


OTHER_LAWS = {
    # SHA-256 of all arrays of a layer: the same on every machine
    "fan-in": "6ccb66d19dc35fc39fa25009de66d95bad4da66aa6fa70eabdc64e43806b76ff",
    "orthogonal": "f5beac651d823605b3e90ed2dcbf2663d920dad93243eca7ff7581204895848d",
}


@pytest.mark.parametrize("law", OTHER_LAWS)
def test_other_laws_have_the_pinned_digest(law):
    neuron = bd.Neuron((0.1, 0.9), (0.5, 1.0))
    layer = layer_of(law, recurrent=True, bias=True, neuron=neuron)
    arrays = (layer.weights, layer.recurrent, layer.bias, layer.leak, layer.threshold)
    digest = hashlib.sha256(b"".join(array.astype("<f8").tobytes() for array in arrays))
    assert digest.hexdigest() == OTHER_LAWS[law]


def test_an_index_that_is_not_whole_is_refused():
    with pytest.raises(ValueError, match=r"^index: expected a whole number"):
        bank().layers(0.5)


def test_the_ends_of_every_range_are_taken():
    assert [layer.shape for layer in weights(bank(inputs=1, hidden=[1]), 4)] == [(1, 1)]
    assert weights(bank(seed=2**64 - 1), 0)[1].shape == (4, 2)
    assert bank(hidden=[4, 2]) == bank(hidden=(4, 2))
