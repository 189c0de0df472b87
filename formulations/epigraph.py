"""Epigraphs: losses and penalties as cone constraints, with auxiliary variables.

The weighted loss at z is the least value of

    1/2 sum_i fit_squares_i z_i^2 + linear' z + 1/2 sum_k squares_k x_k^2 + auxiliary' x + offset

over x with  bounds - on_argument z - on_auxiliary x  in the cone, for every block.
"""

from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from scipy import sparse

from ..dictionaries.validation import Array

Cone = Literal["zero", "nonnegative", "second_order", "exponential"]


@dataclass(frozen=True)
class Block:
    """Rows of cones of one kind, on the argument (fits, or weights of a penalty) and auxiliaries.

    ``on_argument`` (r, n) and ``on_auxiliary`` (r, k) are sparse, ``bounds`` is (r, C). ``size``
    is the number of rows of each second-order cone; by default all r rows are one cone.
    """

    cone: Cone
    on_argument: Any
    on_auxiliary: Any
    bounds: Array
    size: int | None = None


@dataclass(frozen=True)
class PenaltyEpigraph:
    """A penalty in cones: the minimum of ``costs`` (k,)' x over x subject to the ``blocks``.

    The argument of the blocks are the weights, stacked output by output; bounds have one column.
    """

    costs: Array
    blocks: tuple[Block, ...]


@dataclass(frozen=True)
class Epigraph:
    """A weighted loss in cones, for C outputs that share every matrix.

    ``fit_squares`` (n,), ``linear`` (n, C), ``squares`` (k,), ``auxiliary``
    (k, C), ``offset`` (C,).
    """

    fit_squares: Array
    linear: Array
    squares: Array
    auxiliary: Array
    offset: Array
    blocks: tuple[Block, ...]


def half_squares(
    on_fit: Any,
    on_auxiliary: Any,
    centre: Array,
    costs: Array | None = None,
    blocks: tuple[Block, ...] = (),
) -> Epigraph:
    """State |on_fit z + on_auxiliary x - centre|^2 / 2 + costs' x with one second-order cone.

    The shapes are ``on_fit`` (r, n), ``on_auxiliary`` (r, k), ``centre`` (r, C) and ``costs``
    (k, C), by default 0. ``blocks`` are further constraints on z and x.
    """
    (rows, n), k, outputs = on_fit.shape, on_auxiliary.shape[1], centre.shape[1]
    # |v|^2 / 2 <= tau, as (tau + 1/2, tau - 1/2, v) in the cone; tau is the last auxiliary
    ends = np.repeat([[0.5], [-0.5]], outputs, axis=1)
    on_tau = sparse.csc_array(([-1.0, -1.0], ([0, 1], [0, 0])), shape=(rows + 2, 1))
    below = sparse.vstack([sparse.csc_array((2, k)), -on_auxiliary])
    cone = Block(
        "second_order",
        sparse.vstack([sparse.csc_array((2, n)), -on_fit]),
        sparse.hstack([below, on_tau]),
        np.vstack([ends, -centre]),
    )
    beside = tuple(
        replace(
            block,
            on_auxiliary=sparse.hstack(
                [block.on_auxiliary, sparse.csc_array((block.bounds.shape[0], 1))]
            ),
        )
        for block in blocks
    )
    return Epigraph(
        fit_squares=np.zeros(n),
        linear=np.zeros((n, outputs)),
        squares=np.zeros(k + 1),
        auxiliary=np.vstack([np.zeros((k, outputs)) if costs is None else costs, np.ones(outputs)]),
        offset=np.zeros(outputs),
        blocks=(*beside, cone),
    )


def stack(parts: list[Epigraph]) -> Epigraph:
    """State the sum of the losses of several outputs, fits and auxiliaries output by output."""
    blocks = []
    for k, part in enumerate(parts):
        for block in part.blocks:
            blocks.append(
                replace(
                    block,
                    on_argument=_placed(block.on_argument, k, len(parts)),
                    on_auxiliary=_placed(block.on_auxiliary, k, len(parts)),
                )
            )
    return Epigraph(
        fit_squares=np.concatenate([part.fit_squares for part in parts]),
        linear=np.vstack([part.linear for part in parts]),
        squares=np.concatenate([part.squares for part in parts]),
        auxiliary=np.vstack([part.auxiliary for part in parts]),
        offset=np.sum([part.offset for part in parts], axis=0),
        blocks=tuple(blocks),
    )


def _placed(matrix: Any, k: int, parts: int) -> Any:
    """Place a matrix on the variables of part k of ``parts`` equal parts."""
    place = sparse.csc_array(([1.0], ([0], [k])), shape=(1, parts))
    return sparse.kron(place, matrix)
