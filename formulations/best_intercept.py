"""The best intercept for given weights."""

from ..dictionaries.validation import Array
from .losses import Loss
from .losses.constants import minimising_constants


def best_intercept(loss: Loss, fit: Array, target: Array, row_weights: Array) -> Array:
    """Return b (C,) that about minimises the weighted loss at ``fit`` + b, with ``fit`` (N, C) D W.

    Where no intercept is best, since all labels of an output are the same, it is large.
    """
    a = row_weights[:, None]
    # coupled outputs: from where each class is about as likely as it is frequent
    near = fit[0] if loss.separable else loss.best_constant(target, a) - fit.mean(axis=0)
    return minimising_constants(loss, fit, target, a, near)
