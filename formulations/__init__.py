"""Formulations: network classes stated as convex programs over a dictionary.

Conventions
-----------
D is (N, P), targets Y and fits Z = D W + b are (N, C), weights W (P, C),
intercept b (C,), row weights a (N,), dual points V (N, C). V is minus the
gradient of the weighted loss at Z; ``strength`` is lambda, the factor of the
penalty, and beta / m**(1/q) is applied in :class:`LIF` alone.

To add a loss: its class and a line in ``LOSSES`` in ``losses.py``, its code in
``kernels/proximal.py``, and a line in the table of ``tests/test_losses.py``.
"""

from .conic import ConicForm
from .lif import LIF
from .losses import LOSSES, Loss
from .penalties import L1
from .program import ConvexProgram

__all__ = ["L1", "LIF", "LOSSES", "ConicForm", "ConvexProgram", "Loss"]
