"""Losses: convex functions of a fit and a target, listed by name.

To add a loss, write its class in the file of its kind. Add a line to ``LOSSES`` below and a line
to the table of ``tests/test_losses.py``. Two further steps are optional. Code in
``kernels/proximal.py`` (and, for a smooth loss, ``kernels/descent.py``) makes it faster. Integer
arithmetic in ``EXACT_LOSSES`` of ``certificates/exact_terms.py`` and in
``certificates/checker.py`` makes its certificates exact.
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
        raise ValueError(
            f"loss: expected one of {sorted(LOSSES)} or an instance of Loss, got {loss!r}"
        )
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
