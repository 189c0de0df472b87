"""Proximal point steps of a quadratic with an l1 norm, by its Gram matrix and without rows.

The steps minimise W'GW / 2 - c'W + strength |W|_1 over W (P,), where G = D'HD for weights H of
rows. The loss is smooth, so tau is infinite and a step of ``row_steps.py`` needs no z. If
Newton's method starts from the dual point of some weights x, all later dual points belong to
weights too. So x determines the dual point. Its prices are c - G x, the minimiser is

    W(x) = prox(W_k + sigma (c - G x)),

and Newton's direction, with J the active columns of W(x), is

    W - x - E_J (I / sigma + G_JJ)^-1 (G (W - x))_J.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ...dictionaries.validation import Array
from ...formulations.penalties import L1
from .kept_factor import KeptFactor
from .proximal_steps import Scales, search
from .tuning import TUNING

_NORM = L1()


@dataclass(frozen=True)
class Quadratic:
    """Quadratic W'GW / 2 - c'W + square / 2 >= 0, G (P, P), c (P,), with the norm's strength."""

    gram: Array
    linear: Array
    square: float
    strength: float


@dataclass(frozen=True)
class _Point:
    """Weights x (P,) of a dual point, with G x, the prices, and the minimiser W."""

    x: Array
    image: Array
    prices: Array
    weights: Array


class GramSteps:
    """Steps by a Gram matrix; ``best`` is the minimiser W (P,) of the best step, and its x (P,)."""

    def __init__(self, quadratic: Quadratic, weights: Array) -> None:
        self._quadratic, self._factor = quadratic, KeptFactor(quadratic.gram)
        self._anchor = self._x = weights
        self._anchor_image = self._image = quadratic.gram @ weights
        self._last: tuple[Array, Array]
        self.best: tuple[Array, Array]

    def minimise(
        self, scales: Scales, gap: float, late: Callable[[], bool], closely: bool
    ) -> tuple[float, int]:
        """See :class:`Steps`; ``closely`` is ignored, because the loss is not flat."""
        point = self._at(scales.sigma, self._x, self._image)
        for taken in range(TUNING.most_steps + 1):
            used = np.flatnonzero(point.weights)
            rows = self._quadratic.gram[used]
            weights_image = point.weights[used] @ rows
            residual, image = point.weights - point.x, weights_image - point.image
            size = max(float(residual @ image), 0.0)  # squared
            moved = float((point.x - self._anchor) @ (point.image - self._anchor_image))
            costs = abs(0.5 * size - float(point.prices @ residual))
            enough = size <= TUNING.residual**2 * moved and costs <= TUNING.share_other * gap
            if taken > 0 and (enough or costs <= TUNING.share_nothing * gap):
                break
            if (
                size <= TUNING.rounding**2 * self._quadratic.square
                or taken == TUNING.most_steps
                or late()
            ):
                break
            direction, its_image = residual.copy(), image.copy()
            if used.size:
                solved = self._factor.inverse(used, 1.0 / scales.sigma)(image[used])
                direction[used] -= solved
                its_image -= solved @ rows
            after = self._descent(scales.sigma, point, direction, its_image)
            if after is None:  # rounding spoils the Newton direction: the gradient still descends
                after = self._descent(scales.sigma, point, residual, image)
            if after is None:
                break
            point = after
        self._x, self._image, self._weights_image = point.x, point.image, weights_image
        self._last = point.weights, point.x
        return self._gap(point, residual, size), taken

    def keep(self) -> None:
        """See :class:`Steps`."""
        self.best = self._last

    def advance(self) -> None:
        """See :class:`Steps`."""
        self._anchor, self._anchor_image = self._last[0], self._weights_image

    def _at(self, sigma: float, x: Array, image: Array) -> _Point:
        prices = self._quadratic.linear - image
        u = self._anchor + sigma * prices
        weights = _NORM.prox(u[:, None], sigma * self._quadratic.strength)[:, 0]
        return _Point(x, image, prices, weights)

    def _descent(
        self, sigma: float, point: _Point, direction: Array, image: Array
    ) -> _Point | None:
        """Search along a direction for a point where the slope of the dual function is small."""

        def at(step: float) -> tuple[_Point, float]:
            there = self._at(sigma, point.x + step * direction, point.image + step * image)
            return there, float((there.x - there.weights) @ image)

        return search(at, float((point.x - point.weights) @ image))

    def _gap(self, point: _Point, residual: Array, size: float) -> float:
        """Return the gap of W and the dual point of x, scaled by s to satisfy the constraints.

        As in ``certify.py`` the gap is a sum of squares, |D W - y + s (y - D x)|^2 / 2, plus the
        norm minus the prices times W.
        """
        quadratic, prices = self._quadratic, point.prices
        largest = float(np.abs(prices).max())
        share = quadratic.strength / largest if largest > quadratic.strength else 1.0
        lost = 1.0 - share
        misfit = quadratic.square - float((quadratic.linear + prices) @ point.x)
        losses = 0.5 * (size - 2.0 * lost * float(residual @ prices) + lost**2 * misfit)
        norms = quadratic.strength * np.abs(point.weights) - share * prices * point.weights
        return max(losses + float(norms.sum()), 0.0)
