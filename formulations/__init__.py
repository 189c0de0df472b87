"""Formulations: network classes stated as convex programs over a dictionary.

Conventions
-----------
D is (N, P), targets Y and fits Z = D W + b are (N, C), weights W (P, C),
intercept b (C,), row weights a (N,), dual points V (N, C). V is minus the
gradient of the weighted loss at Z; ``strength`` is lambda, the factor of the
penalty, and beta / m**(1/q) is applied in :class:`LIF` alone.

``losses/__init__.py`` says how to add a loss.
"""

from .conic import ConicForm
from .lif import LIF
from .losses import LOSSES, Huber, Loss
from .penalties import L1, PENALTIES, Group, Penalty
from .program import ConvexProgram
from .qp import QuadraticProgram

__all__ = [
    "L1",
    "LIF",
    "LOSSES",
    "PENALTIES",
    "ConicForm",
    "ConvexProgram",
    "Group",
    "Huber",
    "Loss",
    "Penalty",
    "QuadraticProgram",
]
