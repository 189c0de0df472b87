"""Trie of input prefixes, whose nodes split the weights of one LIF neuron.

A neuron's spike at a step depends only on the inputs up to that step, so samples with
the same prefix share a node: all binary strings of length T have 2**(T+1) - 2 nodes
instead of T * 2**T pairs of a sample and a step. With leak a = num / den, threshold
theta > 0 and a reset of r * theta, r = top / bottom, the membrane of a node at step t
(from 0) is

    den**t * u = c . p - R * r * theta,
    c = num * c_parent + den**t * x,   R = num * R_parent + den**t * s_parent,

The neuron fires if an integer row is not negative:

    s = 1  iff  bottom * c . p - (bottom * den**t + top * R) * theta >= 0.
"""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from fractions import Fraction
from math import gcd
from numbers import Integral
from typing import Any, Literal, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..validation import number_array, real_array, shown

# bound on entries up to which the signs of kernels/trajectories.py are exact
_COMPILED = 2**57
_PLAIN = 1000  # a float leak means the fraction with a denominator up to this, if one matches

SoftReset = Literal["delayed", "immediate"]  # as in ``neuron.py``
Integers = NDArray[Any]  # Python ints of any size


def check_neuron(leak: Any, reset: Any) -> tuple[Fraction, Fraction]:
    """Return the leak and the reset, as a share of the threshold, as fractions.

    Raises
    ------
    ValueError
        If ``leak`` is not a rational number in [0, 1], or ``reset`` is not one of the two names.
    """
    try:
        if isinstance(leak, np.floating):
            leak = leak.as_integer_ratio()
        parts = leak if isinstance(leak, tuple) else (leak,)
        if any(isinstance(part, np.timedelta64) for part in parts):
            raise TypeError("a difference of dates is no number")
        # NumPy's integers would overflow in fractions
        share = Fraction(*(int(part) if isinstance(part, Integral) else part for part in parts))
    except (TypeError, ValueError, OverflowError, ZeroDivisionError) as error:
        raise ValueError(
            "leak: expected a rational number as a Fraction, an int, a string like '9/10', "
            f"a pair of ints or a float, got {shown(leak)}"
        ) from error
    if not 0 <= share <= 1:
        raise ValueError(f"leak: expected a number in [0, 1], got {leak}")
    if reset not in ("delayed", "immediate"):
        raise ValueError(f"reset: expected 'delayed' or 'immediate', got {reset!r}")
    return share, Fraction(1) if reset == "delayed" else share


def plain_fraction(leak: float) -> Fraction:
    """Return the fraction that a float64 leak means; float64 rounds it to the same leak.

    If such a fraction has a denominator up to 1,000, it is returned: 9/10 for 0.9, 1/3 for 1/3.
    Otherwise the fraction is the decimal number that Python prints for the leak. Exact listing
    and pricing of a class of networks with a float leak use this fraction.
    """
    plain = Fraction(leak).limit_denominator(_PLAIN)
    return plain if float(plain) == leak else Fraction(repr(float(leak)))


