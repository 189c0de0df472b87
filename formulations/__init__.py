"""Formulations: network classes stated as convex programs over a dictionary.

Conventions
-----------
D is (N, P), targets Y and fits Z = D W + b are (N, C), weights W (P, C),
intercept b (C,), row weights a (N,), dual points V (N, C). V is minus the
gradient of the weighted loss at Z; ``strength`` is lambda, the factor of the
penalty, and beta / m**(1/q) is applied in :class:`NetworkClass` alone.

``losses/__init__.py`` says how to add a loss. To add a network class: a class from
:class:`NetworkClass` in a file of its own, its kind in ``dictionaries/class_record.py`` and
``class_of.py``, a line below, and a line in the table of
``tests/test_theorems.py``.
"""

from .class_of import class_of
from .complete_arrangement import CompleteArrangement, complete_arrangement
from .conic import ConicForm
from .dual import Dual, DualPoint
from .epigraph import Block, Epigraph, PenaltyEpigraph
from .feedforward import Feedforward
from .heads import Heads
from .lif import LIF
from .losses import LOSSES, Huber, Loss
from .network_class import NetworkClass
from .penalties import L1, PENALTIES, Group, Penalty
from .primal import Primal
from .program import ConvexProgram
from .qp import QuadraticProgram
from .readout import readout_program
from .recurrent import Recurrent

__all__ = [
    "L1",
    "LIF",
    "LOSSES",
    "PENALTIES",
    "Block",
    "CompleteArrangement",
    "ConicForm",
    "ConvexProgram",
    "Dual",
    "DualPoint",
    "Epigraph",
    "Feedforward",
    "Group",
    "Heads",
    "Huber",
    "Loss",
    "NetworkClass",
    "Penalty",
    "PenaltyEpigraph",
    "Primal",
    "QuadraticProgram",
    "Recurrent",
    "class_of",
    "complete_arrangement",
    "readout_program",
]
