"""Data sets as sequences.

To add a task: a function ``name(split="all", ...) -> (X, y)`` with X (n, T, d) and
labels y, (n,) or (n, T) for one at every step, in a file of its own, and a line in
the table of ``tests/test_tasks.py``. ``TASKS`` holds those with one label a sequence,
which ``bidual compare`` takes.
"""

from .addition import addition
from .digits import digits
from .first_last_xor import first_last_xor
from .mnist import mnist

TASKS = {"digits": digits, "first_last_xor": first_last_xor, "mnist": mnist}

__all__ = ["TASKS", "addition", "digits", "first_last_xor", "mnist"]