def _integer_sequences(X: ArrayLike) -> tuple[Integers, int, int]:
    """Return ints Z (n, T, d) and scales a, b with X = Z * a / b, exactly."""
    array = number_array("X", X)
    if array.dtype.kind not in "biu":
        array = real_array("X", array)
    if array.ndim != 3 or array.size == 0:
        raise ValueError(f"X: expected sequences of shape (n, T, d), got {array.shape}")
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise ValueError("X: expected finite numbers, got NaN or infinity")
    if array.dtype.kind == "f":
        distinct, where = np.unique(array, return_inverse=True)
        ratios = [value.as_integer_ratio() for value in distinct.tolist()]
        bottom = max(b for _, b in ratios)  # powers of two
        values = [a * (bottom // b) for a, b in ratios]
    else:
        distinct, where = np.unique(array, return_inverse=True)
        bottom = 1
        values = [int(value) for value in distinct]
    top = gcd(*values) or 1
    whole = np.array([value // top for value in values], dtype=object)
    return whole[where].reshape(array.shape), top, bottom


@dataclass(frozen=True)
class Refinement:
    """Nodes that split the cone theta > 0 of (p, theta) one after the other.

    Node k's row is (normals[k], -(base[k] + scale[k] * R)) with R = carry * R_parent + unit[k] *
    s_parent, and R = 0 at a root.

    Attributes
    ----------
    parent : (K,) int64 array
        The node one step before, a smaller number, or -1 at a root.
    normals : (K, m) array of Python ints
    base, unit, scale : (K,) arrays of Python ints
    carry : int
    fixed : (K,) int8 array
        Required spike of each node, or -1. The ancestors of a fixed node are also fixed.
    """

    parent: NDArray[np.int64]
    normals: Integers
    base: Integers
    unit: Integers
    scale: Integers
    carry: int
    fixed: NDArray[np.int8]

    @property
    def inputs(self) -> int:
        """Number m of weights."""
        return int(self.normals.shape[1])

    def ancestors(self, k: int) -> list[int]:
        """Return the nodes on the path to node k, from the root, without k."""
        path = []
        while (k := int(self.parent[k])) >= 0:
            path.append(k)
        return path[::-1]

    def reset(self, path: Iterable[int], spikes: Iterable[int], k: int) -> int:
        """Compute R of node k with ``spikes`` at the nodes of its ``path``."""
        total = 0
        # each node after the first advances R by one step
        for node, spike in zip([*list(path)[1:], k], spikes, strict=False):
            total = self.carry * total + int(self.unit[node]) * spike
        return total

    def row(self, k: int, reset: int) -> tuple[tuple[int, ...], int]:
        """Return node k's row (normal, -weight) as (normal, weight)."""
        normal = tuple(int(entry) for entry in self.normals[k])
        return normal, int(self.base[k]) + int(self.scale[k]) * reset

    def before(self, k: int, path: Iterable[int], spikes: Iterable[int]) -> Self:
        """Fix the spikes on a path, and keep the nodes before k and those with fixed spikes."""
        fixed = self.fixed.copy()
        for node, spike in zip(path, spikes, strict=True):
            fixed[node] = spike
        kept = (np.arange(len(fixed)) < k) | (fixed >= 0)
        number = np.cumsum(kept) - 1
        parent = np.where(self.parent < 0, -1, number[self.parent])[kept]
        return replace(
            self,
            parent=parent,
            normals=self.normals[kept],
            base=self.base[kept],
            unit=self.unit[kept],
            scale=self.scale[kept],
            fixed=fixed[kept],
        )

    def on_plane(self, normal: tuple[int, ...], weight: int) -> Self:
        """Restrict to normal . p = weight * theta by eliminating one coordinate of p."""
        pivot = min((i for i, entry in enumerate(normal) if entry), key=lambda i: abs(normal[i]))
        size, sign = abs(normal[pivot]), (1 if normal[pivot] > 0 else -1)
        column = sign * self.normals[:, pivot]
        normals = size * self.normals - np.outer(column, np.array(normal, dtype=object))
        normals = np.delete(normals, pivot, axis=1)
        base = size * self.base - column * weight
        scale = size * self.scale
        # a common divisor of a row does not change its signs
        divisors = np.gcd(np.gcd.reduce(normals, axis=1), np.gcd(base, scale))
        divisors[divisors == 0] = 1
        return replace(
            self,
            normals=normals // divisors[:, None],
            base=base // divisors,
            scale=scale // divisors,
        )

    def compiled(self) -> Self | None:
        """Return the refinement with int64 arrays if the kernels' signs are exact, else None."""
        highest = [0] * len(self.parent)
        largest = abs(self.carry)
        for k, parent in enumerate(self.parent.tolist()):
            if parent >= 0:
                highest[k] = self.carry * highest[parent] + int(self.unit[k])
            weight = abs(int(self.base[k])) + abs(int(self.scale[k])) * highest[k]
            entries = [abs(int(entry)) for entry in self.normals[k]]
            largest = max(largest, weight, highest[k], int(self.unit[k]), *entries)
        if self.inputs != 2 or largest > _COMPILED:
            return None
        return replace(
            self,
            normals=self.normals.astype(np.int64, order="C"),
            base=self.base.astype(np.int64),
            unit=self.unit.astype(np.int64),
            scale=self.scale.astype(np.int64),
        )


@dataclass(frozen=True)
class PrefixTrie:
    """Distinct prefixes of sequences, shorter prefixes first.

    Attributes
    ----------
    parent : (K,) int64 array
        Number of the prefix one step shorter, or -1 for a prefix of one step.
    depth : (K,) int64 array
        Step of the last entry of each prefix, from 0.
    inputs : (K, d) array of ints
        Last entry of each prefix.
    rows : (n * T,) int64 array
        Node of sample i at step t in row t * n + i.
    sequences : (n, T, d) array of ints
        Integers; X equals them times ``top / bottom``.
    top, bottom : int
    """

    parent: NDArray[np.int64]
    depth: NDArray[np.int64]
    inputs: Integers
    rows: NDArray[np.int64]
    sequences: Integers
    top: int
    bottom: int

    @classmethod
    def of(cls, X: ArrayLike) -> Self:
        """Build the trie of the sequences X (n, T, d), ints or floats (taken exactly).

        Raises
        ------
        ValueError
            If X has another shape or no entries, or an entry is not a finite number.
        """
        sequences, top, bottom = _integer_sequences(X)
        n, steps, _ = sequences.shape
        _, codes = np.unique(sequences, return_inverse=True)
        codes = codes.reshape(sequences.shape)
        above = np.full(n, -1)
        parents, depths, inputs, rows = [], [], [], []
        made = 0
        for t in range(steps):
            prefixes = np.column_stack([above, codes[:, t]])
            distinct, first, where = np.unique(
                prefixes, axis=0, return_index=True, return_inverse=True
            )
            above = made + where.reshape(n)
            made += len(distinct)
            parents.append(distinct[:, 0])
            depths.append(np.full(len(distinct), t))
            inputs.append(sequences[first, t])
            rows.append(above)
        return cls(
            np.concatenate(parents).astype(np.int64),
            np.concatenate(depths).astype(np.int64),
            np.concatenate(inputs),
            np.concatenate(rows).astype(np.int64),
            sequences,
            top,
            bottom,
        )

    def refinement(self, leak: Fraction, reset: Fraction) -> Refinement:
        """Return the rows that split (p, theta) for ``sequences``; d = 1 gets a second input 0."""
        num, den = leak.as_integer_ratio()
        top, bottom = reset.as_integer_ratio()
        inputs = self.inputs
        if inputs.shape[1] == 1:
            inputs = np.column_stack([inputs, np.zeros(len(inputs), dtype=object)])
        powers = np.array([den**t for t in range(int(self.depth.max()) + 1)], dtype=object)
        normals = np.zeros(inputs.shape, dtype=object)
        for t, power in enumerate(powers):
            level = np.flatnonzero(self.depth == t)
            normals[level] = power * inputs[level]
            if t:
                normals[level] += num * normals[self.parent[level]]
        unit = powers[self.depth]
        return Refinement(
            parent=self.parent,
            normals=bottom * normals,
            base=bottom * unit,
            unit=unit,
            scale=np.full(len(unit), top, dtype=object),
            carry=num,
            fixed=np.full(len(unit), -1, dtype=np.int8),
        )
