"""Summands: networks whose sum is a network of the same kind."""

from typing import Any


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
    labels = [None if n.classes is None else n.classes.tolist() for n in (network, other)]
    if labels[0] != labels[1]:
        raise ValueError(f"others: expected classes {labels[0]}, got {labels[1]}")
