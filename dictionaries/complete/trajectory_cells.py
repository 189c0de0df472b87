"""Cells of a refinement in any dimension and with integers of any size, by double description.

A cell is cut into its parts in the 2**m orthants of p, which are pointed cones. Each part
is stored as its extreme rays and, for every ray, the bit mask of the rows that vanish on
it. Two rays are adjacent if and only if no third ray has all their common zeros (Motzkin,
Raiffa, Thompson and Thrall 1953; Fukuda and Prodon 1996). The cells are those of
``kernels/trajectories.py``, by another method and in Python: about 10**4 per second.
"""

from collections.abc import Iterator
from itertools import product
from math import gcd

from .prefix_trie import Refinement

Ray = tuple[int, ...]
Cone = list[tuple[Ray, int]]


def _dot(row: Ray, ray: Ray) -> int:
    return sum(a * b for a, b in zip(row, ray, strict=True))


def _reduced(ray: Ray) -> Ray:
    divisor = gcd(*ray)
    return tuple(entry // divisor for entry in ray)


def orthants(inputs: int) -> list[Cone]:
    """Return the orthants p_i >= 0 or <= 0 of theta >= 0; bit i is p_i = 0, the last theta = 0."""
    every = 2 ** (inputs + 1) - 1
    cones = []
    for signs in product((1, -1), repeat=inputs):
        diagonal = (*signs, 1)
        cones.append(
            [
                (tuple(sign * (i == j) for j in range(inputs + 1)), every ^ (1 << i))
                for i, sign in enumerate(diagonal)
            ]
        )
    return cones


def split(cone: Cone, row: Ray, zero: int) -> tuple[Cone, Cone]:
    """Return the parts of a cone where row >= 0 and row <= 0; [] if a part has no interior."""
    values = [_dot(row, ray) for ray, _ in cone]
    if min(values) >= 0:
        return (cone if max(values) > 0 else []), []
    if max(values) <= 0:
        return [], cone
    above = [(ray, mask) for (ray, mask), value in zip(cone, values, strict=True) if value > 0]
    below = [(ray, mask) for (ray, mask), value in zip(cone, values, strict=True) if value < 0]
    on = [(ray, mask | zero) for (ray, mask), value in zip(cone, values, strict=True) if value == 0]
    needed = len(row) - 2
    heights = {ray: value for (ray, _), value in zip(cone, values, strict=True)}
    for high, high_mask in above:
        for low, low_mask in below:
            common = high_mask & low_mask
            if common.bit_count() < needed:
                continue
            if sum(mask & common == common for _, mask in cone) == 2:
                a, b = heights[high], -heights[low]
                ray = tuple(b * x + a * y for x, y in zip(high, low, strict=True))
                on.append((_reduced(ray), common | zero))
    return above + on, below + on


def list_cells(refinement: Refinement) -> Iterator[tuple[int, list[Cone], list[Ray]]]:
    """Yield the cells in lexicographic order of their spikes.

    Yields
    ------
    key : int
        Bit k is the spike at node k.
    cones : list
        The parts of the cell in the orthants: rays (p, theta) with their masks.
    rows : list
        The rows, one per node; bit inputs + 1 + k of a mask is the row of node k.
    """
    n_nodes = len(refinement.parent)
    parent, unit = refinement.parent.tolist(), [int(u) for u in refinement.unit]
    fixed = refinement.fixed.tolist()
    rows: list[Ray] = [()] * n_nodes
    resets = [0] * n_nodes
    waiting: list[tuple[int, int, list[Cone]]] = [(0, 0, orthants(refinement.inputs))]
    while waiting:
        k, key, cones = waiting.pop()
        while k < n_nodes:
            # resets and rows before k belong to this cell's history: the cells listed in
            # between share it
            before = parent[k]
            resets[k] = 0
            if before >= 0:
                spike = key >> before & 1
                resets[k] = refinement.carry * resets[before] + unit[k] * spike
            normal, weight = refinement.row(k, resets[k])
            rows[k] = (*normal, -weight)
            zero = 1 << (refinement.inputs + 1 + k)
            parts = [split(cone, rows[k], zero) for cone in cones]
            high = [above for above, _ in parts if above]
            low = [below for _, below in parts if below]
            if fixed[k] >= 0:
                high, low = (high, []) if fixed[k] else ([], low)
            if high and low:
                waiting.append((k + 1, key | 1 << k, high))
            elif high:
                key |= 1 << k
            cones = low or high
            if not cones:
                break
            k += 1
        else:
            yield key, cones, rows


def inner_point(inputs: int, cones: list[Cone], rows: list[Ray]) -> Ray:
    """Return short integers (p, theta) inside a cell.

    The cell is convex, so a sum of rays of all its parts with positive weights is inside.
    The sum is then rounded to as few bits as keep it inside.
    """
    rays = [(ray, max(abs(entry) for entry in ray)) for cone in cones for ray, _ in cone]
    scale = 2 * max(largest for _, largest in rays)
    weights = [(ray, scale // largest) for ray, largest in rays]
    inside = tuple(sum(weight * ray[i] for ray, weight in weights) for i in range(inputs + 1))
    tight = 0
    for cone in cones:
        for _, mask in cone:
            tight |= mask
    bounds = []
    for k, row in enumerate(rows):
        if tight >> (inputs + 1 + k) & 1:
            sign = 1 if _dot(row, inside) > 0 else -1
            bounds.append(tuple(sign * entry for entry in row))
    largest = max(abs(entry) for entry in inside)
    for bits in range(largest.bit_length()):
        point = tuple(((entry << bits + 1) + largest) // (2 * largest) for entry in inside)
        if point[-1] > 0 and all(_dot(bound, point) > 0 for bound in bounds):
            return point
    return _reduced(inside)
