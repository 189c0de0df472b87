"""best_intercept: minimise the loss over the intercept, for given weights."""

from ..dictionaries.validation import Array
from .losses import Loss
from .losses.constants import minimising_constants


def best_intercept(loss: Loss, fit: Array, target: Array, row_weights: Array) -> Array:
    """Return b (C,) that nearly minimises the weighted loss at ``fit`` + b; ``fit`` (N, C) is D W.

    If all labels of an output are equal, no finite intercept is best, and b is large.
    """
    a = row_weights[:, None]
    # coupled outputs: start where predicted and observed class frequencies agree
    near = fit[0] if loss.separable else loss.best_constant(target, a) - fit.mean(axis=0)
    return minimising_constants(loss, fit, target, a, near)
