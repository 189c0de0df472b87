"""Networks rebuilt from solutions: they take arrays, and know no solver.

All kinds share ``network.py``: simulate, membranes, rates, predict, count synaptic
operations, merge, draw, save and load. To add a kind: a file of its own that says
which layers it takes, a line below, and a line in the table of
``tests/test_networks.py``.
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
