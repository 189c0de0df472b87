"""Arguments of tasks, checked by name."""

from typing import Any, Literal, get_args

import numpy as np

Split = Literal["all", "train", "test"]


def check_split(split: str) -> None:
    """Refuse a side that there is none of."""
    if split not in get_args(Split):
        raise ValueError(f"split: expected 'all', 'train' or 'test', got {split!r}")


def check_whole(name: str, value: Any, low: int, high: int | None = None) -> None:
    """Refuse what is no whole number between two bounds, both included."""
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or value < low or (high is not None and value > high):
        room = f"at least {low}" if high is None else f"{low} to {high}"
        raise ValueError(f"{name}: expected a whole number, {room}, got {value!r}")
