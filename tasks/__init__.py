"""Data sets as sequences, and reference programs with known answers.

To add a task: a function ``name(split="all") -> (X, y)`` with X (n, T, d) and
labels y (n,) in a file of its own, a line in ``TASKS``, and a line in the table
of ``tests/test_tasks.py``.
"""

from . import reference
from .digits import digits

TASKS = {"digits": digits}

__all__ = ["TASKS", "digits", "reference"]
