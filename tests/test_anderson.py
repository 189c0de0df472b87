"""Anderson acceleration ends linear maps, is a least squares, and keeps to its memory."""

import numpy as np
import pytest

from bidual.solvers.anderson import Anderson


def contraction(size, seed=0):
    """x -> A x + b with |A| = 0.99, and its fixed point."""
    rng = np.random.default_rng(seed)
    Q, _ = np.linalg.qr(rng.normal(size=(size, size)))
    A = 0.99 * Q @ np.diag(np.linspace(-1, 1, size)) @ Q.T
    b = rng.normal(size=size)
    return A, b, np.linalg.solve(np.eye(size) - A, b)


@pytest.mark.parametrize("size", [1, 2, 3, 4])
@pytest.mark.parametrize("parts", [1, 2])
def test_on_a_linear_map_as_many_looks_back_as_dimensions_end_it(size, parts):
    A, b, fixed = contraction(size)
    anderson = Anderson(size)
    x = np.zeros(size)
    for k in range(size + 2):
        image = A @ x + b
        pieces = [piece.copy() for piece in np.array_split(image, parts)]
        anderson.add(np.array_split(x, parts), pieces)
        assert anderson.mix(pieces) == (k > 0)
        x = np.concatenate(pieces)
        anderson.restore(pieces)
        assert np.array_equal(np.concatenate(pieces), image)
    # like GMRES it ends after as many steps, but for the ridge of 1e-11 of the least squares and
    # their condition; the map alone would be at 0.99**6
    assert np.abs(x - fixed).max() < 1e-4 * np.abs(fixed).max()


def test_plain_steps_of_a_linear_map_are_mixed_to_where_they_would_end():
    rng = np.random.default_rng(0)
    A, end = 0.3 * rng.normal(size=(4, 4)), rng.normal(size=4)
    anderson, x = Anderson(6), np.zeros(4)
    for _ in range(6):
        start, x = x, end + A @ (x - end)
        anderson.add([start], [x])
    assert np.abs(x - end).max() > 1e-3
    anderson.mix([x])
    # the ridge of 1e-11, times the condition of what contracts by 0.3 a step
    np.testing.assert_allclose(x, end, atol=1e-9)


def test_a_shorter_memory_still_beats_the_map_alone():
    A, b, fixed = contraction(30)
    anderson, x, plain = Anderson(4), np.zeros(30), np.zeros(30)
    for _ in range(60):
        image, plain = A @ x + b, A @ plain + b
        anderson.add([x], [image])
        anderson.mix([image])
        x = image
    assert np.abs(x - fixed).max() < 0.1 * np.abs(plain - fixed).max()


def test_mixing_is_the_least_squares_of_residuals():
    # against numpy's lstsq on differences that are kept by hand; after as many as are kept,
    # the oldest are forgotten
    rng = np.random.default_rng(0)
    anderson = Anderson(3)
    starts, images = rng.normal(size=(2, 8, 10))
    for k in range(8):
        mixed = images[k].copy()
        anderson.add([starts[k]], [mixed])
        anderson.mix([mixed])
        residuals = (images - starts)[max(k - 3, 0) : k + 1]
        kept = images[max(k - 3, 0) : k + 1]
        moves = np.diff(residuals, axis=0).T
        shares = np.linalg.lstsq(moves, residuals[-1])[0] if k else np.zeros(0)
        expected = images[k] - np.diff(kept, axis=0).T @ shares
        # a ridge of 1e-11 of squares about alike
        np.testing.assert_allclose(mixed, expected, rtol=0, atol=1e-8)


@pytest.mark.parametrize("scale", [1e-140, 1.0, 1e140])
def test_mixtures_do_not_depend_on_units(scale):
    rng = np.random.default_rng(1)
    starts, images = rng.normal(size=(2, 5, 6))
    mixed = []
    for unit in (1.0, scale):
        anderson = Anderson(3)
        for start, image in zip(unit * starts, unit * images, strict=True):
            anderson.add([start], [image])
        anderson.mix([image])
        mixed.append(image / unit)
    np.testing.assert_allclose(*mixed, rtol=1e-12)


def test_a_point_that_rests_stays():
    point = np.array([1.0, -2.0, 0.0])
    anderson = Anderson(3)
    for _ in range(6):
        anderson.add([point], [point])
        mixed = point.copy()
        anderson.mix([mixed])
        np.testing.assert_array_equal(mixed, point)


def test_what_is_forgotten_has_no_say_and_its_memory_is_used_again():
    sizes = []

    def allocate(size):
        sizes.append(size)
        return np.full(size, np.nan)

    rng = np.random.default_rng(2)
    starts, images = rng.normal(size=(2, 20, 7))
    mixed = []
    kept = Anderson(3, allocate)
    for _ in range(2):
        fresh = Anderson(3)
        for anderson in (kept, fresh):
            for start, image in zip(starts, images, strict=True):
                anderson.add([start[:2], start[2:]], [image[:2], image[2:]])
            mixed.append(image.copy())
            anderson.mix([mixed[-1][:2], mixed[-1][2:]])
        kept.forget()
        assert not kept.mix([image[:2], image[2:]])
        starts, images = starts[::-1], images[::-1]
    assert np.array_equal(mixed[0], mixed[1])
    assert np.array_equal(mixed[2], mixed[3])
    assert sizes == [7 * (2 * 3 + 2)]
