"""Data sets as sequences.

To add a task, write a function ``name(split="all", ...) -> (X, y)`` in a file of its
own, and add a line to the table of ``tests/test_tasks.py``. X is (n, T, d); labels y
are (n,), or (n, T) for a label at every step. ``TASKS`` holds the tasks with one label
per sequence, which ``bidual compare`` takes.
"""

from .addition import addition
from .digits import digits
from .first_last_xor import first_last_xor
from .mnist import mnist

TASKS = {"digits": digits, "first_last_xor": first_last_xor, "mnist": mnist}

__all__ = ["TASKS", "addition", "digits", "first_last_xor", "mnist"]
