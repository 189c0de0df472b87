"""What a loss hands to the lowering: its cone constraints on the fits and its own variables.

The weighted loss at z is the least value of

    1/2 sum_i quadratic_i z_i^2 + linear' z + auxiliary' x + offset

over x with  bounds - on_fit z - on_auxiliary x  in the cone, block by block.
"""

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Cone = Literal["zero", "nonnegative", "second_order", "exponential"]


@dataclass(frozen=True)
class Block:
    """Rows of one cone: ``on_fit`` (r, n) and ``on_auxiliary`` (r, k) sparse, ``bounds`` (r, C)."""

    cone: Cone
    on_fit: Any
    on_auxiliary: Any
    bounds: NDArray[np.float64]


@dataclass(frozen=True)
class Epigraph:
    """A weighted loss in cones, for C outputs that share every matrix.

    ``quadratic`` (n,), ``linear`` (n, C), ``auxiliary`` (k, C), ``offset`` (C,).
    """

    quadratic: NDArray[np.float64]
    linear: NDArray[np.float64]
    auxiliary: NDArray[np.float64]
    offset: NDArray[np.float64]
    blocks: tuple[Block, ...]
