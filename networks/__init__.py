"""Networks rebuilt from solutions: they take arrays, and know no solver.

To add a network class: a file of its own, a line below, and a line in the
table of ``tests/test_networks.py``.
"""

from .spiking import SpikingNetwork

__all__ = ["SpikingNetwork"]
