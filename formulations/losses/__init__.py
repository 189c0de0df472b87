"""Losses: convex functions of a fit and a target, by the names that users write.

To add one: its class in the file of its kind, a line in ``LOSSES`` below, and a line in the
table of ``tests/test_losses.py``. Two more places make it faster and provable in integers: its
code in ``kernels/proximal.py`` (and, if it is smooth, ``kernels/descent.py``), and its integers
in ``EXACT_LOSSES`` of ``certificates/exact_terms.py`` and in ``certificates/checker.py``.
"""

from .loss import Loss
from .margin import Hinge, Logistic, SquaredHinge
from .regression import Absolute, Huber, Squared
from .softmax import Softmax

LOSSES: dict[str, Loss] = {
    loss.name: loss
    for loss in (
        Squared(),
        Absolute(),
        Huber(),
        Hinge(),
        SquaredHinge(),
        Logistic(),
        Softmax(),
    )
}


def find_loss(loss: str | Loss) -> Loss:
    """Return the loss of that name, or the loss itself; ValueError lists the known names."""
    if isinstance(loss, Loss):
        return loss
    if not isinstance(loss, str) or loss not in LOSSES:
        raise ValueError(f"loss: expected one of {sorted(LOSSES)}, got {loss!r}")
    return LOSSES[loss]


__all__ = [
    "LOSSES",
    "Absolute",
    "Hinge",
    "Huber",
    "Logistic",
    "Loss",
    "Softmax",
    "Squared",
    "SquaredHinge",
    "find_loss",
]
