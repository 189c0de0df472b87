"""Penalties on the weights: the l1 norm, entry by entry, and the group norm, row by row."""

from abc import ABC, abstractmethod
from typing import ClassVar

import numpy as np

from ..dictionaries.validation import Array
from ..kernels import proximal


class Penalty(ABC):
    """What a program asks of a penalty.

    Attributes
    ----------
    name : str
        What users write.
    separable : bool
        Whether it is a sum over outputs.
    """

    name: ClassVar[str]
    separable: ClassVar[bool]

    def __repr__(self) -> str:
        return f"<penalty {self.name}>"

    @abstractmethod
    def value(self, W: Array) -> Array:
        """The norm of W (P, C): of each column, (C,), or where they do not separate (1,)."""

    @abstractmethod
    def fenchel_young(self, W: Array, prices: Array, strength: float) -> Array:
        """Terms of strength * norm - sum(W * prices), >= 0 where prices are feasible.

        Of shape (P, C), or (P, 1) where outputs do not separate.
        """

    @abstractmethod
    def prox(self, points: Array, step: float) -> Array:
        """Minimise step * norm(W) + |W - points|**2 / 2 over W (P, C)."""


class L1(Penalty):
    """sum_jc |W_jc|, the outer norm of one amplitude a neuron (Ergen et al. 2023, Lemma 3.1).

    Outputs separate: each column of W has a norm of its own. Prices D'V are
    feasible where no entry is larger than the strength.
    """

    name = "l1"
    separable = True

    def value(self, W: Array) -> Array:
        norms: Array = np.abs(W).sum(axis=0)
        return norms

    def fenchel_young(self, W: Array, prices: Array, strength: float) -> Array:
        return strength * np.abs(W) - W * prices

    def prox(self, points: Array, step: float) -> Array:
        out = np.empty_like(points)
        proximal.soft_threshold(points, step, out)
        return out


class Group(Penalty):
    """sum_j |W_j|_2 over rows: one subnetwork serves all outputs (Udupi, Yang and Zhai 2026).

    Prices D'V are feasible where no row is longer than the strength. With one
    output it is the l1 norm.
    """

    name = "group"
    separable = False

    def value(self, W: Array) -> Array:
        norms: Array = np.linalg.norm(W, axis=1).sum(keepdims=True)
        return norms

    def fenchel_young(self, W: Array, prices: Array, strength: float) -> Array:
        lengths = np.linalg.norm(W, axis=1, keepdims=True)
        terms: Array = strength * lengths - (W * prices).sum(axis=1, keepdims=True)
        return terms

    def prox(self, points: Array, step: float) -> Array:
        out = np.empty_like(points)
        proximal.group_threshold(points, step, out)
        return out


PENALTIES: dict[str, Penalty] = {penalty.name: penalty for penalty in (L1(), Group())}


def find_penalty(penalty: str | Penalty) -> Penalty:
    """Return the penalty of that name, or the penalty itself; ValueError lists the known names."""
    if isinstance(penalty, Penalty):
        return penalty
    if not isinstance(penalty, str) or penalty not in PENALTIES:
        raise ValueError(f"penalty: expected one of {sorted(PENALTIES)}, got {penalty!r}")
    return PENALTIES[penalty]
