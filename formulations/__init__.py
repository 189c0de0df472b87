"""Formulations: convex programs of network classes over a dictionary.

Conventions
-----------
D is (N, P), targets Y and fits Z = D W + b are (N, C), weights W (P, C),
intercept b (C,), row weights a (N,), dual points V (N, C). V is minus the
gradient of the weighted loss at Z. ``strength`` is lambda, the factor of the
penalty; only :class:`NetworkClass` computes beta / m**(1/q).

``losses/__init__.py`` says how to add a loss. To add a network class, derive from
:class:`NetworkClass` in a new file of ``classes/``. Add its kind to
``dictionaries/class_record.py`` and ``classes/class_of.py``, a line below, and a line to the
table of ``tests/test_theorems.py``.
"""

from .classes.class_of import class_of
from .classes.dual import Dual, DualPoint
from .classes.feedforward import Feedforward
from .classes.heads import Heads
from .classes.lif import LIF
from .classes.network_class import NetworkClass
from .classes.primal import Primal
from .classes.recurrent import Recurrent
from .complete_arrangement import CompleteArrangement, complete_arrangement
from .epigraph import Block, Epigraph, PenaltyEpigraph
from .losses import LOSSES, Huber, Loss
from .lowering.conic import ConicForm
from .lowering.qp import QuadraticProgram
from .penalties import L1, PENALTIES, Group, Penalty
from .program import ConvexProgram
from .readout import readout_program

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
