"""Arguments of tasks, checked by name."""

from typing import Literal, get_args

Split = Literal["all", "train", "test"]


def check_split(split: str) -> None:
    """Refuse a side that there is none of."""
    if split not in get_args(Split):
        raise ValueError(f"split: expected 'all', 'train' or 'test', got {split!r}")
