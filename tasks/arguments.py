"""Checks of the arguments of tasks."""

from typing import Literal, get_args

Split = Literal["all", "train", "test"]


def check_split(split: str) -> None:
    """Raise ValueError unless ``split`` is "all", "train" or "test"."""
    if split not in get_args(Split):
        raise ValueError(f"split: expected 'all', 'train' or 'test', got {split!r}")
