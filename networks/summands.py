"""Summands: networks whose sum is a network of the same kind."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..dictionaries import InputGrid


def check_summand(network: Any, other: Any) -> None:
    """Raise ValueError, with the reason, if ``other`` cannot be added to ``network``."""
    mine, others = type(network).__name__, type(other).__name__
    if type(other) is not type(network):
        raise ValueError(f"others: expected a {mine}, got a {others}")
    for name in ("inputs", "hidden", "readout", "readout_leak"):
        expected, found = getattr(network, name), getattr(other, name)
        if expected != found:
            raise ValueError(f"others: expected {name} {expected!r}, got {found!r}")
    if network.intercept.size != other.intercept.size:
        raise ValueError(
            f"others: expected {network.intercept.size} outputs, got {other.intercept.size}"
        )
    offsets = [np.zeros(n.inputs) if n.grid is None else n.grid.offsets for n in (network, other)]
    if not np.array_equal(offsets[0], offsets[1]):
        raise ValueError(
            f"others: expected a network whose inputs have the offsets {offsets[0]}, got "
            f"{offsets[1]}; fit both to inputs of which the means are subtracted"
        )
    labels = [None if n.classes is None else n.classes.tolist() for n in (network, other)]
    if labels[0] != labels[1]:
        raise ValueError(f"others: expected classes {labels[0]}, got {labels[1]}")


def finest_grid(grids: Sequence[InputGrid | None]) -> InputGrid | None:
    """Return the grid that holds the inputs of all; None, without rounding, if one has none."""
    found = [grid for grid in grids if grid is not None]
    if len(found) < len(grids):
        return None
    exponents = np.min([grid.exponents for grid in found], axis=0)
    return InputGrid(exponents, found[0].offsets)
