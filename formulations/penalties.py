"""Penalties on the weights. One so far: the l1 norm, entry by entry."""

import numpy as np
from numpy.typing import NDArray

from ..kernels import proximal

Array = NDArray[np.float64]


class L1:
    """sum_jc |W_jc|, the outer norm of one amplitude a neuron (Ergen et al. 2023, Lemma 3.1).

    Outputs separate: each column of W has a norm of its own, and its dual norm
    is max_j |(D'V)_jc|.
    """

    name = "l1"

    def __repr__(self) -> str:
        return "<penalty l1>"

    def value(self, W: Array) -> Array:
        """The norm of each column of W (P, C); shape (C,)."""
        norms: Array = np.abs(W).sum(axis=0)
        return norms

    def fenchel_young(self, W: Array, prices: Array, strength: float) -> Array:
        """Terms strength |w| - w price, each >= 0 where |price| <= strength; shape of W."""
        return strength * np.abs(W) - W * prices

    def prox(self, points: Array, step: float) -> Array:
        """Minimise step * |w| + (w - points)**2 / 2 over w, entry by entry."""
        out = np.empty_like(points)
        proximal.soft_threshold(points, step, out)
        return out
