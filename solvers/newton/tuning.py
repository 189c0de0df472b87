"""Tuning constants of newton; certificates do not depend on them."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Tuning:
    """Constants of newton's steps, each with its reason."""

    # rounds over the dictionary
    columns_added: int = 100  # fewest columns to add per round: fewer save no time
    share_open: float = 0.1  # largest gap of a working set, relative to the whole gap
    share_settled: float = 3e-3  # smallest such share, once few columns still change
    gap_settled: float = 10.0  # gap relative to the working set's: below, other columns add little
    slack: float = 0.95  # price relative to the strength: an unused column below it is removed
    price_error: float = 1e-3  # largest error of prices, relative to the strength
    price_share: float = 0.02  # the same, relative to the gap aimed at
    patience: int = 10  # rounds or steps without a smaller gap, after which float64 is exhausted
    # proximal point steps, and the Newton steps of one
    most_steps: int = 40  # limit on either kind: more steps did not help in measurements
    many_steps: int = 25  # Newton steps: beyond, smooth kinks more and do not lengthen steps
    residual: float = 0.2  # largest residual relative to the step: exact steps cost more
    residual_drifting: float = 0.01  # the same if fits and weights drift apart
    drifting_after: int = 2  # steps without a smaller gap, after which they count as drifting
    share_other: float = 0.3  # largest cost of residuals and rounding, relative to the gap
    share_nothing: float = 1e-3  # negligible cost relative to the gap, for steps of any length
    closeness: float = 1e-3  # smallest relative gap of a start that lengthens the first step
    slope: float = 0.9  # slope relative to the first, below which a line search ends
    smoothing: float = 1e-2  # largest smoothing of kinks relative to tau; it falls with residuals
    shortest_step: float = 2.0**-20  # of a line search: rounding hides shorter steps
    # linear systems
    rounding: float = 1e-14  # relative rounding of sums of some thousand float64 numbers
    factor_rounding: float = 1e-15  # relative rounding of a Cholesky diagonal, per row
    column_least: float = 1e-30  # least squared length to count for a column, of the largest
    gram_columns: int = 4_000  # most columns of a Gram matrix: 128 MB, with copies 1.7 GB
    factored_columns: int = 5_000  # most columns or rows of a factored system: 200 MB
    coupled_entries: int = 100_000_000  # most entries of matrices for coupled outputs: 800 MB
    distinct_weights: int = 4  # most distinct weights of rows without rounding: a Gram matrix each
    least_bits: int = 8  # bits of the smallest weight in a Gram matrix: enough to precondition
    most_bits: int = 40  # bits of the largest weight: popcounts need a pass per bit
    gradient_steps: int = 100  # limit on conjugate gradients: more do not improve Newton steps
    gradient_residual: float = 3e-2  # relative residual that the next Newton step can correct
    changed_columns: float = 0.1  # share of changed columns, above which a new factor is cheaper
    few_columns: int = 100  # number of columns up to which a new factor is always cheaper


TUNING = Tuning()
