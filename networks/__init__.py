"""Networks rebuilt from solutions; they take arrays and do not depend on a solver.

All kinds share ``network.py``: simulate, membranes, rates, predict, count synaptic
operations, merge, draw, save and load. To add a kind, write a file of its own that
defines which layers the kind accepts, add a line below, and add a line to the table
of ``tests/test_networks.py``.
"""

from .network import Network
from .operations import SynapticOperations
from .recurrent import RecurrentNetwork
from .spiking import SpikingNetwork
from .threshold import ThresholdNetwork

__all__ = [
    "Network",
    "RecurrentNetwork",
    "SpikingNetwork",
    "SynapticOperations",
    "ThresholdNetwork",
]
